"""The input of a request: in full as people read it, or in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from herding.ui.kit.format import chip, el, format_value, join, key_values
from herding.ui.kit.responses.message_parts import message_body
from herding.values import TEXT_PARTS, Outcome

MAX_LINE = 4_000
"""Characters of a value that a line reads."""

SEEN = 200
"""Characters of a value that tell whether it stands in a message, which may be cut."""


def request_input(row: Outcome) -> Markup:
    """Return the variables of a request, and its messages."""
    variables = variable_list(row.variables) if row.variables else None
    sent = messages(row)
    if variables and sent:
        return join([variables, el("details", el("summary", "Exact input"), sent, cls="more")])
    return variables or sent or el("p", "No input stored.", cls="muted")


def variable_list(variables: Mapping[str, Any]) -> Markup:
    """Return the values of variables with their names."""
    pairs = [(name, el("span", format_value(given) or "(empty)", cls="given")) for name, given in variables.items()]
    return key_values(pairs, cls="facts wide")


def messages(row: Outcome) -> Markup | None:
    """Return the messages that were sent with their roles, or the raw text; None if none are stored."""
    found = read_messages(row)
    if found is None:
        return el("pre", row.input, cls="raw", tabindex="0") if row.input else None
    return join(el("div", chip(str(body["role"])), message_body(body), cls="turn") for body in found) or None


def read_messages(row: Outcome) -> list[Mapping[str, Any]] | None:
    """Return the messages of a request, None if its input is no list of messages."""
    try:
        found = json.loads(row.input)
    except (ValueError, RecursionError):
        return None
    valid = isinstance(found, list) and all(isinstance(body, Mapping) and "role" in body for body in found)
    return found if valid else None


def input_line(row: Outcome) -> str:
    """Return what a request asked: the values of its variables, or the text of the user's last message.

    Variables that stand in other messages only, such as the system message, are left out where others stand in it.
    """
    asked = _asked(row)
    if not row.variables:
        return asked
    values = {name: format_value(given)[:MAX_LINE] for name, given in row.variables.items()}
    values = {name: value for name, value in values.items() if value and value[:SEEN] in asked} or values
    if len(values) == 1:
        return next(iter(values.values()))
    return " · ".join(f"{name}: {value}" for name, value in values.items() if value)


def _asked(row: Outcome) -> str:
    found = read_messages(row)
    if found is None:
        return row.input[:MAX_LINE]
    last = next((body for body in reversed(found) if body["role"] == "user"), found[-1] if found else {})
    return message_text(last.get("content"))[:MAX_LINE]


def message_text(content: Any) -> str:
    """Return the text of a message's content, without its other parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part for part in parts if isinstance(part, Mapping) and part.get("type") in TEXT_PARTS]
    return " ".join(str(part.get("text") or "") for part in texts)
