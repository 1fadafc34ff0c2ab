"""A star rating: five radio buttons for mouse, arrow keys and screen readers."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.errors import UserError
from herding.ui.kit.format import el, join, plural
from herding.ui.kit.theme import ASSETS

RATING_SAVED = el("span", "✓ Saved", cls="saved")
NOT_ON_PAGE = el("span", "This response is no longer on this page. Rate it in the History tab.", cls="muted")
SCRIPT = (ASSETS / "stars.js").read_text(encoding="utf-8")


def star_rating(elem_id: str, legend: str) -> Any:
    """Return a component with a value of 0 (not rated) to 5; `rate` fires when the user changes it.

    The template must not read the value: a component that renders again loses the keyboard focus.
    """
    return gr.HTML(
        0,
        html_template=str(_template(elem_id, legend)),
        js_on_load=SCRIPT,
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=["stars"],
        enabled=False,
    )


def parse_stars(value: object) -> int | None:
    """Return the stars of the component, None for none; UserError for other values."""
    if isinstance(value, bool) or value not in (0, 1, 2, 3, 4, 5, None):
        raise UserError("Select 1 to 5 stars.", param="score")
    return int(str(value)) if value else None


def update_stars(stars: int | None, *, enabled: bool) -> Any:
    """Return an update of the component."""
    return gr.update(value=stars or 0, enabled=enabled)


def _template(elem_id: str, legend: str) -> Markup:
    radios = [_star(elem_id, number) for number in (1, 2, 3, 4, 5)]
    clear = el("button", "Clear", type="button", cls="star-clear", title="Clear rating")
    return el("fieldset", el("legend", legend), el("div", join(radios), cls="star-row"), clear, disabled="")


def _star(elem_id: str, number: int) -> Markup:
    radio = el("input", type="radio", name=f"{elem_id}-choice", value=str(number))
    return el(
        "label", radio, el("span", "★", cls="star", aria_hidden="true"), el("span", plural(number, "star"), cls="sr")
    )
