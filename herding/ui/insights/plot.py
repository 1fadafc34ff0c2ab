"""A plot of the requests of each model over time."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from herding.evaluation.insights import PromptInsights
from herding.ui.kit.day_plot import Bar, day_plot, update_plot
from herding.ui.kit.format import el


def plot(elem_id: str) -> Any:
    """Return the component, without data."""
    return day_plot(elem_id, value="Requests", name="Model")


def update(report: PromptInsights) -> Any:
    """Return an update of the component, which is hidden without requests."""
    bars = (Bar(one.at, one.model, one.requests) for one in report.buckets)
    return update_plot(bars, since=report.since, until=report.until, width_ms=report.bucket_ms)


def title(report: PromptInsights) -> Markup:
    """Return the heading of the plot."""
    if not report.buckets:
        return Markup()
    text = f"Requests per model per {_bucket(report.bucket_ms)} (UTC)"
    return el("div", el("h2", "Over time"), el("span", text, cls="muted"), cls="page-head")


def _bucket(width_ms: int) -> str:
    hours = width_ms // 3_600_000
    return f"{hours} hours" if hours < 24 else "day" if hours == 24 else f"{hours // 24} days"
