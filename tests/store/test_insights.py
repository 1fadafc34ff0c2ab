"""What the store tells of the tries on a prompt, of models, and of resets."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from herding.store import Store
from herding.store.statistics import PromptRequests, _matching
from herding.store.tables import request
from herding.values import Attempt, AttemptStats, CheckResult, ModelStats, Reset, Usage

FAILED = Attempt(1, "a", "m1", 500, 900.0, "node_timeout")


def answered(number: int, model: str, at: int = 500) -> Attempt:
    return Attempt(number, "b", model, at, 30.0)


async def test_the_tries_of_a_prompt_are_told_with_their_stars(store: Store, outcome) -> None:
    facts = {"version": 3, "usage": Usage(7, 2), "checks": CheckResult(False, "too long")}
    await store.finish(outcome(1, attempts=(FAILED, answered(2, "m2")), **facts))
    await store.finish(outcome(2, attempts=(answered(1, "m1"),), edited=True, principal="bob"))
    await store.finish(outcome(3, attempts=(answered(1, "m1"),), status="cancelled"))
    await store.finish(outcome(4, attempts=(answered(1, "m1"),), prompt="other"))
    await store.finish(outcome(5, attempts=(), status="failed"))
    for principal, stars in (("ada", 5), ("bob", 2)):
        await store.rate(request_id=outcome(1).request_id, principal=principal, stars=stars, at=9)
    assert await store.attempts(PromptRequests("greet", 0), limit=10) == (
        3,
        [
            AttemptStats(3, False, "m1", 1_001, False, None, 900.0, 7, 2, node="a"),
            AttemptStats(3, False, "m2", 1_001, True, False, 30.0, 7, 2, (5, 2), node="b"),
            AttemptStats(0, True, "m1", 1_002, True, None, 30.0, 0, 0, node="b"),
        ],
    )


async def test_only_the_span_and_the_newest_of_it_are_read(store: Store, outcome) -> None:
    for number in range(6):
        await store.finish(outcome(number, attempts=(answered(1, "m"),)))
    total, tries = await store.attempts(PromptRequests("greet", 1_002), limit=3)
    assert (total, [one.at for one in tries]) == (4, [1_003, 1_004, 1_005])
    assert (await store.attempts(PromptRequests("greet", 1_006), limit=3)) == (0, [])


async def test_versions_and_unsaved_changes_can_be_left_out(store: Store, outcome) -> None:
    for number, (version, edited) in enumerate(((1, False), (2, False), (2, True), (3, False), (0, True))):
        await store.finish(outcome(number, attempts=(answered(1, "m"),), version=version, edited=edited))
    total, tries = await store.attempts(PromptRequests("greet", 0, frozenset({2, 3})), limit=10)
    assert (total, [(one.version, one.edited) for one in tries]) == (3, [(2, False), (2, True), (3, False)])
    total, tries = await store.attempts(PromptRequests("greet", 0, frozenset({2, 3}), edited=False), limit=10)
    assert (total, [one.version for one in tries]) == (2, [2, 3])


@pytest.mark.sqlite
async def test_the_newest_requests_are_found_in_their_index(store: Store) -> None:
    query = str(
        _matching(select(request.c.id), PromptRequests("greet", 5)).compile(compile_kwargs={"literal_binds": True})
    )
    plan = await store._reader.run(lambda c: [row[-1] for row in c.execute(text(f"EXPLAIN QUERY PLAN {query}"))])
    assert any("COVERING INDEX ix_request_newest (created_at>?" in step for step in plan), plan


async def test_models_are_counted_by_their_tries(store: Store, outcome) -> None:
    assert await store.model_stats(since=0) == {}
    await store.finish(outcome(1, attempts=(FAILED, answered(2, "m2"))))
    await store.finish(outcome(2, attempts=(answered(1, "m1"),), prompt=""))
    await store.finish(outcome(3, attempts=(answered(1, "m1", at=499),)))
    await store.finish(outcome(4, attempts=(answered(1, "m2"),), status="cancelled"))
    assert await store.model_stats(since=500) == {
        "m1": ModelStats(2, 1, 0.5, 0.5, 1 / 3),
        "m2": ModelStats(2, 0, 0.0, 1.0, 2 / 3),
    }


async def test_the_share_of_a_model_is_that_of_its_success(store: Store, outcome) -> None:
    for number, (model, failed) in enumerate((("g", True), ("g", True), ("l", False), ("l", False), ("p", True))):
        attempt = Attempt(1, "n", model, 500, error_type="node_error" if failed else None)
        await store.finish(outcome(number, attempts=(attempt,)))
    await store.finish(outcome(9, attempts=(answered(1, "p"),)))
    shares = {model: stats.share for model, stats in (await store.model_stats(since=0)).items()}
    assert shares == {"g": 0.0, "l": pytest.approx(2 / 3), "p": pytest.approx(1 / 3)}


async def test_models_that_all_failed_have_no_share(store: Store, outcome) -> None:
    await store.finish(outcome(1, attempts=(FAILED,)))
    assert [stats.share for stats in (await store.model_stats(since=0)).values()] == [0.0]


async def test_the_last_reset_of_a_prompt_is_kept(store: Store, url: str) -> None:
    assert await store.learning_resets() == {}
    for reset in (Reset("p", 5, "ada"), Reset("deep/q", 6, "ada"), Reset("p", 7, "bob")):
        await store.reset_learning(reset)
    await store.close()
    again = await Store.open(url)
    try:
        assert await again.learning_resets() == {"p": Reset("p", 7, "bob"), "deep/q": Reset("deep/q", 6, "ada")}
    finally:
        await again.close()
