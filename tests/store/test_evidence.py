"""What the store tells of how models did."""

from __future__ import annotations

from herding.store import Store
from herding.values import Attempt, AttemptEvidence, CheckResult

SLOW, DEAD = Attempt(1, "a", "m1", 1, 900.0, "node_timeout"), Attempt(1, "a", "m1", 1, 5.0, "node_unreachable")


def answered(number: int, model: str, total_ms: float = 10.0) -> Attempt:
    return Attempt(number, "b", model, 1, total_ms)


async def test_every_try_of_a_model_is_told_with_the_stars_of_its_answer(store: Store, outcome) -> None:
    await store.finish(
        outcome(1, prompt="p", attempts=(SLOW, answered(2, "m2", 30.0)), checks=CheckResult(False, "too long"))
    )
    await store.finish(outcome(0, prompt="q", attempts=(answered(1, "m1"),), checks=CheckResult()))
    await store.finish(outcome(2, prompt="p", attempts=(DEAD,), status="failed"))
    first = outcome(1).request_id
    for principal, stars in (("ada", 5), ("bob", 2)):
        await store.rate(request_id=first, principal=principal, stars=stars, at=9)
    assert await store.trials(limit=10) == [
        AttemptEvidence(outcome(0).request_id, "q", "m1", 1_000, None, None, 10.0),
        AttemptEvidence(first, "p", "m1", 1_001, "node_timeout", None, 900.0),
        AttemptEvidence(first, "p", "m2", 1_001, None, False, 30.0, {"ada": 5, "bob": 2}),
        AttemptEvidence(outcome(2).request_id, "p", "m1", 1_002, "node_unreachable", None, 5.0),
    ]


async def test_what_people_stopped_and_what_has_no_prompt_tells_nothing(store: Store, outcome) -> None:
    for number, status in enumerate(("running", "cancelled", "abandoned", "interrupted")):
        await store.finish(outcome(number, prompt="p", attempts=(answered(1, "m"),), status=status))
    await store.finish(outcome(8, prompt="", attempts=(answered(1, "m"),)))
    assert await store.trials(limit=10) == []


async def test_the_newest_and_the_last_rated_are_told(store: Store, outcome) -> None:
    for number in range(6):
        await store.finish(outcome(number, prompt="p", attempts=(answered(1, "m"),)))
    for number, at in ((1, 50), (0, 40)):
        await store.rate(request_id=outcome(number).request_id, principal="ada", stars=3, at=at)
    found = [trial.request_id for trial in await store.trials(limit=1)]
    assert found == [outcome(1).request_id, outcome(5).request_id]
    assert len(await store.trials(limit=2)) == 4
