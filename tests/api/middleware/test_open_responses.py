"""Open responses end with the session or token of their caller, and when the app stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from herding.api.middleware.open_responses import OpenResponse, OpenResponses
from herding.values import Principal
from tests.support.people_parts import BOSS, HERE, House, housing
from tests.support.until import until


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with housing(tmp_path) as made:
        await made.user()
        yield made


async def opened(responses: OpenResponses, who: Principal | None) -> tuple[asyncio.Task[None], OpenResponse]:
    """A response that stays open."""
    added: list[OpenResponse] = []

    async def work() -> None:
        added.append(responses.add({"principal": who}))
        try:
            await asyncio.Event().wait()
        finally:
            responses.remove(added[0])

    task = asyncio.create_task(work())
    await until(lambda: added)
    return task, added[0]


async def revoked(house: House, who: Principal, cookie: str) -> None:
    await house.accounts.revoke(str(who.token), BOSS)


async def logged_out(house: House, who: Principal, cookie: str) -> None:
    await house.authenticator.end_session(cookie)


async def logged_out_everywhere(house: House, who: Principal, cookie: str) -> None:
    await house.accounts.end_sessions(who)


@pytest.mark.parametrize("end", [revoked, logged_out, logged_out_everywhere])
async def test_a_response_ends_with_the_login_of_its_caller_and_no_other(
    house: House, end: Callable[..., Awaitable[Any]]
) -> None:
    responses, who = OpenResponses(), await house.enters(await house.token())
    cookie = house.authenticator.sign_session(await house.authenticator.create_session(who))
    inside = await house.authenticator.authenticate_session(cookie, HERE)
    other = await house.enters(await house.token())
    guest = house.authenticator.authenticate_guest(HERE)
    task, response = await opened(responses, inside)
    others = [await opened(responses, somebody) for somebody in (other, guest, None)]
    for _ in range(2):
        await responses.check(house.authenticator)
    assert response.ended is None
    await end(house, inside, cookie)
    await responses.check(house.authenticator)
    assert response.ended is None  # a run of a prompt says now that it is over
    await responses.check(house.authenticator)
    assert response.ended == OpenResponses.LOGGED_OUT
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(responses) == len(others)
    responses.end_all()
    await asyncio.gather(*(task for task, _ in others), return_exceptions=True)
    assert len(responses) == 0
    assert {found.ended for _, found in others} == {OpenResponses.STOPPING}
