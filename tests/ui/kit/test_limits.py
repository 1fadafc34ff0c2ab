"""Limits as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herding.errors import UserError
from herding.ui.kit.limits import interval, limit_text, parse_limits, to_lines
from herding.values import NANO, Limit

LIMITS = st.builds(
    Limit,
    st.sampled_from(["request", "token", "cost"]),
    st.floats(min_value=1e-6, max_value=744),
    st.integers(min_value=0, max_value=10**12),
)
NEARLY = st.text(alphabet="0123456789$ requsttokenphaour.\n", max_size=60)


@given(st.lists(LIMITS, max_size=10))
def test_what_is_written_reads_as_the_same_limits(limits: list[Limit]) -> None:
    assert parse_limits(to_lines(limits)) == tuple(limits)


@given(st.one_of(st.text(), NEARLY))
def test_any_text_is_limits_or_refused_with_its_line(text: str) -> None:
    said = None
    try:
        limits = parse_limits(text)
    except UserError as error:
        said = error.message
    if said is None:
        assert parse_limits(to_lines(limits)) == limits
        assert len(limits) == sum(bool(line.strip()) for line in text.split("\n"))
    else:
        assert said.startswith("Fix line ")
        assert len(said) < 300


def test_spaces_letters_of_any_size_and_days_are_understood() -> None:
    assert parse_limits("  500  Requests per 24 hours\r\n\n1 token per 0.5 day \n") == (
        Limit("request", 24, 500),
        Limit("token", 12, 1),
    )


def test_money_is_written_in_dollars() -> None:
    assert parse_limits("$0.25 per 24 hours\n$ 5 per 1 day") == (
        Limit("cost", 24, 250_000_000),
        Limit("cost", 24, 5 * NANO),
    )
    assert to_lines([Limit("cost", 24, 1)]) == "$0.000000001 per 24 hours"
    assert limit_text(Limit("cost", 24, 250_000_000)) == "$0.25 per 24 hours"


@pytest.mark.parametrize(
    "line",
    [
        "500 request a day",
        "-5 requests per 24 hours",
        "5.5 requests per 24 hours",
        "500 requests per 0 hours",
        "500 requests per -1 hours",
        "1e3 requests per 24 hours",
        "500 requests per 24 hours and more",
        "500 stars per 24 hours",
        "٥ requests per 24 hours",
        "9" * 5000,
    ],
)
def test_a_bad_line_is_named(line: str) -> None:
    with pytest.raises(UserError, match=r"^Fix line 3 of the limits") as refused:
        parse_limits(f"1 request per 1 hour\n\n{line}\n2 tokens per 1 hour")
    assert refused.value.param == "limits"
    assert line[:50] in refused.value.message


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (Limit("request", 24, 500), "500 requests per 24 hours"),
        (Limit("token", 168, 1_000_000), "1,000,000 tokens per 7 days"),
        (Limit("request", 1, 1), "1 request per 1 hour"),
    ],
)
def test_a_limit_in_words(limit: Limit, told: str) -> None:
    assert limit_text(limit) == told


def test_short_intervals_are_told_in_minutes() -> None:
    assert [interval(hours) for hours in (0.5, 1.5, 48, 49)] == ["30 minutes", "1.5 hours", "2 days", "49 hours"]
