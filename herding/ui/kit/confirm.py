"""A button that asks for confirmation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr

from herding.ui.kit.events import on, requires
from herding.ui.kit.format import el

_SCROLL_TO = "(id) => setTimeout(() => document.getElementById(id)?.scrollIntoView({ block: 'nearest' }), 250)"


class ConfirmButton:
    """A button that opens a question with two answers; the caller connects `yes`."""

    def __init__(self, label: str, question: str, answer: str, *, right: str, name: str, elem_id: str) -> None:
        with gr.Column(elem_classes=["confirm"], visible=False, elem_id=elem_id) as self.box:
            self.button = gr.Button(label, variant="stop", size="sm", min_width=140, elem_id=f"{elem_id}-ask")
            with gr.Column(visible=False, elem_classes=["question"], elem_id=f"{elem_id}-question") as self.row:
                self.question = gr.HTML(el("p", question, role="alert"))
                with gr.Row(elem_classes=["answers"]):
                    self.yes = gr.Button(answer, variant="stop", size="sm", elem_id=f"{elem_id}-yes")
                    self.no = gr.Button("Cancel", size="sm", elem_id=f"{elem_id}-no")
        on(self.button.click, _set_open(right, True), [], [self.row], name=f"{name}_ask", queue=False)
        on(self.no.click, _set_open(right, False), [], [self.row], name=f"{name}_keep", queue=False)
        self.button.click(None, None, None, js=f"() => ({_SCROLL_TO})('{elem_id}-question')")
        # The pressed button disappears: move the focus back to the one that opened the question.
        for button in (self.yes, self.no):
            button.click(None, None, None, js=f"() => document.getElementById('{elem_id}-ask')?.focus()")

    @property
    def outputs(self) -> list[Any]:
        return [self.box, self.row]

    @staticmethod
    def show(visible: bool) -> list[Any]:
        """Return the updates of `outputs`: the button visible or not, the question closed."""
        return [gr.update(visible=visible), gr.update(visible=False)]


def _set_open(right: str, opened: bool) -> Callable[[], Awaitable[Any]]:
    @requires(right)
    async def set_open() -> Any:
        """Open or close the question."""
        return gr.update(visible=opened)

    return set_open
