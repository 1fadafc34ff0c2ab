"""The texts of a prompt as blocks that are edited in place: messages with their roles, or a raw text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from herding.ui.engineer.form_data import normalized, used_names
from herding.ui.kit.fields import button, select_field, text_field
from herding.ui.kit.format import chip, el, join

ROLES = ("system", "user", "assistant")


def body(data: Mapping[str, Any], *, can_edit: bool, chosen: str = "") -> Markup:
    """Return the blocks of a prompt, and those of its variants; `chosen` is the variant of the present values."""
    variants = data.get("variants") or []
    has_own = any(data.get(name) is not None for name in ("messages", "prompt")) or not variants
    blocks = _template(data, "", can_edit=can_edit) if has_own else None
    if not variants:
        return join([blocks, _families(data)])
    shown = [_variant(variant, number, can_edit=can_edit, chosen=chosen) for number, variant in enumerate(variants)]
    rest = el("p", "Used if no variant fits:", cls="muted") if has_own else None
    about = el("p", "The first variant whose condition holds is used. Add or remove variants in the YAML.", cls="muted")
    return join([about, *shown, rest, blocks, _families(data)])


def block_template() -> Markup:
    """Return the blank block that the page copies for a new message."""
    return el("template", _block("{prefix}messages.{n}", "user", "", can_edit=True), id="engineer-block")


def _variant(variant: Mapping[str, Any], number: int, *, can_edit: bool, chosen: str) -> Markup:
    prefix = f"variants.{number}."
    name, when = str(variant.get("name") or ""), str(variant.get("when") or "")
    mark = chip("Selected by these values", "accent") if name and name == chosen else None
    summary = el("summary", el("b", name or "Variant"), " ", el("code", when), " ", mark)
    fields = el(
        "div",
        text_field("Name", f"{prefix}name", name, id=f"{prefix}name", readonly=None if can_edit else ""),
        text_field("Condition", f"{prefix}when", when, id=f"{prefix}when", readonly=None if can_edit else ""),
        error_slot(f"{prefix}when"),
        cls="engineer-variant-fields",
    )
    opened = "" if not chosen or name == chosen else None
    return el(
        "details", summary, fields, _template(variant, prefix, can_edit=can_edit), open=opened, cls="engineer-variant"
    )


def _template(template: Mapping[str, Any], prefix: str, *, can_edit: bool) -> Markup:
    if template.get("prompt") is not None and template.get("messages") is None:
        return _raw(normalized(template["prompt"]), prefix, can_edit=can_edit)
    messages = template.get("messages") or []
    shown = [
        _block(f"{prefix}messages.{n}", str(message.get("role")), normalized(message["content"]), can_edit=can_edit)
        for n, message in enumerate(messages)
    ]
    marker = el("input", type="hidden", name=f"{prefix}blocks", value="on")
    buttons = el(
        "div",
        button("Add message", data_add="message", kind="quiet"),
        button(
            "Add example pair", data_add="pair", kind="quiet", title="A user message and the response it should get"
        ),
        cls="engineer-adds",
    )
    return el(
        "div",
        marker,
        el("ol", *shown, cls="engineer-blocks"),
        error_slot(f"{prefix}messages"),
        buttons if can_edit else None,
        cls="engineer-template",
        data_prefix=prefix,
    )


def _block(name: str, role: str, text: str, *, can_edit: bool) -> Markup:
    roles = ROLES if role in ROLES else (*ROLES, role)
    options = [(known.capitalize(), known) for known in roles]
    select = select_field("Role", f"{name}.role", options, role, hidden_label=True, id=f"{name}.role")
    tools = el(
        "div",
        button("↑", data_move="-1", kind="quiet", aria_label="Move up", title="Move up (Alt+↑)"),
        button("↓", data_move="1", kind="quiet", aria_label="Move down", title="Move down (Alt+↓)"),
        button("×", data_remove="", kind="quiet", aria_label="Remove message", title="Remove message"),
        cls="engineer-tools",
    )
    shown = select if can_edit else el("b", role.capitalize(), cls="engineer-role")
    return el(
        "li",
        el("div", shown, tools if can_edit else None, cls="engineer-block-head"),
        template_text(f"{name}.content", text, "Text of the message", can_edit=can_edit),
        error_slot(f"{name}.role"),
        error_slot(f"{name}.content"),
        cls="engineer-block",
        data_role=role,
    )


def _raw(text: str, prefix: str, *, can_edit: bool) -> Markup:
    about = el("p", "Raw text, sent to the model without a chat template.", cls="muted")
    return el(
        "div",
        template_text(f"{prefix}prompt_text", text, "Text of the prompt", can_edit=can_edit),
        error_slot(f"{prefix}prompt_text"),
        about,
        cls="engineer-template engineer-block",
    )


def template_text(name: str, text: str, label: str, *, can_edit: bool) -> Markup:
    """Return a text area that grows with its text and marks the variables in it."""
    area = el(
        "textarea",
        f"\n{text}",  # a first newline is dropped
        name=name,
        id=name,
        rows="1",
        cls="input",
        aria_label=label,
        spellcheck="false",
        readonly=None if can_edit else "",
    )
    return el("div", el("div", aria_hidden="true", cls="engineer-marks"), area, cls="engineer-text", data_text="")


def error_slot(name: str) -> Markup:
    """Return the empty place of the error of a field."""
    return el("small", cls="wrong", role="alert", data_error=name, hidden="")


def _families(data: Mapping[str, Any]) -> Markup | None:
    families = data.get("templates")
    if not isinstance(families, Mapping) or not families:
        return None
    return el("p", f"Other raw texts for {', '.join(families)}: edit them in the YAML.", cls="muted")


def unused(data: Mapping[str, Any]) -> list[str]:
    """Return the declared variables that no text uses."""
    used = used_names(data)
    return [name for name in data.get("variables") or {} if name not in used]
