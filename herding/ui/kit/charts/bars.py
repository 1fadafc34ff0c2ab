"""Shares and loads as bars with their numbers."""

from __future__ import annotations

from markupsafe import Markup

from herding.ui.kit.format import el

HIGH = 90


def meter(name: object, percent: float, text: str, *, label: str | None = None) -> Markup:
    """Return a bar for `percent` of a whole; `label` is its name for screen readers, by default `name`."""
    share = min(max(percent, 0), 100)
    fill = el("span", cls="fill high" if share >= HIGH else "fill", style=f"width:{share:.0f}%")
    track = el(
        "div",
        fill,
        cls="track",
        role="meter",
        aria_label=label or str(name),
        aria_valuemin="0",
        aria_valuemax="100",
        aria_valuenow=f"{share:.0f}",
        aria_valuetext=text,
    )
    return el("div", el("div", el("span", name), el("span", text, cls="muted"), cls="bar-head"), track, cls="bar")


def share_bar(share: float) -> Markup:
    """Return a share from 0 to 1 as a thin bar with its percentage."""
    fill = el("span", style=f"width:{100 * share:.1f}%")
    bar = el("span", fill, cls="share-bar", aria_hidden="true")
    return el("span", bar, el("span", percent_text(share)), cls="share")


def percent_text(share: float | None) -> str:
    """Return a share from 0 to 1 as `0 %`, `2.5 %`, `below 0.1 %` or `83 %`; None as `–`."""
    if share is None:
        return "–"
    percent = 100 * share
    if 0 < percent < 0.1:
        return "below 0.1 %"
    if 99.5 <= percent < 100:
        return "over 99 %"
    return f"{percent:.1f} %" if 0 < percent < 9.95 and round(percent, 1) % 1 else f"{percent:.0f} %"
