"""Whoever guesses tokens has to wait, and nobody else."""

from __future__ import annotations

import pytest

from herding.access.login_throttle import PER_ADDRESS, TOTAL, WINDOW, LoginThrottle
from herding.errors import LimitError


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fail(failures: LoginThrottle, address: str, times: int) -> None:
    for _ in range(times):
        failures.check(address)
        failures.record_failure(address)


def test_an_address_has_a_budget_of_its_own(clock: Clock) -> None:
    failures = LoginThrottle(clock)
    fail(failures, "a", PER_ADDRESS)
    with pytest.raises(LimitError) as caught:
        failures.check("a")
    assert caught.value.retry_after == WINDOW
    failures.check("b")


def test_the_budget_comes_back_as_failures_grow_old(clock: Clock) -> None:
    failures = LoginThrottle(clock, per_address=2)
    fail(failures, "a", 1)
    clock.now += 40
    fail(failures, "a", 1)
    with pytest.raises(LimitError) as caught:
        failures.check("a")
    assert caught.value.retry_after == pytest.approx(WINDOW - 40)
    clock.now += 20.5
    fail(failures, "a", 1)
    with pytest.raises(LimitError):
        failures.check("a")


def test_the_wait_is_never_nothing(clock: Clock) -> None:
    failures = LoginThrottle(clock, per_address=1)
    fail(failures, "a", 1)
    clock.now += WINDOW
    with pytest.raises(LimitError) as caught:
        failures.check("a")
    assert caught.value.retry_after >= 1


def test_when_all_together_failed_too_often_nobody_is_locked_out_who_did_not(clock: Clock) -> None:
    failures = LoginThrottle(clock)
    for number in range(TOTAL):
        fail(failures, f"address {number}", 1)
    failures.check("somebody else")
    with pytest.raises(LimitError):
        failures.check("address 7")


def test_what_is_old_is_not_kept(clock: Clock) -> None:
    failures = LoginThrottle(clock)
    for number in range(5_000):
        failures.record_failure(f"address {number}")
        clock.now += 1
    failures.check("x")
    assert len(failures._recent) == len(failures._by_address) <= WINDOW + 1
