"""All prompts as one zip: the way out, and the way in."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import SAVE
from herding.ui.kit.format import byte_size, el
from herding.ui.kit.theme import ASSETS
from herding.values import Principal

SCRIPT = (ASSETS / "bundle.js").read_text(encoding="utf-8")

MOST = 8_000_000
"""Bytes of a zip; the app reads no larger body."""

OUT = "A zip of prompt files, each prompt at its newest version."
INTO = (
    "Every prompt of the zip is saved by itself; one that is here already as it is stays unchanged, so that the same "
    f"zip can be imported again. At most {byte_size(MOST)}."
)


def bundle_box() -> Any:
    """Shows `offer`; the zip goes to the API as it is, and `imported` is fired once it is taken."""
    return gr.HTML(js_on_load=SCRIPT, apply_default_css=False, elem_id="bundle")


def offer(who: Principal) -> Markup:
    """The download of all prompts, and the upload where somebody may save."""
    link = el("a", "Download all prompts", href="api/v1/prompts.zip", download="prompts.zip", cls="button")
    out = el("div", el("h3", "Download"), el("p", OUT, cls="muted"), link, cls="bundle-way")
    return el("div", el("h2", "All prompts as files"), el("div", out, _upload(who), cls="bundle-ways"), cls="bundle")


def _upload(who: Principal) -> Markup | None:
    if SAVE not in who.rights:
        return None
    field = el("input", type="file", id="bundle-file", accept=".zip,application/zip", aria_label="A zip of prompts")
    button = el("button", "Import", type="submit", id="bundle-import", cls="button")
    form = el("form", field, button, cls="bundle-form", data_most=str(MOST))
    result = el("div", cls="bundle-result")
    return el("div", el("h3", "Import"), el("p", INTO, cls="muted"), form, result, cls="bundle-way")
