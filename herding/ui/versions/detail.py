"""One version: its facts, and its YAML."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import gradio as gr
from markupsafe import Markup

from herding.errors import HerdingError
from herding.studio.studio import Studio, Version
from herding.studio.sync import FILE
from herding.ui.kit.format import chip, datetime_tag, el, join, key_values, panel
from herding.ui.versions.state import VersionsState
from herding.values import Principal

SOURCES = {"file": "file", "ui": "editor", "api": "API", "import": "import"}
HASH_LENGTH = 8
"""Characters of a hash that are shown."""

_TONES = {"prod": "good", "test": "busy", "dev": "calm"}


class FilePane:
    """The newer version of the diff as YAML, to show and to download."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        with gr.Row(elem_classes=["whole-row"]):
            self.toggle = gr.Button("Show full YAML", size="sm", scale=0, elem_id="version-whole")
            self.download = gr.HTML(elem_id="version-download")
        self.text = gr.HTML(elem_id="version-text", elem_classes=["whole"])

    @property
    def outputs(self) -> list[Any]:
        return [self.toggle, self.download, self.text]

    async def show(self, state: VersionsState, who: Principal) -> list[Any]:
        """Return updates of `outputs`."""
        label = f"{'Hide' if state.show_yaml else 'Show'} full YAML (v{state.new})"
        text = await self._text(state, who) if state.show_yaml else Markup()
        return [gr.update(value=label), _download(state.key, state.new), text]

    async def _text(self, state: VersionsState, who: Principal) -> Markup:
        try:
            text = await self._studio.yaml(state.key, state.new, who)
        except HerdingError as error:
            return panel("bad", "Can't show this version", el("p", error.message), role="alert")
        return el("pre", text, cls="code", tabindex="0", aria_label=f"Version {state.new}")


def detail(version: Version, *, newest: int) -> Markup:
    """Return the facts of one version."""
    about = version.about
    labels = [label_chip(label) for label in version.labels]
    latest = chip("latest", "accent") if about.number == newest else None
    table = key_values(
        [
            ("Author", author_name(about.author)),
            ("Saved", datetime_tag(about.created_at)),
            ("Source", SOURCES[about.source]),
            ("Hash", el("code", about.sha256[:HASH_LENGTH], title=f"SHA-256 {about.sha256}")),
        ],
        cls="facts two",
    )
    back = el("a", "‹ Back to list", href="#version-list", cls="back")
    head = el("div", el("h2", f"Version {about.number}"), join([latest, *labels]), cls="page-head chips")
    note = el("p", about.message, cls="version-message") if about.message else None
    return join([back, head, note, table])


def not_in_file(version: Version, *, newest: int) -> Markup:
    """Return the notice that the latest version is not in the prompt's file, empty if it is."""
    if version.filed == newest:
        return Markup()
    state = f"Its file still contains v{version.filed}" if version.filed else "It has no file"
    text = (
        f"{state}: the prompts directory is read-only, or the file contains several prompts. "
        "To get files, download the YAML of a version, or all prompts as a zip below."
    )
    return panel("calm", f"v{newest} is stored in the database only", el("p", text), role="status")


def label_chip(name: str) -> Markup:
    """Return a label as a chip."""
    return chip(name, _TONES.get(name, "plain"), title="label")


def author_name(author: str) -> str:
    """Return the author of a version as shown."""
    return "file edit" if author == FILE else author or "unknown"


def _download(key: str, number: int) -> Markup:
    name = key.rpartition("/")[2]
    href = f"api/v1/prompts/{quote(key)}/yaml?{urlencode({'version': number})}"
    return el("a", "Download YAML", href=href, download=f"{name}@{number}.yaml", cls="button")
