"""Form fields and buttons of views, as HTML."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from herding.errors import UserError
from herding.ui.kit.format import el, join, plural


def text_field(
    label: str,
    name: str,
    value: str = "",
    *,
    lines: int = 1,
    info: str = "",
    error: str = "",
    placeholder: str | None = None,
    kind: str = "text",
    hidden_label: bool = False,
    **attributes: str | None,
) -> Markup:
    """Return a text field of one or more lines; `kind` is the type of a field of one line."""
    shared: dict[str, Any] = {"name": name, "placeholder": placeholder, **_error_marks(error), **attributes}
    shared["aria_label"] = label if hidden_label else None
    if lines > 1:
        control = el("textarea", f"\n{value}", rows=str(lines), cls="input", **shared)  # a first newline is dropped
    else:
        control = el("input", type=kind, value=value, cls="input", autocomplete="off", **shared)
    return _labelled(label, control, info=info, error=error, hidden=hidden_label)


def select_field(
    label: str,
    name: str,
    options: Iterable[tuple[str, str]],
    value: str = "",
    *,
    info: str = "",
    error: str = "",
    hidden_label: bool = False,
    **attributes: str | None,
) -> Markup:
    """Return a list to select one value from; `options` are pairs of a label and a value."""
    shown = (el("option", text, value=given, selected="" if given == value else None) for text, given in options)
    shared: dict[str, Any] = {"name": name, **_error_marks(error), **attributes}
    shared["aria_label"] = label if hidden_label else None
    return _labelled(label, el("select", *shown, cls="input", **shared), info=info, error=error, hidden=hidden_label)


def checkbox(label: str, name: str, *, checked: bool, info: str = "", **attributes: str | None) -> Markup:
    """Return a checkbox; its field has the value `on` when it is checked."""
    box = el("input", type="checkbox", name=name, checked="" if checked else None, cls="box", **attributes)
    return el("label", box, el("span", label, el("small", info) if info else None), cls="checkbox")


def hidden_field(name: str, value: str = "on", **attributes: str) -> Markup:
    """Return a field that is sent but not shown."""
    return el("input", type="hidden", name=name, value=value, **attributes)


def button(label: object, *, kind: str = "", cls: str = "", submit: bool = False, **attributes: str | None) -> Markup:
    """Return a button. Kinds: `primary`, `danger`, `quiet` (no border); empty for an ordinary one."""
    return el("button", label, type="submit" if submit else "button", cls=f"btn {kind} {cls}".strip(), **attributes)


def confirm_button(
    label: str, question: str, answer: str, *, kind: str = "danger", cls: str = "", **attributes: str | None
) -> Markup:
    """Return a button that asks `question` in a dialog before its htmx request; `answer` is the label of yes.

    With `data_check`, the dialog has a checkbox with that label, whose field `data_check_name` is `on` or empty.
    """
    return button(label, kind=kind, cls=cls, submit=False, hx_confirm=question, data_answer=answer, **attributes)


def copy_button(label: str) -> Markup:
    """Return a button that copies the text beside it; `label` says which one that is."""
    return el("button", "Copy", type="button", cls="copy", data_copy="", aria_label=label)


def back_button() -> Markup:
    """Return the button that leads back from a drawer where it takes the place of the table."""
    return button("‹ Back", kind="quiet", cls="drawer-back", data_close_drawer="")


def close_button(label: str = "Close") -> Markup:
    """Return the button that closes a drawer beside its table."""
    return button("×", kind="quiet", cls="drawer-close", data_close_drawer="", title="Close", aria_label=label)


def row_name(*content: object, **attributes: str | None) -> Markup:
    """Return the button that opens a row of a table."""
    return el("button", *content, type="button", cls="row-name", **attributes)


def star_field(
    stars: int | None, legend: str, *, name: str = "stars", enabled: bool = True, **post: str | None
) -> Markup:
    """Return five stars for mouse, arrow keys and screen readers, and a button that clears them.

    `post` are the htmx attributes of the request that a change sends, with the field `name` of 0 (cleared) to 5.
    """
    radios = [_star(name, number, checked=number == stars) for number in (1, 2, 3, 4, 5)]
    none = el("input", type="radio", name=name, value="0", checked="" if not stars else None, cls="sr", tabindex="-1",
              aria_label="Not rated")  # fmt: skip
    clear = el("button", "Clear", type="button", cls="star-clear", data_clear_stars="", title="Clear rating")
    row = el("div", join(radios), none, cls="star-row")
    fields = el("fieldset", el("legend", legend), row, clear, disabled=None if enabled else "")
    return el("form", fields, cls="stars", data_stars="", hx_trigger="change", hx_sync="this:queue last", **post)


def parse_stars(value: int) -> int | None:
    """Return the stars of a `star_field`, None for 0. Raises UserError for other values."""
    if not 0 <= value <= 5:
        raise UserError("Select 1 to 5 stars.", param="score")
    return value or None


def _star(name: str, number: int, *, checked: bool) -> Markup:
    radio = el("input", type="radio", name=name, value=str(number), checked="" if checked else None)
    return el(
        "label", radio, el("span", "★", cls="star", aria_hidden="true"), el("span", plural(number, "star"), cls="sr")
    )


def _labelled(label: str, control: Markup, *, info: str, error: str, hidden: bool) -> Markup:
    below = el("small", error, cls="wrong", role="alert") if error else el("small", info) if info else None
    return el("label", None if hidden else el("span", label, cls="label"), control, below, cls="field")


def _error_marks(error: str) -> dict[str, str | None]:
    return {"aria_invalid": "true" if error else None}
