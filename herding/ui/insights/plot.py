"""A plot of the requests of each model over time."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.evaluation.insights import PromptInsights
from herding.ui.kit.format import el

OTHERS = "Other models"
COLOURS = ("#35806a", "#b3761c", "#4a7fb5", "#c0573f", "#8a68b0", "#2b8fa3", "#b85c8a")
"""Each has a contrast of 3:1 on the background of both themes."""

OTHERS_COLOUR = "#857d6d"
HEIGHT = 300
KINDS = {"time": "temporal", "requests": "quantitative", "model": "nominal"}


def plot(elem_id: str) -> Any:
    """Return the component, without data."""
    return gr.BarPlot(
        x="time",
        y="requests",
        color="model",
        x_title="Time",
        y_title="Requests",
        color_title="Model",
        y_aggregate="sum",
        tooltip="all",
        height=HEIGHT,
        show_label=False,
        visible=False,
        elem_id=elem_id,
    )


def update(report: PromptInsights) -> Any:
    """Return an update of the component, which is hidden without requests."""
    if not report.buckets:
        return gr.update(visible=False)
    names = _names(report)
    colours = {name: OTHERS_COLOUR if name == OTHERS else COLOURS[number] for number, name in enumerate(names)}
    return gr.update(
        value=data(report, names),
        color_map=colours,
        x_bin=f"{report.bucket_ms // 3_600_000}h",
        x_lim=[report.since / 1000, report.until / 1000],
        visible=True,
    )


def title(report: PromptInsights) -> Markup:
    """Return the heading of the plot."""
    if not report.buckets:
        return Markup()
    text = f"Requests per model per {_bucket(report.bucket_ms)}"
    return el("div", el("h2", "Over time"), el("span", text, cls="muted"), cls="page-head")


def data(report: PromptInsights, names: list[str]) -> dict[str, Any]:
    """Return a row for each bucket and model, in the component's own format."""
    rows = [[one.at, one.requests, one.model if one.model in names else OTHERS] for one in report.buckets]
    return {"columns": list(KINDS), "data": rows, "datatypes": dict(KINDS), "mark": "bar"}


def _names(report: PromptInsights) -> list[str]:
    """Return the models with most requests, which get a colour each, and the name of the rest."""
    sums: dict[str, int] = {}
    for bucket in report.buckets:
        sums[bucket.model] = sums.get(bucket.model, 0) + bucket.requests
    ranked = sorted(sums, key=lambda model: (-sums[model], model))
    rest = [OTHERS] if len(ranked) > len(COLOURS) else []
    return ranked[: len(COLOURS)] + rest


def _bucket(width_ms: int) -> str:
    hours = width_ms // 3_600_000
    return f"{hours} hours" if hours < 24 else "day" if hours == 24 else f"{hours // 24} days"
