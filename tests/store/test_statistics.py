"""Numbers on hand-made data."""

from __future__ import annotations

from herding.store import Store
from herding.values import Attempt, NodeStats, PromptStats, Usage


async def test_prompt_stats_count_uses_and_all_stars_and_tell_the_last_use(store: Store, outcome) -> None:
    for number, prompt in enumerate(["a", "a", "b", "a"]):
        await store.finish(outcome(number, prompt=prompt))
    for principal, stars in (("ada", 5), ("bob", 2)):
        await store.rate(request_id=outcome(0).request_id, principal=principal, stars=stars, at=1)
    await store.rate(request_id=outcome(1).request_id, principal="ada", stars=5, at=1)
    await store.comment(request_id=outcome(2).request_id, principal="ada", text="only words", at=1)
    assert await store.prompt_stats() == {
        "a": PromptStats(3, 3, 4.0, last_used_at=1_003),
        "b": PromptStats(1, 0, None, last_used_at=1_002),
    }


async def test_busy_time_counts_overlaps_once(store: Store, outcome) -> None:
    """Spans 0-100, 50-150, 60-70 (inside), 150-160 (touching), 300-310: busy 170 of 230 ms."""
    spans = [(0, 100.0), (50, 100.0), (60, 10.0), (150, 10.0), (300, 10.0)]
    for number, (start, total) in enumerate(spans):
        tries = (Attempt(1, "n", "m", 1_000 + start, total),)
        await store.finish(outcome(number, node="n", usage=Usage(10, 3), attempts=tries))
    found = await store.node_stats(since=1_000)
    assert found == {
        "n": NodeStats(requests=5, input_tokens=50, output_tokens=15, total_ms=230.0, busy_ms=170.0, mean_ms=46.0)
    }


async def test_nodes_are_apart_and_tokens_go_to_the_one_that_answered(store: Store, outcome) -> None:
    tries = (
        Attempt(1, "a", "m", 1_000, 100.0, "node_timeout"),
        Attempt(2, "a", "m", 1_100, 50.0, "node_timeout"),
        Attempt(3, "b", "m", 1_050, 10.0),
    )
    await store.finish(outcome(1, node="b", usage=Usage(7, 2), attempts=tries))
    assert await store.node_stats(since=0) == {
        "a": NodeStats(requests=2, failures=2, total_ms=150.0, busy_ms=150.0, mean_ms=75.0),
        "b": NodeStats(requests=1, input_tokens=7, output_tokens=2, total_ms=10.0, busy_ms=10.0, mean_ms=10.0),
    }


async def test_what_started_earlier_does_not_count(store: Store, outcome) -> None:
    await store.finish(outcome(1, node="n", usage=Usage(1, 1), attempts=(Attempt(1, "n", "m", 999, 50.0),)))
    assert await store.node_stats(since=1_000) == {}
    assert set(await store.node_stats(since=999)) == {"n"}
