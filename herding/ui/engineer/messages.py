"""The texts of a prompt as blocks that are edited in place: messages with their roles, or a raw text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from herding.prompts.render import placeholders
from herding.ui.engineer.form_data import normalized, used_names
from herding.ui.engineer.step_data import conditions
from herding.ui.kit.fields import button, hidden_field, select_field
from herding.ui.kit.format import el

ROLES = ("system", "user", "assistant")


def block_template() -> Markup:
    """Return the blank block that the page copies for a new message."""
    return el("template", _block("{prefix}messages.{n}", "user", "", can_edit=True), id="engineer-block")


def blocks(template: Mapping[str, Any], prefix: str, *, can_edit: bool, more: Markup | None = None) -> Markup:
    """Return the messages of a template as blocks, or its raw text; `prefix` begins the names of their fields.

    more: another button beside those that add a message.
    """
    if template.get("prompt") is not None and template.get("messages") is None:
        return _raw(normalized(template["prompt"]), prefix, can_edit=can_edit, more=more)
    messages = template.get("messages") or []
    shown = [
        _block(f"{prefix}messages.{n}", str(message.get("role")), normalized(message["content"]), can_edit=can_edit)
        for n, message in enumerate(messages)
    ]
    marker = hidden_field(f"{prefix}blocks")
    buttons = el(
        "div",
        button("Add message", data_add="message", kind="quiet"),
        button(
            "Add example pair", data_add="pair", kind="quiet", title="A user message and the response it should get"
        ),
        more,
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
    shown = select if can_edit else el("b", role.capitalize())
    return el(
        "li",
        el("div", shown, tools if can_edit else None, cls="engineer-block-head"),
        template_text(f"{name}.content", text, "Text of the message", can_edit=can_edit),
        error_slot(f"{name}.role"),
        error_slot(f"{name}.content"),
        cls="engineer-block",
        data_role=role,
    )


def _raw(text: str, prefix: str, *, can_edit: bool, more: Markup | None) -> Markup:
    about = el("p", "Raw text, sent to the model without a chat template.", cls="muted")
    return el(
        "div",
        template_text(f"{prefix}prompt_text", text, "Text of the prompt", can_edit=can_edit),
        error_slot(f"{prefix}prompt_text"),
        about,
        el("div", more, cls="engineer-adds") if more else None,
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


def unused(data: Mapping[str, Any]) -> list[str]:
    """Return the declared variables that no text, condition, step, retrieval or source uses."""
    variants = data.get("variants")
    whens = [str(one.get("when") or "") for one in variants or () if isinstance(one, Mapping)]
    used = {*used_names(data), *re.findall(r"[A-Za-z_][A-Za-z0-9_]*", " ".join([conditions(data), *whens]))}
    variables = data.get("variables") or {}
    arguments = [one.get("arguments") for one in variables.values() if isinstance(one, Mapping)]
    used |= _placeholders_in([data.get("retrieval"), arguments])
    return [name for name in variables if name not in used]


def _placeholders_in(value: Any) -> set[str]:
    """Return the variables that the texts of a value name, at any depth."""
    if isinstance(value, str):
        return set(placeholders(value))
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return {name for one in inside for name in _placeholders_in(one)}
