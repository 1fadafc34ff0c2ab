"""Requests by model over time, as a plot."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.evaluation.insights import PromptInsights
from herding.ui.kit.format import el

OTHERS = "other models"
COLOURS = ("#35806a", "#b3761c", "#4a7fb5", "#c0573f", "#8a68b0", "#2b8fa3", "#b85c8a")
"""Each keeps a contrast of 3:1 on the ground of both themes."""

OTHERS_COLOUR = "#857d6d"
HEIGHT = 300
KINDS = {"time": "temporal", "requests": "quantitative", "model": "nominal"}


def plot(elem_id: str) -> Any:
    """The component, without data."""
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


def shows(found: PromptInsights) -> Any:
    """An update of the component; it is away where nothing ran."""
    if not found.buckets:
        return gr.update(visible=False)
    names = _names(found)
    colours = {name: OTHERS_COLOUR if name == OTHERS else COLOURS[place] for place, name in enumerate(names)}
    return gr.update(
        value=data(found, names),
        color_map=colours,
        x_bin=f"{found.bucket_ms // 3_600_000}h",
        x_lim=[found.since / 1000, found.until / 1000],
        visible=True,
    )


def title(found: PromptInsights) -> Markup:
    """What stands above the plot."""
    if not found.buckets:
        return Markup()
    told = f"tries of each model, in steps of {_step(found.bucket_ms)}; the table has their sums"
    return el("div", el("h2", "Over time"), el("span", told, cls="muted"), cls="page-head")


def data(found: PromptInsights, names: list[str]) -> dict[str, Any]:
    """A line for each bucket and model, in the form in which the component keeps what it draws."""
    rows = [[one.at, one.requests, one.model if one.model in names else OTHERS] for one in found.buckets]
    return {"columns": list(KINDS), "data": rows, "datatypes": dict(KINDS), "mark": "bar"}


def _names(found: PromptInsights) -> list[str]:
    """The models that have a colour of their own, those with most requests, and the name of the rest."""
    sums: dict[str, int] = {}
    for bucket in found.buckets:
        sums[bucket.model] = sums.get(bucket.model, 0) + bucket.requests
    ranked = sorted(sums, key=lambda model: (-sums[model], model))
    rest = [OTHERS] if len(ranked) > len(COLOURS) else []
    return ranked[: len(COLOURS)] + rest


def _step(width_ms: int) -> str:
    hours = width_ms // 3_600_000
    return f"{hours} hours" if hours < 24 else "a day" if hours == 24 else f"{hours // 24} days"
