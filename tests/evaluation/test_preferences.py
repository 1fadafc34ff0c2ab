"""Who may say which of two answers is better, and of which."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from herding.errors import AccessError, NotFoundError, UserError
from herding.values import Preference, Principal, Request
from tests.support.herding import ADMIN, GUEST, NOBODY, OTHER, Place, herding
from tests.support.nodes import echo


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with herding(tmp_path, echo(), clock=lambda: 1_790_000_000_000) as made:
        yield made


async def asked(place: Place, who: Principal = GUEST) -> str:
    return (await place.orchestrator.run(Request("say"), who)).request_id


async def test_a_preference_is_given_changed_and_taken_back(place: Place) -> None:
    one, two = await asked(place), await asked(place)
    preferences = place.orchestrator.preferences
    said = await preferences.prefer(one, two, GUEST)
    assert said == Preference(one, two, GUEST.id, at=1_790_000_000_000)
    assert await preferences.of(two, one, GUEST) == said
    await preferences.prefer(two, one, GUEST, equal=True)
    equal = await preferences.of(one, two, GUEST)
    assert equal is not None
    assert ({equal.better, equal.worse}, equal.equal) == ({one, two}, True)
    assert await preferences.of(one, two, ADMIN) is None
    await preferences.take_back(two, one, GUEST)
    assert await preferences.of(one, two, GUEST) is None


async def test_both_answers_must_be_ones_own_unless_one_sees_everybodys(place: Place) -> None:
    mine, theirs = await asked(place), await asked(place, OTHER)
    preferences = place.orchestrator.preferences
    for one, other in ((mine, theirs), (theirs, mine)):
        for call in (preferences.prefer, preferences.take_back, preferences.of):
            with pytest.raises(NotFoundError):
                await call(one, other, GUEST)
    assert await preferences.prefer(mine, theirs, ADMIN)
    assert await place.store.preference(mine, theirs, GUEST.id) is None


async def test_it_takes_the_right_to_rate_and_two_answers(place: Place) -> None:
    one, two = await asked(place), await asked(place)
    preferences = place.orchestrator.preferences
    for call in (preferences.prefer, preferences.take_back, preferences.of):
        with pytest.raises(AccessError):
            await call(one, two, NOBODY)
        with pytest.raises(UserError, match="two different"):
            await call(one, one, GUEST)
        with pytest.raises(NotFoundError):
            await call(one, "none", GUEST)
