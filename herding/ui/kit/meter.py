"""How full something is, as a bar with words."""

from __future__ import annotations

from herding.ui.kit.format import Html, el

HIGH = 90


def meter(name: object, percent: float, told: str, *, label: str | None = None) -> Html:
    """A share of a whole; `label` is what a screen reader calls it, where the name alone says too little."""
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
        aria_valuetext=told,
    )
    return el("div", el("div", el("span", name), el("span", told, cls="muted"), cls="bar-head"), track, cls="bar")
