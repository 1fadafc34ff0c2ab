"""A period of time: a preset, or two days."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from markupsafe import Markup

from herding.errors import UserError
from herding.ui.kit.fields import select_field, text_field
from herding.ui.kit.format import el, join
from herding.values.durations import DAY_MS

ALL, TODAY, CUSTOM = "", "0", "custom"
PRESETS = [("Today", TODAY), ("Last 7 days", "6"), ("Last 30 days", "29"), ("Last 90 days", "89"), ("Custom", CUSTOM)]
"""The presets, each with its number of days before today. All days are in UTC."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def period_fields(id: str, preset: str, begin: str, end: str, *, optional: bool = True) -> Markup:
    """Return the fields `period`, `from` and `to`; the days are only visible with the preset Custom.

    `id` is the beginning of their ids. Without `optional`, the period has a preset or days.
    """
    presets = [("Any time", ALL), *PRESETS] if optional else PRESETS
    days = (
        el("div", text_field(label, name, value, kind="date", id=f"{id}-{name}"), cls="period-day")
        for label, name, value in (("From (UTC)", "from", begin), ("To (UTC)", "to", end))
    )
    return join([el("div", select_field("Period", "period", presets, preset, id=f"{id}-period"), cls="period"), *days])


def read_period(preset: Any, begin: Any, end: Any, now: int) -> tuple[int | None, int | None]:
    """Return the begin (inclusive) and the end (exclusive) of a period in Unix milliseconds; None without a bound.

    Presets reach to the end of today. Raises UserError for a text that is no day.
    """
    if preset == CUSTOM:
        since, until = _midnight(begin, "From"), _midnight(end, "To", last=True)
        if since is not None and until is not None and until <= since:
            raise UserError('Fix "To": choose a day that is not before "From".', param="to")
        return since, until
    days = int(preset) if preset in tuple(value for _, value in PRESETS) else None
    if days is None:
        return None, None
    today = now - now % DAY_MS
    return today - days * DAY_MS, today + DAY_MS


def _midnight(text: Any, label: str, *, last: bool = False) -> int | None:
    """Return the begin of a day, or of the day after it."""
    given = str(text or "").strip()[:10]
    if not given:
        return None
    try:
        if not _DAY.fullmatch(given):
            raise ValueError
        day = date.fromisoformat(given) + timedelta(days=last)
        return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise UserError(f'Fix "{label}": enter a day such as 2026-11-30.', param=label.lower()) from None
