"""The preference between two responses: three buttons below the column pickers, and the saved choice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import RATE
from herding.errors import HerdingError
from herding.orchestrator import Orchestrator
from herding.ui.compare.state import Column, CompareState
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el
from herding.ui.kit.stars import NOT_ON_PAGE
from herding.values import Preference, Principal

LEFT, EQUAL, RIGHT, NOTHING = "left", "equal", "right", "nothing"
QUESTION = el("span", "Which response is better?", cls="muted")


class PreferencePane:
    """The buttons and their handlers; `left` and `right` are the pickers of the two columns."""

    def __init__(self, orchestrator: Orchestrator, state: gr.State, left: Any, right: Any) -> None:
        self._feedback = orchestrator.feedback
        with gr.Row(elem_id="compare-prefer", elem_classes=["prefer-row"]) as self.box:
            self.left = _button("A is better", LEFT)
            self.equal = _button("Equal", EQUAL)
            self.right = _button("B is better", RIGHT)
            self.clear = _button("Clear choice", NOTHING)
            self.note = gr.HTML(QUESTION, elem_id="compare-prefer-note")
        inputs = [state, left, right]
        for choice, button in {LEFT: self.left, EQUAL: self.equal, RIGHT: self.right, NOTHING: self.clear}.items():
            on(button.click, self._save(choice), inputs, self.outputs, name=f"compare_prefer_{choice}", queue=False)

    @property
    def buttons(self) -> list[Any]:
        return [self.left, self.equal, self.right, self.clear]

    @property
    def outputs(self) -> list[Any]:
        return [self.box, *self.buttons, self.note]

    async def show(self, state: CompareState, left: str | None, right: str | None, who: Principal) -> list[Any]:
        """Return updates of `outputs` for the responses of two columns, with the preference that `who` saved."""
        pair = _pair(state, left, right)
        if pair is None or RATE not in who.rights:
            disabled = [gr.update(interactive=False) for _ in self.buttons]
            return [gr.update(visible=RATE in who.rights), *disabled, QUESTION]
        try:
            saved = await self._feedback.preference(_id(pair[0]), _id(pair[1]), who)
        except HerdingError as error:
            saved, note = None, el("span", error.message, cls="wrong", role="alert")
        else:
            note = _note(saved, pair)
        choice = _choice(saved, pair)
        return [
            gr.update(visible=True),
            _mark(f"{pair[0].letter} is better", choice == LEFT),
            _mark("Equal", choice == EQUAL),
            _mark(f"{pair[1].letter} is better", choice == RIGHT),
            gr.update(interactive=saved is not None),
            note,
        ]

    def _save(self, choice: str) -> Callable[..., Awaitable[list[Any]]]:
        @requires(RATE)
        async def save(state: CompareState, left: str | None, right: str | None, request: gr.Request) -> list[Any]:
            """Save the preference between the two shown responses, or remove it."""
            who, pair = principal_of(request), _pair(state, left, right)
            if pair is None:
                return [*(gr.skip() for _ in (self.box, *self.buttons)), NOT_ON_PAGE]
            first, second = _id(pair[0]), _id(pair[1])
            if choice == NOTHING:
                await self._feedback.remove_preference(first, second, who)
            elif choice == RIGHT:
                await self._feedback.prefer(second, first, who)
            else:
                await self._feedback.prefer(first, second, who, equal=choice == EQUAL)
            return await self.show(state, left, right, who)

        return save


def _pair(state: CompareState, left: str | None, right: str | None) -> tuple[Column, Column] | None:
    """Return the two columns if they differ and both have a finished response."""
    columns = {column.letter: column for column in state.open_columns if column.answer and column.outcome is not None}
    if left == right or left not in columns or right not in columns:
        return None
    return columns[left], columns[right]


def _note(saved: Preference | None, pair: tuple[Column, Column]) -> Markup:
    first, second = pair[0].letter, pair[1].letter
    match _choice(saved, pair):
        case "left":
            text = f"✓ Saved: {first} is better than {second}."
        case "right":
            text = f"✓ Saved: {second} is better than {first}."
        case "equal":
            text = f"✓ Saved: {first} and {second} are equal."
        case _:
            return QUESTION
    return el("span", text, cls="saved", role="status")


def _choice(saved: Preference | None, pair: tuple[Column, Column]) -> str:
    if saved is None:
        return NOTHING
    return EQUAL if saved.equal else LEFT if saved.better == _id(pair[0]) else RIGHT


def _id(column: Column) -> str:
    return column.outcome.request_id if column.outcome else ""


def _mark(label: str, chosen: bool) -> Any:
    return gr.update(value=label, interactive=True, variant="primary" if chosen else "secondary")


def _button(label: str, choice: str) -> Any:
    elem_id = f"compare-prefer-{choice}"
    return gr.Button(label, size="sm", interactive=False, scale=0, min_width=90, elem_id=elem_id)
