"""Limits as a person types them, one a line: `500 requests per 24 hours`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from herding.errors import UserError
from herding.values import Limit

_LINE = re.compile(
    r"(?P<count>[0-9]{1,15}) (?P<type>request|token)s? per "
    r"(?P<length>[0-9]{1,6}(?:\.[0-9]{1,30})?) (?P<unit>hour|day)s?",
    re.ASCII,
)
_HOURS = {"hour": 1, "day": 24}
_SHOWN = 60
_EXAMPLE = "Write a line such as '500 requests per 24 hours' or '100000 tokens per 24 hours'."


def parse(text: str) -> tuple[Limit, ...]:
    """The limits of all lines that are not blank; UserError names the first line that is none."""
    lines = enumerate(text.split("\n"), start=1)
    return tuple(_limit(number, line) for number, line in lines if line.strip())


def written(limits: Sequence[Limit]) -> str:
    """The lines that `parse` reads as these limits."""
    return "\n".join(
        f"{limit.limit} {limit.type}s per {_number(limit.interval_hours)} {_plural('hour', limit.interval_hours)}"
        for limit in limits
    )


def words(limit: Limit) -> str:
    """A limit for reading: `500 requests in 24 hours`."""
    return f"{limit.limit:,} {_plural(limit.type, limit.limit)} in {interval(limit.interval_hours)}"


def interval(hours: float) -> str:
    """`1 hour`, `24 hours`, `7 days`, `30 minutes`."""
    if hours >= 48 and hours % 24 == 0:
        return f"{hours / 24:g} days"
    if hours < 1:
        return f"{hours * 60:g} {_plural('minute', hours * 60)}"
    return f"{hours:g} {_plural('hour', hours)}"


def _limit(number: int, line: str) -> Limit:
    found = _LINE.fullmatch(" ".join(line.split()).lower())
    hours = float(found["length"]) * _HOURS[found["unit"]] if found else 0.0
    if found is None or hours == 0:
        said = line.strip()
        shown = said if len(said) <= _SHOWN else f"{said[:_SHOWN]} …"
        raise UserError(f"Line {number} of the limits, '{shown}', is no limit. {_EXAMPLE}", param="limits")
    return Limit("request" if found["type"] == "request" else "token", hours, int(found["count"]))


def _number(hours: float) -> str:
    """All digits of a number of hours, and no exponent."""
    plain = format(Decimal(repr(float(hours))), "f")
    return plain.removesuffix(".0")


def _plural(word: str, count: float) -> str:
    return word if count == 1 else f"{word}s"
