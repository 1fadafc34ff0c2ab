"""Reads when a server wants to be called again, from the headers of a response with an error status."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_HEADERS = 24
MAX_HEADER_CHARS = 200

_RATE_LIMIT = re.compile(r"(?:x-|anthropic-)?ratelimit(?:-[a-z0-9-]{1,60})?")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_FIELD_RESET = re.compile(r"(?:^|[;,\s])(?:reset|t)=([0-9]+)")
_FIELD_EMPTY = re.compile(r"(?:^|[;,\s])(?:remaining|r)=0(?:[;,\s]|$)")
_EPOCH_SECONDS = 1_000_000_000
"""A larger number is not a duration but a time since 1970, in seconds; in milliseconds from a thousand times this."""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until the next call; 0 for a time in the past, None without a hint.

    `Retry-After` (seconds, a date or a duration such as `1m30s`) and `retry-after-ms` count before the reset times of
    rate limits, of which those with nothing left count before others.
    """
    now = time.time()
    found = _number(headers.get("retry-after-ms") or headers.get("x-ms-retry-after-ms"))
    if found is not None:
        return max(0.0, found / 1000)
    for name in ("retry-after", "x-retry-after"):
        if (seconds := _seconds(headers.get(name, ""), now)) is not None:
            return seconds
    return _reset(headers, now)


def visible_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers about rate limits, which callers read to slow down."""
    found = {name.lower(): value for name, value in headers.items() if _RATE_LIMIT.fullmatch(name.lower())}
    clean = {name: value for name, value in found.items() if value.isascii() and value.isprintable()}
    return {name: clean[name] for name in list(clean)[:MAX_HEADERS] if len(clean[name]) <= MAX_HEADER_CHARS}


def _reset(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds until a rate limit is reset: of the exhausted ones the last, else of all the first."""
    exhausted, others = list[float](), list[float]()
    for name, value in headers.items():
        if "ratelimit" not in name.lower():
            continue
        if "reset" in name.lower():
            seconds, left = _seconds(value, now), headers.get(re.sub("reset", "remaining", name, flags=re.I), "")
            is_empty = left.strip() in ("0", "0.0")
        else:  # the newer form has one header: `limit=10, remaining=0, reset=7` or `"default";r=0;t=7`
            match = _FIELD_RESET.search(value)
            seconds, is_empty = float(match[1]) if match else None, bool(_FIELD_EMPTY.search(value))
        if seconds is not None:
            (exhausted if is_empty else others).append(seconds)
    return max(exhausted) if exhausted else min(others, default=None)


def _seconds(value: str, now: float) -> float | None:
    """Return the seconds that a header means: a number, a duration, a time since 1970 or a date."""
    value = value.strip().strip('"')
    if not value:
        return None
    if (number := _number(value)) is not None:
        if number >= _EPOCH_SECONDS * 1000:
            return max(0.0, number / 1000 - now)
        if number >= _EPOCH_SECONDS:
            return max(0.0, number - now)
        return max(0.0, number)
    if _DURATION.fullmatch(value):
        return sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(value))
    return _until_date(value, now)


def _until_date(value: str, now: float) -> float | None:
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = parse(value)
        except (ValueError, TypeError, OverflowError):
            continue
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - now)
    return None


def _number(value: str | None) -> float | None:
    """Return a decimal number; a negative one is a time in the past."""
    value = (value or "").strip()
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]*)?", value) or len(value) > 400:
        return None
    return float(value)
