"""Conflicts: prompts that were saved while their files were edited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import gradio as gr
from markupsafe import Markup

from herding.access.operations import SAVE
from herding.errors import HerdingError
from herding.studio.studio import Studio
from herding.ui.kit.format import datetime_tag, el, join, key_values, panel, plural
from herding.ui.versions.detail import author_name
from herding.ui.versions.diff import version_diff
from herding.ui.versions.state import PromptSnapshot, VersionsState, visible_conflicts
from herding.values import Principal, PromptConflict, PromptVersion

TITLE = "Conflicting changes"
ADVICE = "Both are saved as versions. Choose which one becomes the latest version and is written to the file."


class ConflictPane:
    """The two sides of the prompt's conflict, with a button for each."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        with gr.Column(visible=False, elem_id="conflict", elem_classes=["sheet", "conflict"]) as self.box:
            self.head = gr.HTML(elem_id="conflict-head")
            with gr.Row(elem_classes=["answers", "conflict-answers"]):
                self.ours = gr.Button("Keep saved version", size="sm", elem_id="conflict-ours")
                self.theirs = gr.Button("Keep file version", size="sm", elem_id="conflict-theirs")
            self.diff = gr.HTML(elem_id="conflict-diff")

    @property
    def outputs(self) -> list[Any]:
        return [self.box, self.head, self.ours, self.theirs, self.diff]

    async def show(self, snapshot: PromptSnapshot, state: VersionsState, who: Principal) -> list[Any]:
        """Return updates of `outputs`; the pane is hidden without a conflict."""
        conflict = snapshot.conflict(state.key)
        if conflict is None:
            return [gr.update(visible=False), "", gr.skip(), gr.skip(), ""]
        ours, theirs = conflict.ours, conflict.theirs
        try:
            sides = [(await self._studio.version(state.key, number, who)).about for number in (ours, theirs)]
            diff = await version_diff(self._studio, state.key, ours, theirs, who, unified=state.unified)
        except HerdingError as error:
            hidden = panel("bad", TITLE, el("p", "These versions can't be shown: ", error.message), role="alert")
            return [gr.update(visible=True), hidden, gr.update(visible=False), gr.update(visible=False), ""]
        return [
            gr.update(visible=True),
            _head(conflict, sides[0], sides[1]),
            gr.update(visible=True, value=f"Keep v{ours} (saved)"),
            gr.update(visible=True, value=f"Keep v{theirs} (file)"),
            diff,
        ]


async def overview_banner(studio: Studio, who: Principal) -> Markup:
    """Return the banner of all conflicts that the principal may resolve."""
    return banner(await visible_conflicts(studio, who)) if SAVE in who.rights else Markup()


def banner(conflicts: Sequence[PromptConflict], *, current: str = "") -> Markup:
    """Return links to the prompts with a conflict, except for the current one."""
    others = [conflict for conflict in conflicts if conflict.key != current]
    if not others:
        return Markup()
    title = "1 prompt has a conflict" if len(others) == 1 else f"{plural(len(others), 'prompt')} have conflicts"
    links: list[Markup | str] = []
    for conflict in others:
        address = f"?{urlencode({'tab': 'versions', 'prompt': conflict.key})}"
        links += [", " if links else "", el("a", el("code", conflict.key), href=address)]
    return panel("warn", title, el("p", "Choose which version to keep: ", *links), role="status")


def _head(conflict: PromptConflict, ours: PromptVersion, theirs: PromptVersion) -> Markup:
    base = f"v{conflict.base}" if conflict.base else "the prompt"
    text = el("p", f"Two changes of {base} conflict, found ", datetime_tag(conflict.at), ". ", ADVICE)
    sides = [(f"Saved: v{ours.number}", _side(ours)), (f"File: v{theirs.number}", _side(theirs))]
    return join([el("h2", TITLE), text, key_values(sides, cls="facts conflict-sides")])


def _side(version: PromptVersion) -> Markup:
    note = el("div", version.message, cls="version-message") if version.message else None
    return join(["by ", author_name(version.author), " · ", datetime_tag(version.created_at), note])
