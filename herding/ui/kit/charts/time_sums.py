"""Sums over time, by a name, with a place for each period, also for those without requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from herding.ui.kit.charts.chart import SERIES
from herding.values.durations import DAY_MS

OTHERS = "Others"
MAX_BARS = 100


class Bar(NamedTuple):
    """The sum of one name in the period that begins at `at` (Unix milliseconds)."""

    at: int
    name: str
    value: float


def fill(bars: Iterable[Bar], *, since: int, until: int, width_ms: int) -> pd.DataFrame:
    """Return a row for each period and name with its sum, zero without requests; the largest names come first.

    Beyond seven names, the smaller ones are summed up as others.
    """
    table = pd.DataFrame(bars, columns=["time", "name", "value"])
    if table.empty:
        return table
    table["time"] -= table["time"] % width_ms
    ranked = table.groupby("name")["value"].sum().sort_values(ascending=False, kind="stable").index.tolist()
    if len(ranked) > SERIES:
        kept = ranked[:SERIES]
        table["name"] = table["name"].where(table["name"].isin(kept), OTHERS)
        ranked = [*kept, OTHERS]
    periods = range(since - since % width_ms, until + 1, width_ms)
    sums = table.pivot_table(index="time", columns="name", values="value", aggfunc="sum", fill_value=0)
    sums = sums.reindex(index=list(periods), columns=ranked, fill_value=0)
    return sums.reset_index().melt(id_vars="time", value_name="value")


def bucket_width(since: int, until: int) -> int:
    """Return the whole days in milliseconds by which a period is split into at most a hundred bars."""
    days = max(1, -(-(until - since) // DAY_MS))
    return -(-days // MAX_BARS) * DAY_MS
