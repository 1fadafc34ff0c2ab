"""Two versions of a prompt, and what is different between them."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.errors import HerdingError
from herding.studio.studio import MANY, Studio
from herding.ui.kit import diff_view
from herding.ui.kit.format import el, empty_state, panel
from herding.ui.versions.read import Seen, View
from herding.values import Principal

FIRST = empty_state("The first version", "There is none before it. Choose another one to see what is different.")


class DiffPane:
    """Two pickers of versions, and the differences between them."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        with gr.Row(elem_classes=["diff-row", "version-diff-row"]):
            gr.HTML(el("h2", "Differences"), elem_classes=["diff-title"])
            self.old = _picker("From", "version-old")
            self.new = _picker("To", "version-new")
            self.inline = gr.Checkbox(
                label="One column", interactive=True, scale=0, min_width=130, elem_id="version-inline"
            )
        self.shown = gr.HTML(elem_id="version-diff")

    @property
    def outputs(self) -> list[Any]:
        return [self.old, self.new, self.shown]

    async def shows(self, seen: Seen, view: View, who: Principal) -> list[Any]:
        """Updates of `outputs`."""
        numbers = sorted({*range(max(1, seen.newest - MANY + 1), seen.newest + 1), view.old, view.new}, reverse=True)
        choices = [(_name(number, seen), number) for number in numbers]
        pickers = [gr.update(choices=choices, value=number) for number in (view.old, view.new)]
        return [*pickers, await self.between(view, who)]

    async def between(self, view: View, who: Principal) -> Markup:
        """The differences of the two versions that are chosen."""
        if view.old == view.new == 1:
            return FIRST
        try:
            return await drawn(self._studio, view.key, view.old, view.new, who, inline=view.inline)
        except HerdingError as error:
            return panel("bad", "These cannot be compared", el("p", error.message), role="alert")


async def drawn(studio: Studio, key: str, old: int, new: int, who: Principal, *, inline: bool = False) -> Markup:
    """What is different between two versions, drawn beside the event loop."""
    found = await studio.diff(key, old, new, who)
    return await asyncio.to_thread(diff_view.render_diff, found, inline=inline)


def _name(number: int, seen: Seen) -> str:
    return " · ".join((f"Version {number}", *seen.marks(number)))


def _picker(label: str, elem_id: str) -> Any:
    return gr.Dropdown([], label=label, interactive=True, scale=0, min_width=190, elem_id=elem_id)
