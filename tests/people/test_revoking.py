"""Whoever's token ends does not go on: what they run is over within a second or two, wherever it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from herding.errors import AuthenticationError
from herding.nodes.base import Node
from herding.store import now_ms
from herding.values import Delta, Done, Limit, Message, Parameters, Principal, Queued, Request, User
from tests.api.conftest import live
from tests.support.fakenode import FakeNode
from tests.support.herding import ADMIN, GUEST, OTHER, Place, herding
from tests.support.nodes import Late, Scripted, openai
from tests.support.until import until

pytestmark = pytest.mark.slow  # all together: callers are looked after once in half a second

SOON = 60.0
"""Seconds; the promise is two, what runs here would last an hour, and machines under test are slow."""

HOUR = 3_600_000
SAY = Request("say", parameters=Parameters(max_tokens=1000))
LIMIT = Limit("token", 24, 100_000)
ADA = User("ada", "Ada", "user", (LIMIT,))


class Later:
    """The real time in milliseconds, and what was skipped."""

    ahead = 0

    def __call__(self) -> int:
        return now_ms() + self.ahead


@dataclass
class Guarded:
    """A Herding that looks after its callers, and Ada's token."""

    place: Place
    token: str
    clock: Later

    @property
    def token_id(self) -> str:
        return self.token.split("_")[1]

    async def ada(self) -> Principal:
        return await self.place.authenticator.authenticate_token(self.token, "192.0.2.1")


@asynccontextmanager
async def guarded(home: Path, *nodes: Node, lasts: int | None = None) -> AsyncIterator[Guarded]:
    clock = Later()
    async with herding(home, *nodes, clock=clock) as place:
        await place.store.add_user(ADA)
        ends = None if lasts is None else now_ms() + lasts
        _, token = await place.accounts.create_token("ada", "test", ADMIN, expires_at=ends)
        watch = asyncio.create_task(place.orchestrator.accounts.watch())
        try:
            yield Guarded(place, token, clock)
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch


async def revoke(found: Guarded) -> None:
    await found.place.accounts.revoke(found.token_id, ADMIN)


async def revoke_elsewhere(found: Guarded) -> None:
    await found.place.store.revoke_token(found.token_id, now_ms())


async def disable(found: Guarded) -> None:
    await found.place.accounts.change_user(replace(ADA, disabled=True), ADMIN)


async def demote(found: Guarded) -> None:
    await found.place.accounts.change_user(replace(ADA, role="rater"), ADMIN)


ENDS: list[Callable[[Guarded], Awaitable[None]]] = [revoke, revoke_elsewhere, disable, demote]


async def assert_over(found: Guarded, answer: str) -> None:
    """The row, the reservation and the place in the herd are as they must be afterwards."""
    row = await found.place.row()
    assert (row.status, row.error_type, row.answer) == ("cancelled", "unauthorized", answer)
    [use] = await found.place.store.usage("ada", (LIMIT,))
    assert 0 <= use.used < 100  # and not the thousand that were reserved
    assert len(found.place.orchestrator._active) == 0
    assert all(not found.place.herd.slots.load(name).running for name in found.place.herd)


