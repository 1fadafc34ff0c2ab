"""Which of two answers is better: three buttons below the pickers of the columns, and what was said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import RATE
from herding.errors import HerdingError
from herding.orchestrator import Orchestrator
from herding.ui.compare.state import Column, CompareState
from herding.ui.kit.events import on, requires
from herding.ui.kit.events import principal_of as asking
from herding.ui.kit.format import el
from herding.ui.kit.stars import NOT_ON_PAGE
from herding.values import Preference, Principal

LEFT, EQUAL, RIGHT, NOTHING = "left", "equal", "right", "nothing"
ASKED = el("span", "Which answer is better?", cls="muted")


class PreferencePane:
    """Layout of the buttons, and their handlers; `left` and `right` are the pickers of the two columns."""

    def __init__(self, orchestrator: Orchestrator, bench: gr.State, left: Any, right: Any) -> None:
        self._preferences = orchestrator.preferences
        with gr.Row(elem_id="compare-prefer", elem_classes=["prefer-row"]) as self.box:
            self.left = _button("A is better", LEFT)
            self.equal = _button("Equal", EQUAL)
            self.right = _button("B is better", RIGHT)
            self.back = _button("Take back", NOTHING)
            self.note = gr.HTML(ASKED, elem_id="compare-prefer-note")
        given = [bench, left, right]
        for name, button in {LEFT: self.left, EQUAL: self.equal, RIGHT: self.right, NOTHING: self.back}.items():
            on(button.click, self._sayer(name), given, self.outputs, name=f"compare_prefer_{name}", queue=False)

    @property
    def buttons(self) -> list[Any]:
        return [self.left, self.equal, self.right, self.back]

    @property
    def outputs(self) -> list[Any]:
        return [self.box, *self.buttons, self.note]

    async def shows(self, bench: CompareState, left: str | None, right: str | None, who: Principal) -> list[Any]:
        """Updates of `outputs` for the answers of two columns, with what `who` said of them before."""
        pair = rated(bench, left, right)
        if pair is None or RATE not in who.rights:
            rests = [gr.update(interactive=False) for _ in self.buttons]
            return [gr.update(visible=RATE in who.rights), *rests, ASKED]
        try:
            said = await self._preferences.of(_id(pair[0]), _id(pair[1]), who)
        except HerdingError as error:
            said, note = None, el("span", error.message, cls="wrong", role="alert")
        else:
            note = told(said, pair)
        chosen = _chosen(said, pair)
        return [
            gr.update(visible=True),
            _marks(f"{pair[0].letter} is better", chosen == LEFT),
            _marks("Equal", chosen == EQUAL),
            _marks(f"{pair[1].letter} is better", chosen == RIGHT),
            gr.update(interactive=said is not None),
            note,
        ]

    def _sayer(self, what: str) -> Callable[..., Awaitable[list[Any]]]:
        @requires(RATE)
        async def say(bench: CompareState, left: str | None, right: str | None, request: gr.Request) -> list[Any]:
            """Keep what the person says of the two answers that are shown, or take it back."""
            who, pair = asking(request), rated(bench, left, right)
            if pair is None:
                return [*(gr.skip() for _ in (self.box, *self.buttons)), NOT_ON_PAGE]
            one, other = _id(pair[0]), _id(pair[1])
            if what == NOTHING:
                await self._preferences.take_back(one, other, who)
            elif what == RIGHT:
                await self._preferences.prefer(other, one, who)
            else:
                await self._preferences.prefer(one, other, who, equal=what == EQUAL)
            return await self.shows(bench, left, right, who)

        return say


def rated(bench: CompareState, left: str | None, right: str | None) -> tuple[Column, Column] | None:
    """The two columns, if both are there with an answer that has a row, and are not one and the same."""
    lanes = {lane.letter: lane for lane in bench.opened if lane.answer and lane.outcome is not None}
    if left == right or left not in lanes or right not in lanes:
        return None
    return lanes[left], lanes[right]


def told(said: Preference | None, pair: tuple[Column, Column]) -> Markup:
    """What somebody said of the two answers, in words."""
    one, other = pair[0].letter, pair[1].letter
    match _chosen(said, pair):
        case "left":
            words = f"✓ Saved: {one} is better than {other}."
        case "right":
            words = f"✓ Saved: {other} is better than {one}."
        case "equal":
            words = f"✓ Saved: {one} and {other} are equal."
        case _:
            return ASKED
    return el("span", words, cls="saved", role="status")


def _chosen(said: Preference | None, pair: tuple[Column, Column]) -> str:
    if said is None:
        return NOTHING
    return EQUAL if said.equal else LEFT if said.better == _id(pair[0]) else RIGHT


def _id(lane: Column) -> str:
    return lane.outcome.request_id if lane.outcome else ""


def _marks(label: str, chosen: bool) -> Any:
    return gr.update(value=label, interactive=True, variant="primary" if chosen else "secondary")


def _button(label: str, what: str) -> Any:
    elem_id = f"compare-prefer-{what}"
    return gr.Button(label, size="sm", interactive=False, scale=0, min_width=90, elem_id=elem_id)
