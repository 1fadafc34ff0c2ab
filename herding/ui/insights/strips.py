"""Single ratings and latencies as dots, one row for each version and model."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from herding.evaluation.insights import PromptInsights
from herding.evaluation.version_matrix import VersionModelStats
from herding.ui.kit.charts.chart import drawing, figure, line, nice_maximum, percent, series, short_model
from herding.ui.kit.format import duration, el, plural, utc_text
from herding.values import AttemptStats

MAX_ROWS = 8
"""Versions and models that a chart shows; the table has all."""

RADIUS = 4
STEP = 10
"""Pixels between the centres of dots that would cover each other."""

ACROSS = 5
"""Dots beside each other for the same rating."""

MAX_DOTS = 20
"""Equal ratings of a row; more of them are shown as a bar with their number."""

LATENCY_HEIGHT = 34
LOG_RATIO = 20
"""Latencies whose slowest is this many times the fastest stand on a logarithmic scale."""

FASTEST_MS = 1.0
MARGIN = 0.02
"""Part of the width beside the ends of an axis."""


class Row(NamedTuple):
    """A version on a model, with its attempts and its statistics."""

    stats: VersionModelStats
    tries: Sequence[AttemptStats]


def rows_of(report: PromptInsights) -> list[Row]:
    """Return the versions and models with recent attempts, in the order of the table."""
    found: dict[tuple[int, bool, str], list[AttemptStats]] = defaultdict(list)
    for one in report.recent:
        found[one.version, one.edited, one.model].append(one)
    cells = {(cell.version, cell.edited, cell.model): cell for cell in report.cells}
    return [Row(cell, found[key]) for key, cell in cells.items() if key in found]


def colours(report: PromptInsights) -> dict[str, int]:
    """Return the place of each model among the colours: the target models first."""
    names = [*(model.model for model in report.models), *(cell.model for cell in report.cells)]
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


# Ratings


def rating_chart(report: PromptInsights) -> Markup:
    """Return each rating as a dot, with the mean and its 95 % interval."""
    rows = [row for row in rows_of(report) if any(one.stars for one in row.tries)]
    count = sum(len(one.stars) for row in rows for one in row.tries)
    if not count:
        text = "No ratings yet. Rate responses in the Prompt engineer, Review or History tab."
        return figure("Ratings", el("p", text, cls="muted"))
    tones = colours(report)
    most = max(max(_stars(row).values()) for row in rows)
    shown = [_strip(row, _rating_drawing(row, tones, bars=most > MAX_DOTS), _rating_text(row)) for row in rows]
    scale = el("div", *(el("span", f"{number} ★") for number in range(1, 6)), cls="strip-scale five")
    table = [
        (*_name(row), *(_stars(row)[number] for number in range(1, 6)), _rating_text(row)) for row in rows[:MAX_ROWS]
    ]
    return figure(
        "Ratings",
        *shown[:MAX_ROWS],
        _strip_axis(scale),
        _left_out(len(rows)),
        note=f"{plural(count, 'rating')}{_of_latest(report)}; line: mean and 95 % interval",
        heads=("Version", "Model", *(f"{number} ★" for number in range(1, 6)), "Mean"),
        rows=table,
    )


def _stars(row: Row) -> Counter[int]:
    return Counter(stars for one in row.tries for stars in one.stars)


def _rating_text(row: Row) -> str:
    stars = [given for one in row.tries for given in one.stars]
    return f"{sum(stars) / len(stars):.1f} ★ · n={len(stars)}"


def _rating_drawing(row: Row, tones: Mapping[str, int], *, bars: bool) -> Markup:
    found, cls = _stars(row), series(tones[row.stats.model])
    height = 34 if bars else max(1, math.ceil(max(found.values()) / ACROSS)) * STEP + 18
    shapes = [line(percent(_star_at(number)), 0, percent(_star_at(number)), height, "grid") for number in range(1, 6)]
    for number, count in sorted(found.items()):
        if bars:
            shapes += _rating_bar(number, count, cls, height - 12, most=max(found.values()))
        else:
            shapes += _rating_dots(number, count, cls, height - 12)
    shapes += _interval(row, height - 6)
    told = ", ".join(f"{plural(number, 'star')}: {count}" for number, count in sorted(found.items()))
    return drawing(f"Ratings of {' '.join(_name(row))}", f"{told}. Mean {_rating_text(row)}.", *shapes, height=height)


def _rating_dots(number: int, count: int, cls: str, floor: int) -> list[Markup]:
    """Return a dot for each rating, side by side and then on one another."""
    shapes = []
    for place in range(count):
        line_number, column = divmod(place, ACROSS)
        beside = min(count - line_number * ACROSS, ACROSS)
        shift = (column - (beside - 1) / 2) * STEP
        shapes.append(_dot(_star_at(number), floor - RADIUS - line_number * STEP, cls, shift=shift))
    return shapes


def _rating_bar(number: int, count: int, cls: str, floor: int, *, most: int) -> list[Markup]:
    height = max(1.0, (floor - 2) * count / most)
    at = _star_at(number)
    bar = el(
        "rect",
        el("title", f"{plural(number, 'star')}: {count:,}"),
        x=percent(at - 0.06),
        width="12%",
        y=f"{floor - height:.1f}",
        height=f"{height:.1f}",
        cls=cls,
    )
    return [bar, el("text", f"{count:,}", x=percent(at), y=str(floor - 3), text_anchor="middle")]


def _interval(row: Row, y: float) -> list[Markup]:
    """Return the mean of all ratings of the period as a tick on its 95 % interval."""
    stats = row.stats
    if stats.mean_stars is None or stats.low is None or stats.high is None:
        return []
    low, mean, high = (percent(_star_at(value)) for value in (stats.low, stats.mean_stars, stats.high))
    return [line(low, y, high, y, "interval"), line(mean, y - 5, mean, y + 5, "mean")]


def _star_at(stars: float) -> float:
    """Return the place of a rating from 1 to 5 on the width (0-1)."""
    return 0.1 + 0.2 * (stars - 1)


# Latencies


class Scale(NamedTuple):
    """An axis of times in milliseconds: linear from 0, or logarithmic from `low`."""

    low: float
    high: float
    logarithmic: bool

    def at(self, ms: float) -> float:
        """Return the place of a time on the width (0-1)."""
        if not self.logarithmic:
            return MARGIN + (1 - 2 * MARGIN) * ms / self.high
        share = math.log(max(ms, self.low) / self.low) / math.log(self.high / self.low)
        return MARGIN + (1 - 2 * MARGIN) * share

    def ticks(self) -> list[float]:
        """Return the times that the axis names."""
        if not self.logarithmic:
            return [self.high * part for part in (0, 0.25, 0.5, 0.75, 1)]
        powers = [self.low]
        while powers[-1] * 10 <= self.high * 1.001:
            powers.append(powers[-1] * 10)
        return powers


def _tick(ms: float) -> str:
    """Return a time of the axis, short enough to stand beside the next: `100 ms`, `2.5 s`, `1,000 s`."""
    return f"{ms:.3g} ms" if ms < 1_000 else f"{ms / 1_000:,.3g} s" if ms < 1_000_000 else f"{ms / 1_000:,.0f} s"


def scale_of(times: Sequence[float]) -> Scale:
    """Return the axis for some times."""
    slow, fast = max(times), max(min(times), FASTEST_MS)
    if slow < LOG_RATIO * fast:
        return Scale(0, nice_maximum(slow), logarithmic=False)
    low = 10.0 ** math.floor(math.log10(fast))
    return Scale(low, 10.0 ** math.ceil(math.log10(slow)), logarithmic=True)


def latency_chart(report: PromptInsights) -> Markup | None:
    """Return the time of each attempt as a dot, with the median; None without attempts."""
    rows = rows_of(report)
    times = [one.total_ms for row in rows for one in row.tries]
    if not times:
        return None
    scale, tones = scale_of(times), colours(report)
    shown = [_strip(row, _latency_drawing(row, scale, tones), _latency_text(row.stats)) for row in rows[:MAX_ROWS]]
    ticks = [el("span", _tick(tick), style=f"left:{100 * scale.at(tick):.2f}%", cls="tick") for tick in scale.ticks()]
    marks = [("ok", "succeeded"), ("check", "failed a check"), ("failed", "failed")]
    seen = {_kind(one) for row in rows for one in row.tries}
    keys = [el("li", _key(kind), el("span", name)) for kind, name in marks if kind in seen]
    table = [
        (*_name(row), utc_text(one.at), duration(one.total_ms), dict(marks)[_kind(one)])
        for row in rows[:MAX_ROWS]
        for one in row.tries[-25:]
    ]
    scaled = ", logarithmic" if scale.logarithmic else ""
    return figure(
        "Latency",
        *shown,
        _strip_axis(el("div", *ticks, cls="strip-scale")),
        _left_out(len(rows)),
        el("ul", *keys, cls="chart-legend") if seen != {"ok"} else None,
        note=f"{plural(len(times), 'attempt')}{_of_latest(report)}; line: median{scaled}",
        heads=("Version", "Model", "Time (UTC)", "Latency", "Result"),
        rows=table,
    )


def _latency_text(stats: VersionModelStats) -> str:
    return f"{duration(stats.p50_ms)} · n={stats.requests:,}"


def _latency_drawing(row: Row, scale: Scale, tones: Mapping[str, int]) -> Markup:
    cls, middle = series(tones[row.stats.model]), LATENCY_HEIGHT / 2
    shapes = [
        line(percent(scale.at(tick)), 0, percent(scale.at(tick)), LATENCY_HEIGHT, "grid") for tick in scale.ticks()
    ]
    if row.stats.p50_ms is not None:
        median = percent(scale.at(row.stats.p50_ms))
        shapes.append(line(median, 2, median, LATENCY_HEIGHT - 2, "mean"))
    places: Counter[int] = Counter()
    for one in row.tries:
        at = scale.at(one.total_ms)
        place = round(at * 60)  # about the width of a dot
        level = places[place]
        places[place] += 1
        shift = (level + 1) // 2 * (1 if level % 2 else -1) * 6.0
        y = middle + max(-middle + RADIUS, min(middle - RADIUS, shift))
        shapes.append(_mark(one, at, y, cls))
    failed = sum(not one.ok for one in row.tries)
    told = f"Median {duration(row.stats.p50_ms)}, 95th percentile {duration(row.stats.p95_ms)}, {failed} failed."
    return drawing(f"Latency of {' '.join(_name(row))}", told, *shapes, height=LATENCY_HEIGHT)


def _kind(one: AttemptStats) -> str:
    return "failed" if not one.ok else "check" if one.checks_passed is False else "ok"


def _mark(one: AttemptStats, at: float, y: float, cls: str) -> Markup:
    kind = _kind(one)
    stars = f" · {plural(one.stars[0], 'star')}" if len(one.stars) == 1 else ""
    told = {"failed": " · failed", "check": " · failed a check", "ok": ""}[kind]
    title = f"{duration(one.total_ms)}{told}{stars} · {utc_text(one.at)} UTC"
    if kind == "failed":
        cross = el("path", el("title", title), d="M-4 -4L4 4M-4 4L4 -4", cls="cross")
        return el("svg", el("g", cross, transform=f"translate(0 {y:g})"), x=percent(at), overflow="visible")
    return _dot(at, y, f"{cls} hollow" if kind == "check" else cls, title=title)


def _key(kind: str) -> Markup:
    """Return the mark of a result, as the legend shows it."""
    if kind == "failed":
        mark = el("path", d="M3 3L11 11M3 11L11 3", cls="cross")
    else:
        mark = el("circle", cx="7", cy="7", r=str(RADIUS), cls="key hollow" if kind == "check" else "key")
    return el("svg", mark, width="14", height="14", aria_hidden="true", cls="chart-key")


# Parts of both


def _dot(at: float, y: float, cls: str, *, shift: float = 0.0, title: str | None = None) -> Markup:
    moved = f"translate({shift:g} 0)" if shift else None
    told = el("title", title) if title else None
    return el("circle", told, cx=percent(at), cy=f"{y:g}", r=str(RADIUS), transform=moved, cls=f"dot-mark {cls}")


def _name(row: Row) -> tuple[str, str]:
    stats = row.stats
    version = f"v{stats.version}" if stats.version else "unsaved"
    return f"{version} edited" if stats.edited and stats.version else version, stats.model


def _strip(row: Row, drawn: Markup, text: str) -> Markup:
    version, model = _name(row)
    name = el("div", el("b", version), " ", el("span", short_model(model), title=model), cls="one-line")
    return el("div", name, drawn, el("div", text, cls="strip-value"), cls="strip")


def _strip_axis(scale: Markup) -> Markup:
    return el("div", el("span"), scale, el("span"), cls="strip axis", aria_hidden="true")


def _left_out(count: int) -> Markup | None:
    left = count - MAX_ROWS
    return el("p", f"{plural(left, 'more row')} in the table below", cls="muted") if left > 0 else None


def _of_latest(report: PromptInsights) -> str:
    """Return that the chart does not show all attempts."""
    attempts = sum(cell.requests for cell in report.cells)
    return f" of the latest {len(report.recent):,} attempts" if attempts > len(report.recent) else ""
