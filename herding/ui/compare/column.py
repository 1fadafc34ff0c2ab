"""One column of the comparison: what it runs, its answer, and the stars for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from herding.access.operations import RATE
from herding.errors import HerdingError
from herding.orchestrator import Orchestrator
from herding.ui.compare.state import FIRST, LETTERS, Column, CompareState
from herding.ui.engineer.runner import AUTO, model_picker
from herding.ui.kit import response
from herding.ui.kit.events import on, requires
from herding.ui.kit.events import principal_of as asking
from herding.ui.kit.format import el, empty_state, format_value
from herding.ui.kit.stars import NOT_ON_PAGE, RATING_SAVED, parse_stars, star_rating, update_stars
from herding.values import Outcome, Principal, PromptInfo

ENGINEER = "engineer"
OWN = "model's own"
NO_ANSWER = empty_state("No answer yet", "Press Run all; the columns start together.")

Pairs = Sequence[tuple[str, str]]
"""What a picker shows, and what that stands for."""

Updates = dict[Any, Any]


class ColumnPane:
    """Components of the column `number`, and what they show.

    What has nothing to show is folded away by the style sheet: Gradio loses a change of `visible` that follows another
    one too soon.
    """

    def __init__(self, orchestrator: Orchestrator, bench: gr.State, number: int) -> None:
        self._orchestrator, self.number, self.letter = orchestrator, number, LETTERS[number]
        self._id = f"compare-{self.letter.lower()}"
        with gr.Column(visible=number < FIRST, elem_id=self._id, elem_classes=["lane"], min_width=240) as self.box:
            with gr.Row(elem_classes=["lane-head"]):
                gr.HTML(el("h2", f"Column {self.letter}"))
                self.remove = self._button(f"Remove {self.letter}", "remove")
            self._build_setting()
            self._build_answer()
            self.use = self._button(f"Use {self.letter} as my draft", "use")
        rated = [bench, self.stars]
        options: dict[str, Any] = {"queue": False, "trigger_mode": "always_last"}
        on(self.stars.rate, self.rate, rated, [self.note], name=f"compare_rate_{number}", **options)

    def _button(self, label: str, what: str) -> Any:
        return gr.Button(label, size="sm", scale=0, min_width=60, elem_id=f"{self._id}-{what}")

    def _build_setting(self) -> None:
        with gr.Row(elem_classes=["lane-fields"]):
            self.prompt = self._picker("Prompt", "prompt", scale=3)
            self.version = self._picker("Version", "version", scale=2)
        self.model = self._picker("Model", "model", scale=1)
        with gr.Row(elem_classes=["lane-fields"]):
            self.temperature = self._number("temperature", step=0.05, precision=None)
            self.max_tokens = self._number("max_tokens", step=1, precision=0)

    def _picker(self, label: str, what: str, *, scale: int) -> Any:
        options: dict[str, Any] = {"interactive": True, "scale": scale, "min_width": 100}
        return gr.Dropdown([(AUTO, AUTO)], value=AUTO, label=label, elem_id=f"{self._id}-{what}", **options)

    def _number(self, name: str, **options: Any) -> Any:
        elem_id = f"{self._id}-{name.replace('_', '-')}"
        return gr.Number(label=name, min_width=100, interactive=True, elem_id=elem_id, **options)

    def _build_answer(self) -> None:
        self.status = gr.HTML(NO_ANSWER, elem_id=f"{self._id}-status", elem_classes=["answer-status"])
        self.text = gr.Textbox(
            label=f"Answer of {self.letter}",
            lines=5,
            max_lines=14,
            interactive=False,
            placeholder=" ",
            buttons=["copy"],
            elem_id=f"{self._id}-answer",
            elem_classes=["lane-answer"],
            html_attributes=gr.InputHTMLAttributes(spellcheck=False),
        )
        self.problem = gr.HTML(elem_id=f"{self._id}-error", elem_classes=["lane-error"])
        self.figures = gr.HTML(elem_id=f"{self._id}-figures", elem_classes=["lane-figures"])
        with gr.Column(elem_classes=["feedback"], elem_id=f"{self._id}-feedback") as self.feedback:
            self.stars = star_rating(f"{self._id}-stars", f"Rate {self.letter}")
            self.note = gr.HTML(elem_id=f"{self._id}-note", elem_classes=["note"])

    @property
    def fields(self) -> list[Any]:
        """What a person may set, in the order of `setting`."""
        return [self.prompt, self.version, self.model, self.temperature, self.max_tokens]

    @property
    def setup(self) -> list[Any]:
        return [self.box, self.use, self.feedback, *self.fields]

    @property
    def answers(self) -> list[Any]:
        """All that a run changes."""
        return [self.status, self.text, self.problem, self.figures, self.stars, self.note]

    def fits(
        self, lane: Column, info: PromptInfo | None, prompts: Pairs, versions: Pairs, *, who: Principal, fill: bool
    ) -> list[Any]:
        """Updates of `setup` for a column that runs `info`; numbers are only written where `fill` says so."""
        setting, own = lane.setting, info.parameters if info else None
        numbers: list[dict[str, Any]] = [
            {"placeholder": format_value(own.temperature if own else None) or OWN},
            {"placeholder": format_value(own.max_tokens if own else None) or OWN},
        ]
        if fill:
            numbers[0]["value"], numbers[1]["value"] = setting.temperature, setting.max_tokens
        return [
            gr.update(visible=lane.open),
            gr.update(visible=ENGINEER in who.tabs),
            gr.update(visible=RATE in who.rights),
            gr.update(choices=prompts, value=setting.prompt),
            gr.update(choices=versions, value=setting.version),
            model_picker(info, setting.model)[0],
            *(gr.update(**number) for number in numbers),
        ]

    def blank(self) -> list[Any]:
        """Updates of `answers` where nothing ran."""
        return [NO_ANSWER, "", "", "", gr.skip(), ""]

    def begins(self) -> Updates:
        """Updates for a run that begins: the old answer goes."""
        return {
            self.status: response.queued_status(None, 0),
            self.text: "",
            self.problem: "",
            self.figures: "",
            self.note: "",
        }

    def ends(self, outcome: Outcome) -> Updates:
        """Updates for a run that has a row, however it ended."""
        return {
            self.status: response.final_status(outcome),
            self.figures: response.metrics(outcome),
            self.stars: update_stars(None, enabled=True),
        }

    def fails(self, error: HerdingError) -> Updates:
        """Updates for a run that ended with an error; what had arrived of the answer stays."""
        return {
            self.status: response.not_sent_status(error.type),
            self.problem: response.error_panel(error.type, error.message),
        }

    @requires(RATE)
    async def rate(self, bench: CompareState, stars: Any, request: gr.Request) -> Any:
        """Save the stars of the answer that is shown."""
        outcome = bench.lanes[self.number].outcome
        if outcome is None:
            return NOT_ON_PAGE
        await self._orchestrator.rate(outcome.request_id, parse_stars(stars), asking(request))
        return RATING_SAVED
