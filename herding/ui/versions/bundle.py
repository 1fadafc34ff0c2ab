"""Import and export of all prompts as one zip."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import SAVE
from herding.ui.kit.format import byte_size, el
from herding.ui.kit.theme import ASSETS
from herding.values import Principal

SCRIPT = (ASSETS / "bundle.js").read_text(encoding="utf-8")

MAX_BYTES = 16_000_000
"""The app reads no larger request body."""

EXPORT = "A zip of prompt files, each at its latest version."
IMPORT = f"Imports each prompt separately; unchanged prompts are skipped. Max {byte_size(MAX_BYTES)}."


def bundle_box() -> Any:
    """Return the component for `bundle`; it uploads the zip to the API and fires `imported` afterwards."""
    return gr.HTML(js_on_load=SCRIPT, apply_default_css=False, elem_id="bundle")


def bundle(who: Principal) -> Markup:
    """Return the download link, and the upload form for those who may save prompts."""
    link = el("a", "Download all prompts", href="api/v1/prompts.zip", download="prompts.zip", cls="button")
    export = el("div", el("h3", "Export"), el("p", EXPORT, cls="muted"), link, cls="bundle-part")
    return el("div", el("h2", "Import and export"), el("div", export, _upload(who), cls="bundle-parts"), cls="bundle")


def _upload(who: Principal) -> Markup | None:
    if SAVE not in who.rights:
        return None
    field = el("input", type="file", id="bundle-file", accept=".zip,application/zip", aria_label="Zip of prompts")
    button = el("button", "Import zip", type="submit", id="bundle-import", cls="button")
    form = el("form", field, button, cls="bundle-form", data_most=str(MAX_BYTES))
    result = el("div", cls="bundle-result")
    return el("div", el("h3", "Import"), el("p", IMPORT, cls="muted"), form, result, cls="bundle-part")
