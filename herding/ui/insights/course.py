"""The course of the routing shares: a step line for each model, over the responses that the routing learned from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from herding.evaluation.insights import PromptInsights
from herding.routing.share_history import ShareStep
from herding.ui.insights.strips import colours
from herding.ui.kit.charts.bars import percent_text
from herding.ui.kit.charts.chart import drawing, figure, legend, line, percent, series
from herding.ui.kit.format import el, plural

HEIGHT = 130
MAX_MARKED = 30
"""Steps up to which each has a dot."""


def share_chart(report: PromptInsights) -> Markup | None:
    """Return how the shares moved; None if they do not follow the evidence."""
    steps = report.shares
    if len(steps) < 2:
        return None
    models, tones = list(steps[-1].shares), colours(report)
    shapes = [line("0", HEIGHT * part, "100%", HEIGHT * part, "grid") for part in (0, 0.5, 1)]
    for model in models:
        shapes += _course(steps, model, series(tones[model]))
    told = "; ".join(f"{model} from {_share(steps[0], model)} to {_share(steps[-1], model)}" for model in models)
    scale = el("div", *(el("span", text) for text in ("100 %", "50 %", "0 %")), cls="chart-scale", aria_hidden="true")
    count = steps[-1].responses
    drawn = drawing("Routing shares over time", f"{told}, in {plural(count, 'response')}.", *shapes, height=HEIGHT)
    axis = el(
        "div", el("span", "first"), el("span", "responses with their ratings", cls="muted"), el("span", f"{count:,}")
    )
    notes = {model: f"{_share(steps[0], model)} → {_share(steps[-1], model)}" for model in models}
    return figure(
        "How shares moved",
        el("div", scale, drawn, cls="chart-frame"),
        el("div", axis, cls="chart-axis"),
        legend({model: tones[model] for model in models}, notes),
        note=f"last {plural(count, 'response')}",
        heads=("Responses", *models),
        rows=[(f"{step.responses:,}", *(_share(step, model) for model in models)) for step in steps],
    )


def _course(steps: Sequence[ShareStep], model: str, cls: str) -> list[Markup]:
    whole = steps[-1].responses
    points = [(step.responses / whole, HEIGHT * (1 - step.shares[model])) for step in steps]
    shapes = []
    for (x1, y1), (x2, y2) in pairwise(points):
        shapes += [
            line(percent(x1), y1, percent(x2), y1, f"course {cls}"),
            line(percent(x2), y1, percent(x2), y2, f"course {cls}"),
        ]
    if len(points) <= MAX_MARKED:
        for (x, y), step in zip(points, steps, strict=True):
            title = f"After {plural(step.responses, 'response')}: {_share(step, model)}"
            shapes.append(el("circle", el("title", title), cx=percent(x), cy=f"{y:.2f}", r="3", cls=f"dot-mark {cls}"))
    return shapes


def _share(step: ShareStep, model: str) -> str:
    return percent_text(step.shares[model])
