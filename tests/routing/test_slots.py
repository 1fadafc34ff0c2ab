"""How much each node does, and which of several gets the next request."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import nullcontext
from heapq import heappop, heappush
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herding.routing.balance import pick_node
from herding.routing.event_log import EventLog
from herding.routing.slots import Load, Slot, Slots
from herding.values import NodeEvent


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def test_a_node_takes_as_many_as_it_can_do_at_once() -> None:
    slots = Slots(Clock())
    slots.set_limit("a", 2)
    first, second = slots.acquire("a"), slots.acquire("a")
    assert first
    assert second
    assert (slots.acquire("a"), slots.has_free("a"), slots.load("a").running) == (None, False, 2)
    first.release()
    first.release()
    assert (slots.has_free("a"), slots.load("a").running) == (True, 1)


def test_a_node_without_a_bound_takes_all() -> None:
    slots = Slots(Clock())
    slots.set_limit("a", None)
    assert all(slots.acquire("a") for _ in range(1_000))


def test_an_unknown_or_draining_node_takes_none() -> None:
    slots = Slots(Clock())
    assert (slots.acquire("a"), slots.has_free("a"), slots.load("a")) == (None, False, Load())
    slots.set_limit("a", None)
    slots.drain("a")
    assert (slots.acquire("a"), slots.has_free("a"), slots.load("a").draining) == (None, False, True)


def test_fewer_slots_than_running_requests_wait_for_them_to_end() -> None:
    slots = Slots(Clock())
    slots.set_limit("a", 3)
    taken = [slots.acquire("a") for _ in range(3)]
    slots.set_limit("a", 1)
    for slot in taken[:2]:
        assert slot
        slot.release()
        assert not slots.has_free("a")
    assert taken[2]
    taken[2].release()
    assert slots.has_free("a")


def test_a_node_that_takes_the_name_of_one_that_is_gone_starts_anew() -> None:
    slots = Slots(Clock())
    slots.set_limit("a", 1)
    old = slots.acquire("a")
    assert old
    slots.remove("a")
    slots.set_limit("a", 1)
    assert slots.acquire("a")
    old.release()
    assert slots.load("a").running == 1


async def test_a_drained_node_is_idle_once_its_requests_have_ended() -> None:
    slots = Slots(Clock())
    slots.set_limit("a", 5)
    taken = [slots.acquire("a") for _ in range(3)]
    slots.drain("a")
    waits = [asyncio.create_task(slots.wait_idle("a")) for _ in range(2)]
    for slot in taken:
        await asyncio.sleep(0)
        assert not any(wait.done() for wait in waits)
        assert slot
        slot.release()
    await asyncio.gather(*waits)
    await slots.wait_idle("a")
    await slots.wait_idle("unknown")


async def test_idle_is_looked_at_again_when_a_request_came_in_between() -> None:
    slots = Slots(Clock())
    slots.set_limit("a", 5)
    first = slots.acquire("a")
    wait = asyncio.create_task(slots.wait_idle("a"))
    await asyncio.sleep(0)
    assert first
    first.release()
    second = slots.acquire("a")
    for _ in range(3):
        await asyncio.sleep(0)
    assert not wait.done()
    assert second
    second.release()
    await wait


async def test_slots_are_given_back_whenever_their_tasks_are_cancelled() -> None:
    slots, rng = Slots(Clock()), Random(3)
    slots.set_limit("a", 4)

    async def request() -> None:
        for _ in range(rng.randrange(9)):
            await asyncio.sleep(0)
        with slots.acquire("a") or nullcontext():
            assert slots.load("a").running <= 4
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)

    tasks = [asyncio.create_task(request()) for _ in range(500)]
    while any(not task.done() for task in tasks):
        rng.choice(tasks).cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert any(task.cancelled() for task in tasks)
    assert not all(task.cancelled() for task in tasks)
    assert slots.load("a").running == 0
    await slots.wait_idle("a")


def answered(slots: Slots, node: str, total_ms: float) -> None:
    with slots.acquire(node) or pytest.fail("no slot") as slot:
        slot.record_latency(first_token_ms=total_ms / 10, total_ms=total_ms)


def test_latency_is_a_moving_average_that_follows_the_node() -> None:
    slots = Slots(Clock())
    slots.set_limit("a", None)
    assert (slots.load("a").total_ms, slots.load("a").first_token_ms) == (None, None)
    answered(slots, "a", 100)
    assert slots.load("a").total_ms == 100
    for _ in range(30):
        answered(slots, "a", 1000)
    assert slots.load("a").total_ms == pytest.approx(1000, rel=0.01)
    assert slots.load("a").first_token_ms == pytest.approx(100, rel=0.01)


def test_after_a_long_time_the_first_answer_counts_for_nearly_all() -> None:
    clock = Clock()
    slots = Slots(clock)
    slots.set_limit("a", None)
    assert slots.load("a").age == 0
    answered(slots, "a", 100)
    clock.now += 120
    assert slots.load("a").age == 120
    answered(slots, "a", 1000)
    assert slots.load("a").total_ms == pytest.approx(1000, rel=0.02)


def test_one_node_needs_no_comparison() -> None:
    assert pick_node(["a"], lambda _: pytest.fail("looked"), Random(1)) == "a"


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (Load(0, 4), Load(1, 4)),
        (Load(2, 8), Load(2, 4)),
        (Load(3, None), Load(3, 4)),
        (Load(0, 4, total_ms=100), Load(0, 4, total_ms=900)),
        (Load(3, 4, total_ms=100), Load(0, 4, total_ms=900)),
        (Load(0, 4), Load(1, 4, total_ms=900)),
        (Load(0, 4, total_ms=900, age=200), Load(0, 4, total_ms=500)),
    ],
)
def test_of_two_nodes_the_one_with_less_to_wait_for_gets_the_request(better: Load, worse: Load) -> None:
    loads, rng = {"better": better, "worse": worse}, Random(1)
    for nodes in (["better", "worse"], ["worse", "better"]):
        assert {pick_node(nodes, loads.__getitem__, rng) for _ in range(50)} == {"better"}


def test_two_idle_nodes_keep_their_order_when_both_are_stale() -> None:
    loads = {"fast": Load(total_ms=100, age=1e6), "slow": Load(total_ms=200, age=1e6)}
    assert {pick_node(["fast", "slow"], loads.__getitem__, Random(n)) for n in range(50)} == {"fast"}


def test_equal_nodes_take_turns_by_chance() -> None:
    counts = Counter(pick_node("abc", lambda _: Load(), rng) for rng in [Random(1)] for _ in range(3_000))
    assert all(900 < count < 1_100 for count in counts.values())


def simulated(latencies: dict[str, float], *, seed: int, concurrency: int | None, load: float) -> Counter[str]:
    """Which nodes got 4,000 requests that come at random, `load` of what the nodes could do, were they all equal."""
    clock, rng = Clock(), Random(seed)
    slots = Slots(clock)
    for node in latencies:
        slots.set_limit(node, concurrency)
    rate = load * len(latencies) * (concurrency or 8) / 100
    running: list[tuple[float, int, Slot, float]] = []
    got: Counter[str] = Counter()
    for number in range(4_000):
        clock.now += rng.expovariate(rate)
        while running and running[0][0] <= clock.now:
            _, _, slot, ms = heappop(running)
            slot.record_latency(first_token_ms=ms / 10, total_ms=ms)
            slot.release()
        if not (free := [node for node in latencies if slots.has_free(node)]):
            continue
        node = pick_node(free, slots.load, rng)
        taken = slots.acquire(node)
        assert taken
        got[node] += 1
        seconds = latencies[node] * rng.uniform(0.5, 1.5)
        heappush(running, (clock.now + seconds, number, taken, seconds * 1000))
    return got


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([8, None]), st.sampled_from([0.3, 0.6, 0.9]), st.integers(2, 5))
def test_the_load_of_equal_nodes_stays_balanced(seed: int, concurrency: int | None, load: float, nodes: int) -> None:
    got = simulated({f"n{n}": 100.0 for n in range(nodes)}, seed=seed, concurrency=concurrency, load=load)
    assert max(got.values()) < 1.6 * min(got.values())


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([8, None]), st.sampled_from([0.2, 0.4]))
def test_a_slow_node_gets_less(seed: int, concurrency: int | None, load: float) -> None:
    got = simulated({"fast": 100, "slow": 400, "quick": 100}, seed=seed, concurrency=concurrency, load=load)
    assert got["slow"] < 0.6 * min(got["fast"], got["quick"])
    assert got["slow"] > 0


@pytest.mark.parametrize(("least", "most"), [(1, 3), (5, 15), (80, 120), (900, 1_100)])
@pytest.mark.parametrize("seed", range(5))
def test_equal_nodes_share_requests_that_come_one_after_the_other(seed: int, least: float, most: float) -> None:
    clock, rng, got = Clock(), Random(seed), Counter[str]()
    slots = Slots(clock)
    for node in ("a", "b"):
        slots.set_limit(node, 16)
    for _ in range(60):
        node = pick_node(["a", "b"], slots.load, rng)
        ms = rng.uniform(least, most) + (0 if got[node] else 500)  # the first one connects
        clock.now += ms / 1000
        answered(slots, node, ms)
        got[node] += 1
    assert min(got["a"], got["b"]) >= 12


def test_a_slow_node_that_became_fast_is_found() -> None:
    clock = Clock()
    slots = Slots(clock)
    for node, ms in (("a", 100.0), ("b", 900.0)):
        slots.set_limit(node, None)
        answered(slots, node, ms)
    rng, chosen = Random(1), Counter[str]()
    for _ in range(600):
        clock.now += 1
        chosen[node := pick_node(["a", "b"], slots.load, rng)] += 1
        answered(slots, node, 100 if node == "a" else 50)
    assert chosen["b"] > 100


def test_the_feed_keeps_the_newest() -> None:
    events = EventLog(lambda: 5, capacity=3)
    for node in "abcd":
        events.record(node, "added", "by hand")
    assert [event.node for event in events.latest()] == ["d", "c", "b"]
    assert events.latest(1) == [NodeEvent(5, "d", "added", "by hand")]
