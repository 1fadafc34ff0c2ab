"""The tab "Insights": how the versions of a prompt did on each model, who answers next, and why."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import INSIGHTS, PROMPTS, PUBLISH
from herding.errors import UserError
from herding.evaluation.insights import SPANS
from herding.orchestrator import Orchestrator
from herding.ui.insights import outlook, plot, table
from herding.ui.kit import prompt_text
from herding.ui.kit.confirm import ConfirmButton
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import empty_state, success
from herding.values import Principal

DAYS = 30
NOTHING = empty_state("No prompts yet", "Put a YAML file into the prompts directory; it appears here.")
QUIET = empty_state(
    "Nothing ran in this time", "Run this prompt in the first tab and rate the answers, or look further back."
)
FORGET = (
    "What requests and stars of this prompt have shown so far counts no more for who answers it; what other prompts "
    "have shown still does. Requests and stars stay in the history. This cannot be undone."
)
FORGOTTEN = success("What was learned of this prompt is forgotten.")


class Insights:
    """Layout of the tab, and its handlers."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        with gr.Row(elem_classes=["filters", "insights-bar"]):
            self.picker = gr.Dropdown(
                [], label="Prompt", interactive=True, scale=3, min_width=260, elem_id="insights-prompt"
            )
            self.days = gr.Dropdown(
                [(f"last {days} days", days) for days in SPANS],
                value=DAYS,
                label="Time",
                filterable=False,
                interactive=True,
                scale=1,
                min_width=140,
                elem_id="insights-days",
            )
            self.refresh = gr.Button("Refresh", size="sm", scale=0, min_width=100, elem_id="insights-refresh")
        self.note = gr.HTML(elem_id="insights-news", elem_classes=["note", "news"])
        with gr.Column(elem_classes=["insights-body"]) as self.body:
            with gr.Column(elem_classes=["sheet", "insights"]):
                self.matrix = gr.HTML(elem_id="insights-matrix")
                self.when = gr.HTML(elem_id="insights-when")
                self.plot = plot.plot("insights-plot")
            with gr.Column(elem_classes=["sheet", "insights"]):
                self.outlook = gr.HTML(elem_id="insights-outlook")
                self.reset = ConfirmButton(
                    "Reset what is learned",
                    FORGET,
                    "Reset",
                    right=PUBLISH,
                    name="insights_reset",
                    elem_id="insights-reset",
                )
        self._wire()

    def _wire(self) -> None:
        now: dict[str, Any] = {"queue": False}
        chosen = [self.picker, self.days]
        changed = [self.picker.input, self.days.input, self.refresh.click]
        on(changed, self.look, chosen, self.shown, name="insights_look", trigger_mode="always_last", **now)
        on(self.reset.yes.click, self.forget, chosen, self.shown, name="insights_reset", **now)

    @property
    def shown(self) -> list[Any]:
        """All that follows the chosen prompt."""
        return [self.note, self.body, self.matrix, self.when, self.plot, self.outlook, *self.reset.outputs]

    @property
    def outputs(self) -> list[Any]:
        """Everything, for the moment when the tab is opened."""
        return [self.picker, *self.shown]

    @requires(INSIGHTS)
    async def opened(self, key: str | None, days: Any, request: gr.Request) -> list[Any]:
        """The tab is opened with the prompt that the page's address names, or as it was left."""
        principal, asked = principal_of(request), request.query_params.get("prompt") or key
        found = await self._orchestrator.prompts(principal) if PROMPTS in principal.rights else []
        known = {prompt.key: prompt_text.picker_option(prompt) for prompt in found}
        chosen = asked if asked in known else next(iter(known), None)
        missed = prompt_text.not_opened(asked, exists=False, running=False) if asked and asked != chosen else None
        choices = [(name, held) for held, name in known.items()]
        return [gr.update(choices=choices, value=chosen), *await self._show(chosen, days, principal, missed)]

    @requires(INSIGHTS)
    async def look(self, key: str | None, days: Any, request: gr.Request) -> list[Any]:
        """Another prompt, another time, or the same once more."""
        return await self._show(key, days, principal_of(request))

    @requires(PUBLISH)
    async def forget(self, key: str | None, days: Any, request: gr.Request) -> list[Any]:
        """Begin anew with what is learned of the prompt."""
        principal = principal_of(request)
        if not key:
            raise UserError("Choose a prompt first.", param="prompt")
        await self._orchestrator.insights.reset(key, principal)
        return await self._show(key, days, principal, FORGOTTEN)

    async def _show(self, key: str | None, days: Any, principal: Principal, note: Markup | None = None) -> list[Any]:
        """Updates of `shown`."""
        if not key:
            return [
                NOTHING,
                gr.update(visible=False),
                "",
                "",
                gr.update(visible=False),
                "",
                *ConfirmButton.show(False),
            ]
        found = await self._orchestrator.insights.look(key, principal, days=_days(days))
        return [
            note or "",
            gr.update(visible=True),
            table.table(found) if found.total else QUIET,
            plot.title(found),
            plot.shows(found),
            outlook.outlook(found),
            *ConfirmButton.show(PUBLISH in principal.rights),
        ]


def _days(given: Any) -> int:
    """The span that a page asks for; what is none of them is refused further on."""
    return given if isinstance(given, int) else 0
