"""Amounts of money."""

from __future__ import annotations

from decimal import Decimal

import pytest

from herding.values import NANO, Limit, format_dollars, to_dollars, to_nano


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "$0"),
        (1, "$0.0000000010"),
        (1_234_567, "$0.0012"),
        (12_345_678, "$0.012"),
        (123_456_789, "$0.12"),
        (NANO, "$1.00"),
        (1_234_500_000_000, "$1,234.50"),
        (-2_000_000, "-$0.0020"),
    ],
)
def test_amounts_are_readable(nano: int, text: str) -> None:
    assert format_dollars(nano) == text


def test_dollars_keep_the_digits_that_they_are_written_with() -> None:
    assert to_nano(0.1) + to_nano(0.2) == to_nano("0.3") == to_nano(Decimal("0.3"))
    assert to_dollars(to_nano(0.0012)) == 0.0012


@pytest.mark.parametrize(
    ("kind", "amount", "count"), [("cost", 0.25, NANO // 4), ("cost", 5, 5 * NANO), ("token", 7, 7)]
)
def test_limits_are_written_in_dollars(kind: str, amount: float, count: int) -> None:
    limit = Limit.of(kind, 24, amount)
    assert limit == Limit(kind, 24, count)
    assert limit.amount == amount


@pytest.mark.parametrize(("kind", "amount"), [("cost", -0.1), ("cost", 1_000_001), ("request", 0.5), ("token", -1)])
def test_other_amounts_are_refused(kind: str, amount: float) -> None:
    with pytest.raises(ValueError, match="from 0 to"):
        Limit.of(kind, 24, amount)
