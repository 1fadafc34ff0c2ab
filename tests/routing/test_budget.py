"""Retries are bounded by the requests there are."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from herding.routing.budget import RetryBudget, pause


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_lone_user_may_always_retry_twice() -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    for _ in range(100):
        budget.record_request()
        assert budget.allow_retry()
        assert budget.allow_retry()
        clock.now += 3


def test_where_all_fail_a_fifth_more_calls_are_made_and_no_more() -> None:
    budget = RetryBudget(Clock())
    calls = 0
    for _ in range(1_000):
        budget.record_request()
        calls += 1
        while budget.allow_retry():
            calls += 1
    assert 1_190 <= calls <= 1_200 + 10


def test_a_retry_that_is_answered_costs_nothing() -> None:
    budget = RetryBudget(Clock(), minimum=3)
    for _ in range(100):
        assert budget.allow_retry()
        budget.record_success()
    assert [budget.allow_retry() for _ in range(4)] == [True, True, True, False]


def test_where_somebody_is_sound_a_retry_may_always_be_made_and_counts() -> None:
    budget = RetryBudget(Clock(), minimum=3)
    assert all(budget.allow_retry(sound=True) for _ in range(100))
    assert not budget.allow_retry()


def test_the_budget_comes_back_with_time() -> None:
    clock = Clock()
    budget = RetryBudget(clock, minimum=3)
    assert [budget.allow_retry() for _ in range(4)] == [True, True, True, False]
    clock.now += 11
    assert budget.allow_retry()


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.3, 2.0]), st.integers(0, 5)), max_size=60))
def test_no_window_has_too_many_retries(steps: list[tuple[float, int]]) -> None:
    clock, requests, retries = Clock(), list[float](), list[float]()
    budget = RetryBudget(clock, minimum=3)
    for wait, count in steps:
        clock.now += wait
        for _ in range(count):
            budget.record_request()
            requests.append(clock.now)
        if budget.allow_retry():
            retries.append(clock.now)
            # Whole seconds are counted, so that a window may be up to one second short.
            recent = [at for at in retries if at > clock.now - 9]
            assert len(recent) <= max(3, 0.2 * len([at for at in requests if at > clock.now - 11]) + 1)


@given(st.integers(1, 2_000), st.integers(0, 2**32))
def test_a_pause_is_short_and_jittered(retry: int, seed: int) -> None:
    assert 0 <= pause(retry, Random(seed)) <= min(0.25, 0.025 * 2 ** min(retry - 1, 30))


def test_pauses_differ_and_grow() -> None:
    rng = Random(1)
    means = [sum(pause(retry, rng) for _ in range(2_000)) / 2_000 for retry in (1, 2, 3, 9)]
    assert means == sorted(means)
    assert means[0] < 0.02
    assert means[-1] > 0.1
