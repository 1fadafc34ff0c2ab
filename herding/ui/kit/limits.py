"""Limits as text, one per line: `500 requests per 24 hours`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from herding.errors import UserError
from herding.values import NANO, Limit, to_nano

_LINE = re.compile(
    r"(?:(?P<count>[0-9]{1,15}) (?P<type>request|token)s?|\$ ?(?P<dollars>[0-9]{1,7}(?:\.[0-9]{1,9})?)) per "
    r"(?P<length>[0-9]{1,6}(?:\.[0-9]{1,30})?) (?P<unit>hour|day)s?",
    re.ASCII,
)
_HOURS = {"hour": 1, "day": 24}
_SHOWN = 60
_EXAMPLE = "Write a line such as '500 requests per 24 hours', '100000 tokens per 24 hours' or '$5 per 24 hours'."


def parse_limits(text: str) -> tuple[Limit, ...]:
    """Return the limits of all lines that are not blank; raise UserError for the first invalid line."""
    lines = enumerate(text.split("\n"), start=1)
    return tuple(_limit(number, line) for number, line in lines if line.strip())


def to_lines(limits: Sequence[Limit]) -> str:
    """Return the limits as the lines that `parse_limits` reads."""
    return "\n".join(
        f"{_line_amount(limit)} per {_number(limit.interval_hours)} {_plural('hour', limit.interval_hours)}"
        for limit in limits
    )


def limit_text(limit: Limit) -> str:
    """Return a limit as `500 requests per 24 hours` or `$5.00 per 24 hours`."""
    return f"{limit.in_words(limit.limit)} per {interval(limit.interval_hours)}"


def interval(hours: float) -> str:
    """Return a number of hours as `1 hour`, `24 hours`, `7 days` or `30 minutes`."""
    if hours >= 48 and hours % 24 == 0:
        return f"{hours / 24:g} days"
    if hours < 1:
        return f"{hours * 60:g} {_plural('minute', hours * 60)}"
    return f"{hours:g} {_plural('hour', hours)}"


def _limit(number: int, line: str) -> Limit:
    found = _LINE.fullmatch(" ".join(line.split()).lower())
    hours = float(found["length"]) * _HOURS[found["unit"]] if found else 0.0
    if found is None or hours == 0:
        text = line.strip()
        start = text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
        raise UserError(f"Fix line {number} of the limits, '{start}'. {_EXAMPLE}", param="limits")
    if found["dollars"]:
        return Limit("cost", hours, to_nano(found["dollars"]))
    return Limit("request" if found["type"] == "request" else "token", hours, int(found["count"]))


def _line_amount(limit: Limit) -> str:
    """Return the amount of a limit as it is typed, with all its digits."""
    if limit.type != "cost":
        return f"{limit.limit} {limit.type}s"
    digits = format(Decimal(limit.limit) / NANO, "f")
    return f"${digits.rstrip('0').rstrip('.') if '.' in digits else digits}"


def _number(hours: float) -> str:
    """Return a number of hours without an exponent."""
    plain = format(Decimal(repr(float(hours))), "f")
    return plain.removesuffix(".0")


def _plural(word: str, count: float) -> str:
    return word if count == 1 else f"{word}s"
