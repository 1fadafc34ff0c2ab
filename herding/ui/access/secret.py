"""A new token, shown once: in one component, until the next thing that a person does."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.ui.kit.format import el
from herding.ui.kit.theme import ASSETS

SCRIPT = (ASSETS / "secret.js").read_text(encoding="utf-8")
GONE = ""
"""The value that takes a token off the page."""


def secret_box(elem_id: str) -> Any:
    """A component for `shown`; its buttons copy, and it comes into view when it is filled."""
    return gr.HTML(GONE, js_on_load=SCRIPT, apply_default_css=False, elem_id=elem_id, elem_classes=["secret"])


def shown(title: str, token: str, base: str, *notes: str) -> Markup:
    """The token to copy, and a call that tries it; `base` is the address of the app."""
    call = f'curl -H "Authorization: Bearer {token}" {base.rstrip("/")}/api/v1/me'
    warning = "Copy it now: it is shown this once, and gone after whatever you do next. Whoever has it is you."
    return el(
        "div",
        el("strong", title, role="status"),
        el("p", warning),
        _copyable("Token", token, "Copy token"),
        _copyable("Try it: this call tells whose token it is", call, "Copy command"),
        *(el("p", note) for note in notes),
        cls="panel warn",
    )


def _copyable(label: str, text: str, button: str) -> Markup:
    field = el("input", type="text", readonly="", value=text, spellcheck="false", autocomplete="off", aria_label=label)
    copy = el("button", button, type="button", cls="copy")
    return el("div", el("span", label, cls="copy-label"), el("div", field, copy, cls="copy-row"))
