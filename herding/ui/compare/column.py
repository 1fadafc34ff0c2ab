"""One column of the comparison: its configuration, its response, and its rating."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from herding.access.operations import RATE
from herding.errors import HerdingError
from herding.orchestrator import Orchestrator
from herding.ui.compare.state import INITIAL_COLUMNS, LETTERS, Column, CompareState
from herding.ui.kit import response
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, empty_state, format_value, join
from herding.ui.kit.message_parts import response_parts
from herding.ui.kit.stars import NOT_ON_PAGE, RATING_SAVED, parse_stars, star_rating, update_stars
from herding.values import Outcome, Principal, PromptInfo

ENGINEER = "engineer"
AUTO = ""
MODEL_DEFAULT = "Model default"
NO_RESPONSE = empty_state("No response yet", "Select Run all to start every column.")

Pairs = Sequence[tuple[str, str]]
"""The labels and values of a picker's choices."""

Updates = dict[Any, Any]


class ColumnPane:
    """The components of one column.

    The style sheet hides empty parts: Gradio drops a change of `visible` that follows another one too soon.
    """

    def __init__(self, orchestrator: Orchestrator, state: gr.State, number: int) -> None:
        self._orchestrator, self.number, self.letter = orchestrator, number, LETTERS[number]
        self._id = f"compare-{self.letter.lower()}"
        with gr.Column(
            visible=number < INITIAL_COLUMNS, elem_id=self._id, elem_classes=["compare-column"], min_width=240
        ) as self.box:
            with gr.Row(elem_classes=["column-head"]):
                gr.HTML(el("h2", f"Column {self.letter}"))
                self.remove = self._button(f"Remove {self.letter}", "remove")
            self._build_setup()
            self._build_response()
            self.use = self._button(f"Copy {self.letter} to draft", "use")
        on(
            self.stars.rate,
            self.rate,
            [state, self.stars],
            [self.note],
            name=f"compare_rate_{number}",
            queue=False,
            trigger_mode="always_last",
        )

    def _button(self, label: str, suffix: str) -> Any:
        return gr.Button(label, size="sm", scale=0, min_width=60, elem_id=f"{self._id}-{suffix}")

    def _build_setup(self) -> None:
        with gr.Row(elem_classes=["column-fields"]):
            self.prompt = self._picker("Prompt", "prompt", scale=3)
            self.version = self._picker("Version", "version", scale=2)
        self.model = self._picker("Model", "model", scale=1)
        with gr.Row(elem_classes=["column-fields"]):
            self.temperature = self._number("temperature", step=0.05, precision=None)
            self.max_tokens = self._number("max_tokens", step=1, precision=0)

    def _picker(self, label: str, suffix: str, *, scale: int) -> Any:
        return gr.Dropdown(
            [(AUTO, AUTO)],
            value=AUTO,
            label=label,
            interactive=True,
            scale=scale,
            min_width=100,
            elem_id=f"{self._id}-{suffix}",
        )

    def _number(self, name: str, *, step: float, precision: int | None) -> Any:
        elem_id = f"{self._id}-{name.replace('_', '-')}"
        return gr.Number(label=name, step=step, precision=precision, min_width=100, interactive=True, elem_id=elem_id)

    def _build_response(self) -> None:
        self.status = gr.HTML(NO_RESPONSE, elem_id=f"{self._id}-status", elem_classes=["response-status"])
        self.text = gr.Textbox(
            label=f"Response {self.letter}",
            lines=5,
            max_lines=14,
            interactive=False,
            placeholder=" ",
            buttons=["copy"],
            elem_id=f"{self._id}-answer",
            elem_classes=["column-response"],
            html_attributes=gr.InputHTMLAttributes(spellcheck=False),
        )
        self.problem = gr.HTML(elem_id=f"{self._id}-error", elem_classes=["column-error"])
        self.metrics = gr.HTML(elem_id=f"{self._id}-metrics", elem_classes=["column-metrics"])
        with gr.Column(elem_classes=["feedback"], elem_id=f"{self._id}-feedback") as self.feedback:
            self.stars = star_rating(f"{self._id}-stars", f"Rate response {self.letter}")
            self.note = gr.HTML(elem_id=f"{self._id}-note", elem_classes=["note"])

    @property
    def fields(self) -> list[Any]:
        """The editable fields, in the order of `ColumnConfig.from_fields`."""
        return [self.prompt, self.version, self.model, self.temperature, self.max_tokens]

    @property
    def setup(self) -> list[Any]:
        """The outputs of `show_setup`."""
        return [self.box, self.use, self.feedback, *self.fields]

    @property
    def response(self) -> list[Any]:
        """The components that a run changes."""
        return [self.status, self.text, self.problem, self.metrics, self.stars, self.note]

    def show_setup(
        self, column: Column, info: PromptInfo | None, prompts: Pairs, versions: Pairs, *, who: Principal, fill: bool
    ) -> list[Any]:
        """Return updates of `setup` for a column that runs `info`; only with `fill` are the numbers written."""
        config, own = column.config, info.parameters if info else None
        numbers: list[dict[str, Any]] = [
            {"placeholder": format_value(own.temperature if own else None) or MODEL_DEFAULT},
            {"placeholder": format_value(own.max_tokens if own else None) or MODEL_DEFAULT},
        ]
        if fill:
            numbers[0]["value"], numbers[1]["value"] = config.temperature, config.max_tokens
        return [
            gr.update(visible=column.open),
            gr.update(visible=ENGINEER in who.tabs),
            gr.update(visible=RATE in who.rights),
            gr.update(choices=prompts, value=config.prompt),
            gr.update(choices=versions, value=config.version),
            _model_picker(info, config.model),
            *(gr.update(**number) for number in numbers),
        ]

    def show_empty(self) -> list[Any]:
        """Return updates of `response` for a column without a run."""
        return [NO_RESPONSE, "", "", "", gr.skip(), ""]

    def show_started(self) -> Updates:
        """Return updates for a run that starts: the old response is cleared."""
        return {
            self.status: response.queued_status(None, 0),
            self.text: "",
            self.problem: "",
            self.metrics: "",
            self.note: "",
        }

    def show_outcome(self, outcome: Outcome) -> Updates:
        """Return updates for a finished request."""
        return {
            self.status: response.final_status(outcome),
            self.metrics: join((response_parts(outcome), response.metrics(outcome))),
            self.stars: update_stars(None, enabled=True),
        }

    def show_error(self, error: HerdingError) -> Updates:
        """Return updates for a run that failed; text received so far stays."""
        return {
            self.status: response.not_sent_status(error.type),
            self.problem: response.error_panel(error.type, error.message),
        }

    @requires(RATE)
    async def rate(self, state: CompareState, stars: Any, request: gr.Request) -> Any:
        """Save the rating of the shown response."""
        outcome = state.columns[self.number].outcome
        if outcome is None:
            return NOT_ON_PAGE
        await self._orchestrator.feedback.rate(outcome.request_id, parse_stars(stars), principal_of(request))
        return RATING_SAVED


def _model_picker(prompt: PromptInfo | None, chosen: str) -> Any:
    """Return the update of the model picker; `chosen` stays selected while it is available."""
    served = prompt.served if prompt else {}
    available = {model: f"{model} · {', '.join(nodes)}" for model, nodes in served.items() if nodes}
    choices = [("Auto", AUTO), *((label, model) for model, label in available.items())]
    return gr.update(choices=choices, value=chosen if chosen in available else AUTO)
