"""A plot of sums over time, stacked by a name, with a bar for each period and a place for those without requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import gradio as gr
import pandas as pd

from herding.values.durations import DAY_MS, HOUR_MS

OTHERS = "Others"
COLOURS = ("#35806a", "#b3761c", "#4a7fb5", "#c0573f", "#8a68b0", "#2b8fa3", "#b85c8a")
"""Each has a contrast of 3:1 on the background of both themes."""

OTHERS_COLOUR = "#857d6d"
HEIGHT = 300
MAX_BARS = 100


class Bar(NamedTuple):
    """The sum of one name in the period that begins at `at` (Unix milliseconds)."""

    at: int
    name: str
    value: float


def day_plot(elem_id: str, *, value: str, name: str) -> Any:
    """Return the component, without data; `value` and `name` are the labels of the sums and of the names."""
    return gr.BarPlot(
        x="time",
        y="value",
        color="name",
        x_title="Time",
        y_title=value,
        color_title=name,
        y_aggregate="sum",
        tooltip="all",
        height=HEIGHT,
        show_label=False,
        visible=False,
        elem_id=elem_id,
    )


def update_plot(bars: Iterable[Bar], *, since: int, until: int, width_ms: int, **titles: str) -> Any:
    """Return an update of the component for periods of `width_ms`, hidden without any sum but zero.

    The axis reaches from the begin of the period of `since` to the end of that of `until`: a bar that began a minute
    ago is as wide as the others.
    """
    table = fill(bars, since=since, until=until, width_ms=width_ms)
    if table.empty or not table["value"].any():
        return gr.update(visible=False)
    names = list(dict.fromkeys(table["name"]))
    colours = {name: OTHERS_COLOUR if name == OTHERS else COLOURS[number] for number, name in enumerate(names)}
    first, last = since - since % width_ms, until - until % width_ms + width_ms
    return gr.update(
        value=_plot_data(table, width_ms),
        color_map=colours,
        x_bin=f"{width_ms // HOUR_MS}h",
        x_lim=[first / 1000, last / 1000],
        visible=True,
        **titles,
    )


def fill(bars: Iterable[Bar], *, since: int, until: int, width_ms: int) -> pd.DataFrame:
    """Return a row for each period and name with its sum, zero without requests; the largest names come first.

    Beyond seven names, the smaller ones are summed up as others.
    """
    table = pd.DataFrame(bars, columns=["time", "name", "value"])
    if table.empty:
        return table
    table["time"] -= table["time"] % width_ms
    ranked = table.groupby("name")["value"].sum().sort_values(ascending=False, kind="stable").index.tolist()
    if len(ranked) > len(COLOURS):
        kept = ranked[: len(COLOURS)]
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


def _plot_data(table: pd.DataFrame, width_ms: int) -> dict[str, Any]:
    """Return rows in the component's own format.

    Each is in the middle of its period: the component adds a bar at the begin of the last period to the one before.
    """
    rows = [[int(time) + width_ms // 2, float(value), str(name)] for time, name, value in table.itertuples(index=False)]
    kinds = {"time": "temporal", "value": "quantitative", "name": "nominal"}
    return {"columns": list(kinds), "data": rows, "datatypes": kinds, "mark": "bar"}