async def follow(found: Guarded, request: Request, until: type, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Read a stream of Ada's to its end; something happens at its first event of a kind."""
    happened = False
    async with (
        asyncio.timeout(SOON),
        aclosing(found.place.orchestrator.pipeline.stream(request, await found.ada())) as events,
    ):
        async for event in events:
            assert not isinstance(event, Done)
            if isinstance(event, until) and not happened:
                happened = True
                await meanwhile()


@pytest.mark.parametrize("end", ENDS)
async def test_in_the_middle_of_an_answer(tmp_path: Path, end: Callable[[Guarded], Awaitable[None]]) -> None:
    node = Scripted("a", ["one", " two"], ends=False)
    async with guarded(tmp_path, node) as found:
        with pytest.raises(AuthenticationError, match="not valid any more") as caught:
            await follow(found, SAY, Delta, lambda: end(found))
        assert caught.value.request_id == (await found.place.row()).request_id
        await assert_over(found, "one two")
        assert node.open == 0


async def test_when_the_token_runs_out_in_the_middle(tmp_path: Path) -> None:
    node = Scripted("a", ["one"], ends=False)
    async with guarded(tmp_path, node, lasts=HOUR) as found:

        async def time_passes() -> None:
            found.clock.ahead = HOUR

        with pytest.raises(AuthenticationError):
            await follow(found, SAY, Delta, time_passes)
        await assert_over(found, "one")


@pytest.mark.parametrize("end", [revoke, demote])
async def test_while_waiting_for_a_node_that_still_loads(
    tmp_path: Path, end: Callable[[Guarded], Awaitable[None]]
) -> None:
    node = Late("late", ["never"])
    async with guarded(tmp_path, node) as found:
        with pytest.raises(AuthenticationError):
            await follow(found, SAY, Queued, lambda: end(found))
        await assert_over(found, "")
        node.arrive()
        assert node.calls == []


async def test_before_the_first_word(tmp_path: Path, faulty: FakeNode) -> None:
    async with guarded(tmp_path, openai(faulty.url, "hang")) as found:
        request = Request(messages=(Message("user", "hi"),), model="hang", parameters=Parameters(max_tokens=1000))
        running = asyncio.create_task(found.place.orchestrator.pipeline.run(request, await found.ada()))
        await until(lambda: faulty.calls("hang"))
        await revoke(found)
        with pytest.raises(AuthenticationError):
            await asyncio.wait_for(running, SOON)
        await assert_over(found, "")
        await until(lambda: faulty.calls("hang")[0].left)


async def test_embeddings_end_as_well(tmp_path: Path, faulty: FakeNode) -> None:
    node = openai(faulty.url, embedding_models=["hang"])
    async with guarded(tmp_path, node) as found:
        running = asyncio.create_task(found.place.orchestrator.pipeline.embed("hang", ["hi"], await found.ada()))
        await until(lambda: faulty.calls("hang"))
        await revoke(found)
        with pytest.raises(AuthenticationError):
            await asyncio.wait_for(running, SOON)
        await assert_over(found, "")


async def test_nobody_else_is_disturbed(tmp_path: Path) -> None:
    node = Scripted("a", ["one"], ends=False)
    async with guarded(tmp_path, node) as found:
        operator = await found.place.authenticator.authenticate_token("admin-token", "192.0.2.1")
        others = [
            asyncio.create_task(found.place.orchestrator.pipeline.run(SAY, who)) for who in (GUEST, OTHER, operator)
        ]
        with pytest.raises(AuthenticationError):
            await follow(found, SAY, Delta, lambda: revoke(found))
        await asyncio.sleep(0.6)
        assert not any(task.done() for task in others)
        for run in list(found.place.orchestrator._active):
            run.stop()
        assert {(await task).status for task in others} == {"cancelled"}


async def test_a_change_that_takes_nothing_ends_nothing(tmp_path: Path) -> None:
    node = Scripted("a", ["one"], ends=False)
    async with guarded(tmp_path, node) as found:
        running = asyncio.create_task(found.place.orchestrator.pipeline.run(SAY, await found.ada()))
        await found.place.accounts.rotate(found.token_id, ADMIN)
        await found.place.accounts.change_user(replace(ADA, name="Countess"), ADMIN)
        await asyncio.sleep(1.2)
        assert not running.done()
        [run] = found.place.orchestrator._active
        run.stop()
        outcome = await running
        assert (outcome.status, outcome.error) == ("cancelled", None)


# Over HTTP

STREAMS: dict[str, dict[str, Any]] = {
    "/api/v1/infer": {"prompt": "say", "stream": True},
    "/v1/chat/completions": {"model": "echo", "messages": [{"role": "user", "content": "hi"}], "stream": True},
    "/v1/completions": {"model": "echo", "prompt": "hi", "stream": True},
}


@asynccontextmanager
async def browser_of(found: Guarded, base: str, way: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with Ada's token, or with a session that she began with it."""
    headers = {"authorization": f"Bearer {found.token}"} if way == "token" else {}
    async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False, timeout=60) as http:
        if way == "session":
            await http.post("/login", data={"token": found.token})
        yield http


@pytest.mark.parametrize("way", ["token", "session"])
@pytest.mark.parametrize("path", STREAMS)
async def test_a_stream_ends_with_an_error_that_says_why(tmp_path: Path, path: str, way: str) -> None:
    node = Scripted("a", ["one", " two"], ends=False)
    async with (
        guarded(tmp_path, node) as found,
        live(found.place) as base,
        browser_of(found, base, way) as http,
        http.stream("POST", path, json=STREAMS[path]) as response,
    ):
        text = ""
        async with asyncio.timeout(SOON):
            async for piece in response.aiter_text():
                text += piece
                if "two" in piece:
                    await revoke(found)
        last = [line for line in text.split("\n") if line.startswith("data: {")][-1]
        told = json.loads(last.removeprefix("data: "))
        assert "error" in told, (text, await found.place.row())
        error = told["error"]
        assert "not valid any more" in error["message"]
        assert error.get("code", error["type"]) in ("unauthorized", "invalid_api_key")
        assert (await http.get("/api/v1/me")).status_code == 401
        assert (await found.place.row()).status == "cancelled"


@pytest.mark.parametrize("path", [*STREAMS, "/api/v1/chat/completions"])
async def test_whoever_waits_for_a_whole_answer_is_told(tmp_path: Path, path: str) -> None:
    node = Scripted("a", ["one"], ends=False)
    body = {name: value for name, value in STREAMS.get(path, {"input": "hi"}).items() if name != "stream"}
    async with guarded(tmp_path, node) as found, live(found.place) as base, browser_of(found, base, "token") as http:
        asked = asyncio.create_task(http.post(path, json=body))
        await until(lambda: node.open)
        await disable(found)
        response = await asyncio.wait_for(asked, SOON)
        assert response.status_code == 401
        assert "not valid any more" in response.text
        assert (await found.place.row()).status == "cancelled"


async def test_a_disabled_user_is_refused_at_every_door_at_once(tmp_path: Path) -> None:
    async with (
        guarded(tmp_path, Scripted("a", ["one"])) as found,
        live(found.place) as base,
        browser_of(found, base, "token") as program,
        browser_of(found, base, "session") as browser,
    ):
        for http in (program, browser):
            assert (await http.get("/api/v1/me")).json()["id"] == "ada"
        await disable(found)
        for http in (program, browser):
            for path in ("/api/v1/me", "/api/v1/history", "/v1/models", "/docs"):
                assert (await http.get(path)).status_code == 401
            assert (await http.post("/api/v1/infer", json={"prompt": "say"})).status_code == 401
