"""What one answer was worth."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herding.routing.quality import Sample, Targets, quality, signals

PLAIN = Sample("r", "p", "m", at=0, ok=True, total_ms=1_500)
TARGETS = Targets(slow_ms=2_500, fast_ms=900)

samples = st.builds(
    Sample,
    request_id=st.just("r"),
    prompt=st.just("p"),
    model=st.just("m"),
    at=st.just(0),
    ok=st.booleans(),
    checks_passed=st.sampled_from([None, True, False]),
    total_ms=st.floats(0, 1e7),
)


@given(samples, st.lists(st.integers(1, 5), max_size=5))
def test_it_is_from_0_to_1(sample: Sample, stars: list[int]) -> None:
    assert 0 <= quality(sample, TARGETS, stars) <= 1


def test_a_failure_is_nothing_whatever_else() -> None:
    assert quality(replace(PLAIN, ok=False, checks_passed=True, total_ms=1), TARGETS, [5]) == 0


def test_checks_and_time_cost_and_earn() -> None:
    plain = signals(PLAIN, TARGETS)
    assert signals(replace(PLAIN, checks_passed=True), TARGETS) == pytest.approx(plain + 0.1)
    assert signals(replace(PLAIN, checks_passed=False), TARGETS) == pytest.approx(plain - 0.4)
    assert signals(replace(PLAIN, total_ms=2_500), TARGETS) == plain == signals(replace(PLAIN, total_ms=900), TARGETS)
    assert signals(replace(PLAIN, total_ms=3_750), TARGETS) == pytest.approx(plain - 0.1)
    assert signals(replace(PLAIN, total_ms=60_000), TARGETS) == pytest.approx(plain - 0.2)
    assert signals(replace(PLAIN, total_ms=675), TARGETS) == pytest.approx(plain + 0.05)
    assert signals(replace(PLAIN, total_ms=10), TARGETS) == pytest.approx(plain + 0.1)


def test_what_is_slow_is_the_prompts_own() -> None:
    assert signals(PLAIN, Targets(slow_ms=500, fast_ms=100)) < signals(PLAIN, Targets(slow_ms=9_000, fast_ms=5_000))


def test_stars_count_more_than_all_signals_together() -> None:
    worst = replace(PLAIN, checks_passed=False, total_ms=60_000)
    finest = replace(PLAIN, checks_passed=True, total_ms=1)
    assert quality(worst, TARGETS, [4]) > quality(finest, TARGETS, [3])
    assert quality(PLAIN, TARGETS, [5]) > quality(PLAIN, TARGETS) > quality(PLAIN, TARGETS, [1])
    assert quality(PLAIN, TARGETS, [1, 5]) == pytest.approx(quality(PLAIN, TARGETS, [3]))
