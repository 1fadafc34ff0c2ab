"""The share of success, its worked example, and where its arithmetic used to break."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herding.routing.quality import Sample, Targets, fault
from herding.routing.shares import MIN_SUCCESS_SHARE, draw, success_shares

ANY = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-5, 5)


def test_the_worked_example() -> None:
    """Gemini errs in 2 of 2, Llama in 0 of 2, Phi3 in 1 of 2: 0 %, 66 %, 33 %; 30 falls to Phi3, 35 to Llama."""
    shares = success_shares([2, 2, 2], [2, 0, 1], least=0)
    assert shares == pytest.approx([0, 2 / 3, 1 / 3])
    assert draw(shares, 0.30) == 2
    assert draw(shares, 0.35) == 1
    assert success_shares([2, 2, 2], [2, 0, 1]) == pytest.approx([0.02, 0.02 + 0.94 * 2 / 3, 0.02 + 0.94 / 3])


@given(st.lists(st.tuples(ANY, ANY), min_size=1, max_size=30))
def test_whatever_the_numbers_each_has_a_share_and_they_add_up_to_one(pairs: list[tuple[float, float]]) -> None:
    shares = success_shares([total for total, _ in pairs], [errors for _, errors in pairs])
    assert sum(shares) == pytest.approx(1)
    assert min(shares) >= min(MIN_SUCCESS_SHARE, 0.2 / len(pairs)) - 1e-12


@given(st.integers(1, 9), st.sampled_from([(0, 0), (0, 5), (4, 4), (4, 9), (math.nan, 1), (3, math.nan), (-2, 1)]))
def test_where_the_numbers_say_nothing_all_are_equal(models: int, pair: tuple[float, float]) -> None:
    assert success_shares([pair[0]] * models, [pair[1]] * models) == pytest.approx([1 / models] * models)


def test_an_unknown_model_counts_as_the_mean_of_the_known() -> None:
    shares = success_shares([10, 10, 0], [0, 10, 0], least=0)
    assert shares == pytest.approx([2 / 3, 0, 1 / 3])


def test_errors_below_zero_and_above_the_total_are_bounded() -> None:
    assert success_shares([10, 10], [-5, 0]) == pytest.approx([0.5, 0.5])
    assert success_shares([10, 10], [15, 5]) == pytest.approx(success_shares([10, 10], [10, 5]))


def test_no_models_no_shares() -> None:
    assert success_shares([], []) == []


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=9), st.floats(0, 1, exclude_max=True))
def test_the_draw_goes_through_the_shares_from_the_smallest(weights: list[float], at: float) -> None:
    shares = [weight / sum(weights) for weight in weights]
    drawn = draw(shares, at)
    smaller = sum(share for share in shares if share < shares[drawn])
    same = sum(share for share in shares if share == shares[drawn])
    assert smaller - 1e-9 <= at <= smaller + same + 1e-9


@pytest.mark.parametrize(
    ("ok", "checks_passed", "ms", "amount"),
    [
        (False, None, 10, 1.0),
        (True, None, 1_000, 0.0),
        (True, True, 3_000, 0.1),
        (True, False, 3_000, 0.4),
        (True, False, 1_000, 0.3),
        (True, None, 500, -0.1),
    ],
)
def test_errors_are_fractions(ok: bool, checks_passed: bool | None, ms: float, amount: float) -> None:
    assert fault(Sample("r", "p", "m", 0, ok, checks_passed, ms), Targets()) == pytest.approx(amount)
