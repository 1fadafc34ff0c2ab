"""Import and export of all prompts as one zip."""

from __future__ import annotations

from markupsafe import Markup

from herding.access.operations import SAVE
from herding.ui.kit.fields import button
from herding.ui.kit.format import el
from herding.values import Principal
from herding.values.sizes import format_size

MAX_BYTES = 16_000_000
"""The app reads no larger request body."""

EXPORT = "A zip of prompt files, each at its latest version."
IMPORT = f"Imports each prompt separately; unchanged prompts are skipped. Max {format_size(MAX_BYTES)}."


def bundle(who: Principal) -> Markup:
    """Return the download link, and for those who may save prompts, the form that `versions.js` sends to the API."""
    link = el("a", "Download all prompts", href="api/v1/prompts.zip", download="prompts.zip", cls="btn")
    export = el("div", el("h3", "Export"), el("p", EXPORT, cls="muted"), link, cls="bundle-part")
    parts = el("div", export, _upload(who), cls="bundle-parts")
    return el("section", el("h2", "Import and export"), parts, id="bundle", cls="versions-sheet bundle",
              data_module="versions", aria_label="Import and export")  # fmt: skip


def _upload(who: Principal) -> Markup | None:
    if SAVE not in who.rights:
        return None
    field = el("input", type="file", id="bundle-file", accept=".zip,application/zip", aria_label="Zip of prompts")
    send = button("Import zip", submit=True, id="bundle-import")
    form = el("form", field, send, cls="bundle-form", data_most=str(MAX_BYTES))
    result = el("div", cls="bundle-result")
    return el("div", el("h3", "Import"), el("p", IMPORT, cls="muted"), form, result, cls="bundle-part")
