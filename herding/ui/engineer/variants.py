"""The texts of a prompt: its variants, each with its condition, and the default for all other values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from herding.ui.engineer.messages import blocks, error_slot
from herding.ui.kit.fields import button, hidden_field, text_field
from herding.ui.kit.format import chip, el, join

BLANK = "new"
"""Stands for the number of a variant in the blank one that the page copies."""

ABOUT = "The first variant whose condition holds is used."
DEFAULT = "Default, used if no variant fits:"
EXAMPLE = 'tone == "kind" and count > 2'


def body(data: Mapping[str, Any], *, can_edit: bool, chosen: str = "") -> Markup:
    """Return the blocks of a prompt, and those of its variants; `chosen` is the variant of the present values."""
    variants = data.get("variants") or []
    shown = [
        _variant(variant, str(number), was=str(number), can_edit=can_edit, chosen=chosen)
        for number, variant in enumerate(variants)
    ]
    none = None if variants else ""
    add = button("Add variant", kind="quiet", id="add-variant", data_add_variant="",
                 title="A text for some values of the variables") if can_edit else None  # fmt: skip
    return join(
        [
            hidden_field("variants_shown"),
            el("p", ABOUT, cls="muted", data_with_variants="", hidden=none),
            el("ol", *shown, id="engineer-variants", cls="engineer-variants"),
            el("p", DEFAULT, cls="muted", data_with_variants="", hidden=none),
            blocks(data, "", can_edit=can_edit, more=add),
            _families(data),
        ]
    )


def variant_template(data: Mapping[str, Any]) -> Markup:
    """Return the blank variant that the page copies: with messages, or with a raw text as the prompt has it."""
    raw = data.get("prompt") is not None and data.get("messages") is None
    blank = {"prompt": ""} if raw else {"messages": [{"role": "user", "content": ""}]}
    return el("template", _variant(blank, BLANK, was="", can_edit=True, chosen=""), id="engineer-variant")


def _variant(variant: Mapping[str, Any], number: str, *, was: str, can_edit: bool, chosen: str) -> Markup:
    """Return one variant; `was` is its number in the YAML that the form is made from, empty for a new one."""
    prefix = f"variants.{number}."
    name, when = str(variant.get("name") or ""), str(variant.get("when") or "")
    mark = chip("Selected by these values", "accent") if name and name == chosen else None
    summary = el(
        "summary",
        el("b", name or "New variant", data_shows="name"),
        " ",
        el("code", when, data_shows="when"),
        " ",
        mark,
    )
    readonly = None if can_edit else ""
    fields = el(
        "div",
        el("div", text_field("Name", f"{prefix}name", name, id=f"{prefix}name", readonly=readonly, maxlength="200"),
           error_slot(f"{prefix}name")),
        el("div", text_field("Condition", f"{prefix}when", when, id=f"{prefix}when", readonly=readonly,
                             placeholder=EXAMPLE), error_slot(f"{prefix}when")),
        cls="engineer-variant-fields",
    )  # fmt: skip
    opened = "" if not chosen or name == chosen or not was else None
    content = el("details", summary, fields, blocks(variant, prefix, can_edit=can_edit), open=opened)
    kept = hidden_field(f"{prefix}was", was)
    return el("li", kept, _tools() if can_edit else None, content, cls="engineer-variant")


def _tools() -> Markup:
    return el(
        "div",
        button("↑", data_move_variant="-1", kind="quiet", aria_label="Move variant up", title="Move variant up"),
        button("↓", data_move_variant="1", kind="quiet", aria_label="Move variant down", title="Move variant down"),
        button("×", data_remove_variant="", kind="quiet", aria_label="Remove variant", title="Remove variant"),
        cls="engineer-tools",
    )


def _families(data: Mapping[str, Any]) -> Markup | None:
    families = data.get("templates")
    if not isinstance(families, Mapping) or not families:
        return None
    return el("p", f"Other raw texts for {', '.join(families)}: edit them in the YAML.", cls="muted")
