"""Sums over time as stacked bars, one for each period and a place for those without requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from markupsafe import Markup

from herding.ui.kit.charts.chart import SERIES, drawing, figure, legend, line, nice_maximum, percent, series
from herding.ui.kit.charts.time_sums import OTHERS, Bar, fill
from herding.ui.kit.format import date_tag, el, time_tag, utc_text
from herding.values.durations import DAY_MS, HOUR_MS, MINUTE_MS

HEIGHT = 120


def bar_chart(
    bars: Iterable[Bar],
    *,
    title: str,
    value: str,
    since: int,
    until: int,
    width_ms: int,
    show: Callable[[float], str] = "{:,.4g}".format,
    tones: Mapping[str, int] | None = None,
) -> Markup | None:
    """Return a chart of sums in periods of `width_ms`, None without any sum but zero.

    title: the heading; value: the name of the sums; since, until: the time that the axis covers (Unix ms). tones: the
    places of names among the colours, if other charts of the page show them as well.
    """
    table = fill(bars, since=since, until=until, width_ms=width_ms)
    if table.empty or not table["value"].any():
        return None
    names = {name: place for place, name in enumerate(dict.fromkeys(table["name"]))}
    names = {name: SERIES if name == OTHERS else (tones or names).get(name, SERIES) for name in names}
    stacks: dict[int, dict[str, float]] = {}
    for at, name, amount in table.itertuples(index=False):
        stacks.setdefault(int(at), {})[str(name)] = float(amount)
    sums = {at: sum(parts.values()) for at, parts in stacks.items()}
    top, peak = nice_maximum(max(sums.values())), max(sums, key=lambda at: sums[at])
    shapes: list[Any] = [line("0", HEIGHT * part, "100%", HEIGHT * part, "grid") for part in (0, 0.5, 1)]
    for place, (at, parts) in enumerate(stacks.items()):
        shapes += _stack(parts, names, place, len(stacks), top=top, label=utc_text(at), show=show)
    days = width_ms >= DAY_MS
    tag = date_tag if days else time_tag
    axis = el("div", tag(next(iter(stacks))), el("span", f"per {period_name(width_ms)}", cls="muted"), tag(until))
    scale = el("div", *(el("span", show(top * part)) for part in (1, 0.5, 0)), cls="chart-scale", aria_hidden="true")
    told = f"{value} per {period_name(width_ms)}. Highest: {show(sums[peak])}, {utc_text(peak)} UTC."
    rows = [(tag(at), *(show(parts[name]) for name in names)) for at, parts in stacks.items() if sums[at]]
    return figure(
        title,
        el("div", scale, drawing(title, told, *shapes, height=HEIGHT), cls="chart-frame"),
        el("div", axis, cls="chart-axis"),
        legend(names),
        heads=("Time", *names),
        rows=rows,
    )


def _stack(
    parts: dict[str, float],
    names: Mapping[str, int],
    place: int,
    count: int,
    *,
    top: float,
    label: str,
    show: Callable[[float], str],
) -> list[Markup]:
    """Return the bars of one period, one on the other."""
    shapes, base = [], float(HEIGHT)
    for name, tone in names.items():
        height = HEIGHT * parts[name] / top
        if not height:
            continue
        base -= height
        shapes.append(
            el(
                "rect",
                el("title", f"{label} UTC · {name}: {show(parts[name])}"),
                x=percent((place + 0.12) / count),
                width=percent(0.76 / count),
                y=f"{base:.2f}",
                height=f"{height:.2f}",
                cls=series(tone),
            )
        )
    return shapes


def period_name(width_ms: int) -> str:
    """Return a length of time as it follows `per`: `day`, `3 days`, `hour`, `5 minutes`."""
    for unit, name in ((DAY_MS, "day"), (HOUR_MS, "hour"), (MINUTE_MS, "minute")):
        if width_ms >= unit:
            count = width_ms // unit
            return name if count == 1 else f"{count} {name}s"
    return f"{width_ms} ms"
