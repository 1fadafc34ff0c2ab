"""Amounts of money: integers of nano-dollars, since a few tokens cost less than a millionth of a dollar."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

NANO = 10**9
"""Nano-dollars of a dollar."""

DIGITS = 2
"""The significant digits of amounts below one dollar."""


def to_nano(dollars: Decimal | float | str) -> int:
    """Return an amount in US dollars as nano-dollars, rounded; a float counts as the digits that it is written with."""
    exact = dollars if isinstance(dollars, Decimal) else Decimal(str(dollars))
    return int((exact * NANO).to_integral_value(rounding=ROUND_HALF_EVEN))


def to_dollars(nano: int) -> float:
    """Return nano-dollars as US dollars."""
    return nano / NANO


def format_dollars(nano: int) -> str:
    """Return nano-dollars as `$1,234.50`, `$0.25`, `$0.0012` or `$0`: cents, and below them two significant digits."""
    exact = abs(Decimal(nano) / NANO)
    places = 2 if exact == 0 else max(2, DIGITS - 1 - exact.adjusted())
    text = f"{exact:,.{places}f}" if exact else "0"
    return f"{'-' if nano < 0 else ''}${text}"
