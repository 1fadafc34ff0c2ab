"""Prompts that were saved while their files were edited: both sides, and the choice between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import gradio as gr
from markupsafe import Markup

from herding.access.operations import SAVE
from herding.errors import HerdingError
from herding.studio.studio import Studio
from herding.ui.kit.format import datetime_tag, el, join, key_values, panel, plural, success
from herding.ui.versions.diff import drawn
from herding.ui.versions.list import person
from herding.ui.versions.read import Seen, View, clashes
from herding.values import Principal, PromptConflict, PromptVersion

TITLE = "Changed in the file and here at the same time"
BOTH = "Both are versions, and nothing is overwritten. Choose which of them is the newest from now on and in the file."


class ConflictPane:
    """The two sides of the conflict of the prompt that is looked at, and a button for each."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        with gr.Column(visible=False, elem_id="conflict", elem_classes=["sheet", "conflict"]) as self.box:
            self.head = gr.HTML(elem_id="conflict-head")
            with gr.Row(elem_classes=["answers", "conflict-answers"]):
                self.ours = gr.Button("Keep the saved one", size="sm", elem_id="conflict-ours")
                self.theirs = gr.Button("Keep the file's", size="sm", elem_id="conflict-theirs")
            self.diff = gr.HTML(elem_id="conflict-diff")

    @property
    def outputs(self) -> list[Any]:
        return [self.box, self.head, self.ours, self.theirs, self.diff]

    async def shows(self, seen: Seen, view: View, who: Principal) -> list[Any]:
        """Updates of `outputs`: the pane is there as long as the conflict."""
        found = seen.conflict(view.key)
        if found is None:
            return [gr.update(visible=False), "", gr.skip(), gr.skip(), ""]
        try:
            sides = [(await self._studio.version(view.key, number, who)).about for number in (found.ours, found.theirs)]
            diff = await drawn(self._studio, view.key, found.ours, found.theirs, who, inline=view.inline)
        except HerdingError as error:
            hidden = panel("bad", TITLE, el("p", "Both sides cannot be shown to you. ", error.message), role="alert")
            return [gr.update(visible=True), hidden, gr.update(visible=False), gr.update(visible=False), ""]
        return [
            gr.update(visible=True),
            _head(found, sides[0], sides[1]),
            gr.update(visible=True, value=f"Keep version {found.ours} (saved)"),
            gr.update(visible=True, value=f"Keep version {found.theirs} (file)"),
            diff,
        ]


async def line(studio: Studio, who: Principal) -> Markup:
    """The conflicts that somebody may decide, with the ways there; nothing where there are none."""
    return banner(await clashes(studio, who)) if SAVE in who.rights else Markup()


def banner(conflicts: Sequence[PromptConflict], *, here: str = "") -> Markup:
    """The prompts that wait for a decision, but for the one that is open."""
    others = [conflict for conflict in conflicts if conflict.key != here]
    if not others:
        return Markup()
    title = f"{plural(len(others), 'prompt')} {'waits' if len(others) == 1 else 'wait'} for a decision"
    links = [el("a", el("code", found.key), href=_address(found.key)) for found in others]
    told = el("p", f"{TITLE}: ", *_listed(links))
    return panel("warn", title, told, role="status")


def resolved(number: int) -> Markup:
    """That a conflict is over."""
    return success(f"Decided: version {number} is the newest, and the file follows it.")


def _address(key: str) -> str:
    return f"?{urlencode({'tab': 'versions', 'prompt': key})}"


def _listed(links: Sequence[Markup]) -> list[Markup | str]:
    found: list[Markup | str] = []
    for link in links:
        found += [", ", link] if found else [link]
    return found


def _head(found: PromptConflict, ours: PromptVersion, theirs: PromptVersion) -> Markup:
    base = f"version {found.base}" if found.base else "nothing"
    title = el("h2", TITLE)
    why = el("p", f"Two changes of {base} met, found ", datetime_tag(found.at), ". ", BOTH)
    sides = [
        (f"Saved: version {ours.number}", _side(ours)),
        (f"File: version {theirs.number}", _side(theirs)),
    ]
    return join([title, why, key_values(sides, cls="facts conflict-sides")])


def _side(version: PromptVersion) -> Markup:
    said = el("div", version.message, cls="version-message") if version.message else None
    return join(["by ", person(version.author), " · ", datetime_tag(version.created_at), said])
