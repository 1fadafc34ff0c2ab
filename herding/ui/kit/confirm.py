"""A button that asks once more before it does what cannot be undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr

from herding.ui.kit.events import on, requires
from herding.ui.kit.format import el

_INTO_VIEW = "(id) => setTimeout(() => document.getElementById(id)?.scrollIntoView({ block: 'nearest' }), 250)"


class ConfirmButton:
    """The button `ask`, and the row with the question that it opens; the caller wires `yes`."""

    def __init__(self, label: str, question: str, answer: str, *, right: str, name: str, elem_id: str) -> None:
        with gr.Column(elem_classes=["confirm"], visible=False, elem_id=elem_id) as self.box:
            self.ask = gr.Button(label, variant="stop", size="sm", min_width=140, elem_id=f"{elem_id}-ask")
            with gr.Column(visible=False, elem_classes=["question"], elem_id=f"{elem_id}-question") as self.row:
                self.question = gr.HTML(el("p", question, role="alert"))
                with gr.Row(elem_classes=["answers"]):
                    self.yes = gr.Button(answer, variant="stop", size="sm", elem_id=f"{elem_id}-yes")
                    self.no = gr.Button("Keep", size="sm", elem_id=f"{elem_id}-no")
        now: dict[str, Any] = {"queue": False}
        on(self.ask.click, _turn(right, opened=True), [], [self.row], name=f"{name}_ask", **now)
        on(self.no.click, _turn(right, opened=False), [], [self.row], name=f"{name}_keep", **now)
        self.ask.click(None, None, None, js=f"() => ({_INTO_VIEW})('{elem_id}-question')")
        # The button that was pressed goes away: the keyboard goes back to the one that opened the question.
        for button in (self.yes, self.no):
            button.click(None, None, None, js=f"() => document.getElementById('{elem_id}-ask')?.focus()")

    @property
    def outputs(self) -> list[Any]:
        return [self.box, self.row]

    @staticmethod
    def shows(visible: bool) -> list[Any]:
        """Updates of `outputs`: the button is there or not, and nothing is asked yet."""
        return [gr.update(visible=visible), gr.update(visible=False)]


def _turn(right: str, *, opened: bool) -> Callable[[], Awaitable[Any]]:
    @requires(right)
    async def turn() -> Any:
        """The question comes or goes."""
        return gr.update(visible=opened)

    return turn
