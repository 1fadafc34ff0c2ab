"""The list of a prompt's versions page by page, and one of them whole."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.errors import HerdingError
from herding.studio.studio import Studio
from herding.ui.kit.format import el, panel
from herding.ui.kit.picklist import pick_list
from herding.ui.versions import list as versions_list
from herding.ui.versions.read import PAGE, Seen, View
from herding.values import Principal


class ListPane:
    """The table and the buttons below it."""

    def __init__(self) -> None:
        self.list = pick_list("version-list")
        with gr.Row(elem_classes=["pager"], elem_id="version-pager") as self.pager:
            self.newer = gr.Button("‹ Newer", size="sm", scale=0, min_width=100, elem_id="version-newer")
            self.place = gr.HTML(elem_id="version-place")
            self.older = gr.Button("Older ›", size="sm", scale=0, min_width=100, elem_id="version-older")

    @property
    def outputs(self) -> list[Any]:
        return [self.list, self.place, self.newer, self.older, self.pager]

    def shows(self, seen: Seen, view: View) -> list[Any]:
        """Updates of `outputs`."""
        return [
            versions_list.rows(seen, view),
            versions_list.place(seen, view),
            gr.update(interactive=view.offset > 0),
            gr.update(interactive=view.offset + PAGE < seen.newest),
            gr.update(visible=seen.newest > PAGE),
        ]


class FilePane:
    """The newer side of the diff as the file that it would be: to look at, and to download."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        with gr.Row(elem_classes=["whole-row"]):
            self.whole = gr.Button("Show the whole version", size="sm", scale=0, elem_id="version-whole")
            self.download = gr.HTML(elem_id="version-download")
        self.text = gr.HTML(elem_id="version-text", elem_classes=["whole"])

    @property
    def outputs(self) -> list[Any]:
        return [self.whole, self.download, self.text]

    async def shows(self, view: View, who: Principal) -> list[Any]:
        """Updates of `outputs`."""
        label = f"{'Hide' if view.whole else 'Show'} the whole version {view.new}"
        shown = await self._text(view, who) if view.whole else Markup()
        return [gr.update(value=label), versions_list.download(view.key, view.new), shown]

    async def _text(self, view: View, who: Principal) -> Markup:
        try:
            text = await self._studio.yaml(view.key, view.new, who)
        except HerdingError as error:
            return panel("bad", "This version cannot be shown", el("p", error.message), role="alert")
        return el("pre", text, cls="code", tabindex="0", aria_label=f"Version {view.new}")
