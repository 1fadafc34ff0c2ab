"""The differences of two versions."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.errors import HerdingError
from herding.studio.studio import MANY, Studio
from herding.ui.kit import diff_view
from herding.ui.kit.format import el, empty_state, panel
from herding.ui.versions.state import PromptSnapshot, VersionsState
from herding.values import Principal

FIRST_VERSION = empty_state("First version", "There is no earlier version. Choose another version to compare.")


class DiffPane:
    """Two version pickers and the diff."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        with gr.Row(elem_classes=["diff-row", "version-diff-row"]):
            gr.HTML(el("h2", "Differences"), elem_classes=["diff-title"])
            self.old = _picker("From", "version-old")
            self.new = _picker("To", "version-new")
            self.unified = gr.Checkbox(
                label="Unified", interactive=True, scale=0, min_width=130, elem_id="version-inline"
            )
        self.diff = gr.HTML(elem_id="version-diff")

    @property
    def outputs(self) -> list[Any]:
        return [self.old, self.new, self.diff]

    async def show(self, snapshot: PromptSnapshot, state: VersionsState, who: Principal) -> list[Any]:
        """Return updates of `outputs`."""
        newest = snapshot.newest
        numbers = sorted({*range(max(1, newest - MANY + 1), newest + 1), state.old, state.new}, reverse=True)
        choices = [(" · ".join((f"Version {number}", *snapshot.labels_of(number))), number) for number in numbers]
        pickers = [gr.update(choices=choices, value=number) for number in (state.old, state.new)]
        return [*pickers, await self._diff(state, who)]

    async def _diff(self, state: VersionsState, who: Principal) -> Markup:
        if state.old == state.new == 1:
            return FIRST_VERSION
        try:
            return await version_diff(self._studio, state.key, state.old, state.new, who, unified=state.unified)
        except HerdingError as error:
            return panel("bad", "Can't compare these versions", el("p", error.message), role="alert")


async def version_diff(
    studio: Studio, key: str, old: int, new: int, who: Principal, *, unified: bool = False
) -> Markup:
    """Return the diff of two versions; it is rendered in a thread."""
    found = await studio.diff(key, old, new, who)
    return await asyncio.to_thread(diff_view.render_diff, found, inline=unified)


def _picker(label: str, elem_id: str) -> Any:
    return gr.Dropdown([], label=label, interactive=True, scale=0, min_width=190, elem_id=elem_id)
