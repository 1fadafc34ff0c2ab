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
    return (await place.orchestrator.pipeline.run(Request("say"), who)).request_id


async def test_a_preference_is_given_changed_and_taken_back(place: Place) -> None:
    one, two = await asked(place), await asked(place)
    feedback = place.orchestrator.feedback
    said = await feedback.prefer(one, two, GUEST)
    assert said == Preference(one, two, GUEST.id, at=1_790_000_000_000)
    assert await feedback.preference(two, one, GUEST) == said
    await feedback.prefer(two, one, GUEST, equal=True)
    equal = await feedback.preference(one, two, GUEST)
    assert equal is not None
    assert ({equal.better, equal.worse}, equal.equal) == ({one, two}, True)
    assert await feedback.preference(one, two, ADMIN) is None
    await feedback.remove_preference(two, one, GUEST)
    assert await feedback.preference(one, two, GUEST) is None


async def test_both_answers_must_be_ones_own_unless_one_sees_everybodys(place: Place) -> None:
    mine, theirs = await asked(place), await asked(place, OTHER)
    feedback = place.orchestrator.feedback
    for one, other in ((mine, theirs), (theirs, mine)):
        for call in (feedback.prefer, feedback.remove_preference, feedback.preference):
            with pytest.raises(NotFoundError):
                await call(one, other, GUEST)
    assert await feedback.prefer(mine, theirs, ADMIN)
    assert await place.store.preference(mine, theirs, GUEST.id) is None


async def test_it_takes_the_right_to_rate_and_two_answers(place: Place) -> None:
    one, two = await asked(place), await asked(place)
    feedback = place.orchestrator.feedback
    for call in (feedback.prefer, feedback.remove_preference, feedback.preference):
        with pytest.raises(AccessError):
            await call(one, two, NOBODY)
        with pytest.raises(UserError, match="two different"):
            await call(one, one, GUEST)
        with pytest.raises(NotFoundError):
            await call(one, "none", GUEST)
