"""A chat: its turns, and the composer of the next message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from herding.ui.engineer.form import EditedPrompt
from herding.ui.engineer.form_data import used_names
from herding.ui.kit.fields import button
from herding.ui.kit.format import el, empty_state
from herding.ui.kit.variables import initial_value
from herding.values import Outcome

NO_TURNS = empty_state("No messages yet", "Write a message below. Enter sends it.")
USUAL = "message"
"""The usual name of the variable with the user's message."""


def chat_variable(edited: EditedPrompt) -> str | None:
    """Return the text variable that the composer fills: the last one of the prompt's last message."""
    data: Mapping[str, Any] = edited.data or edited.saved.content
    texts = {name for name, variable in edited.prompt.variables.items() if variable.get("type", "text") == "text"}
    messages = data.get("messages") or []
    last = messages[-1] if messages and isinstance(messages[-1], Mapping) else None
    named = [name for name in used_names({"messages": [last]}) if name in texts] if last else []
    if USUAL in named or (not messages and USUAL in texts):
        return USUAL
    return named[-1] if named else None


def new_chat_button() -> Markup:
    """Return the button that starts a new chat."""
    return button("New chat", id="new-chat")


def composer(edited: EditedPrompt, name: str) -> Markup:
    """Return the field for the next message; a chat begins with the value of its variable."""
    value = edited.values.get(name)
    first = initial_value(edited.prompt.variables[name]) if value is None else value
    area = el(
        "textarea",
        f"\n{first or ''}",
        name="message",
        form="engineer-form",
        id="engineer-message",
        rows="1",
        cls="input",
        placeholder="Write a message",
        aria_label="Message",
        aria_describedby="composer-help",
        enterkeyhint="send",
    )
    send = button("Send", kind="primary", id="send")
    help_text = el("small", "Enter sends · Shift+Enter adds a line", id="composer-help", cls="muted")
    return el("div", area, send, help_text, cls="composer")


def user_turn(message: str, content: str, switch: Markup | None = None) -> Markup:
    """Return a message of the user; `content` is the text that the model got, `switch` leads to other branches."""
    edit = button("Edit", kind="quiet", cls="turn-button", data_edit="", aria_label="Edit message")
    return el(
        "article",
        el("div", message, cls="message-text"),
        el("pre", content, hidden="", cls="turn-content"),
        el("div", switch, edit, cls="turn-tools"),
        cls="turn-user",
        data_role="user",
        aria_label="You",
    )


def assistant_turn(outcome: Outcome, html: Markup) -> Markup:
    """Return a response of the model as a turn."""
    return el("article", html, cls="turn-assistant", data_role="assistant", data_request=outcome.request_id,
              data_session=outcome.session_id or "", aria_label="Model")  # fmt: skip


def recorded_question(outcome: Outcome, switch: Markup | None = None) -> Markup:
    """Return the user's message of a recorded request, with the switch between the branches there."""
    try:
        content = json.loads(outcome.input)[-1]["content"]
    except (ValueError, TypeError, LookupError):
        content = ""
    content = content if isinstance(content, str) else ""
    message = outcome.variables.get(USUAL)
    shown = message if isinstance(message, str) and message and message in content else content
    return user_turn(shown, content, switch)


def turn_tools() -> Markup:
    """Return the buttons below a response of a chat."""
    again = button("Regenerate", kind="quiet", cls="turn-button", data_regenerate="", aria_label="Regenerate response")
    return el("div", again, cls="turn-tools")
