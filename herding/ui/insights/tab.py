"""The layout of the Insights tab, and its handlers."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import INSIGHTS, PROMPTS, PUBLISH
from herding.errors import UserError
from herding.evaluation.insights import SPANS
from herding.orchestrator import Orchestrator
from herding.ui.insights import plot, report
from herding.ui.kit import prompt_text
from herding.ui.kit.confirm import ConfirmButton
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import empty_state, success
from herding.ui.kit.latest import choice_key, shown_field
from herding.ui.kit.tab import Tab
from herding.values import Principal

DAYS = 30
NO_PROMPTS = empty_state("No prompts yet", "Add a YAML file to the prompts directory.")
NO_REQUESTS = empty_state(
    "No requests in this period", "Run this prompt and rate the responses, or choose a longer period."
)
RESET_QUESTION = (
    "Routing will no longer use the past requests and ratings of this prompt. Data of other prompts still counts, "
    "and the history stays. This can't be undone."
)
RESET_DONE = success("Routing data reset.")


class InsightsTab(Tab):
    """The tab: its layout and its handlers."""

    key = "insights"
    label = "Insights"
    rights = frozenset({INSIGHTS})

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        with gr.Row(elem_classes=["filters", "insights-bar"]):
            self.picker = gr.Dropdown(
                [], label="Prompt", interactive=True, scale=3, min_width=260, elem_id="insights-prompt"
            )
            self.days = gr.Dropdown(
                [(f"Last {days} days", days) for days in SPANS],
                value=DAYS,
                label="Period",
                filterable=False,
                interactive=True,
                scale=1,
                min_width=140,
                elem_id="insights-days",
            )
            self.refresh = gr.Button("Refresh", size="sm", scale=0, min_width=100, elem_id="insights-refresh")
        self.shown = shown_field("insights-shown")
        self.note = gr.HTML(elem_id="insights-news", elem_classes=["note", "news"])
        with gr.Column(elem_classes=["insights-body"]) as self.body:
            with gr.Column(elem_classes=["sheet", "insights"]):
                self.matrix = gr.HTML(elem_id="insights-matrix")
                self.when = gr.HTML(elem_id="insights-when")
                self.plot = plot.plot("insights-plot")
            with gr.Column(elem_classes=["sheet", "insights"]):
                self.routing = gr.HTML(elem_id="insights-outlook")
                self.reset = ConfirmButton(
                    "Reset routing data",
                    RESET_QUESTION,
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
        latest = {"trigger_mode": "always_last", **now}
        on(changed, self.refresh_report, chosen, self.content, name="insights_open", **latest)
        checked = [self.shown, *chosen]
        on(self.shown.change, self.check_shown, checked, self.content, name="insights_check", **latest)
        on(self.reset.yes.click, self.reset_routing, chosen, self.content, name="insights_reset", **now)

    @property
    def content(self) -> list[Any]:
        """The components that follow the chosen prompt."""
        return [self.shown, self.note, self.body, self.matrix, self.when, self.plot, self.routing, *self.reset.outputs]

    @property
    def open_inputs(self) -> list[Any]:
        return [self.picker, self.days]

    @property
    def outputs(self) -> list[Any]:
        """All components, for opening the tab."""
        return [self.picker, *self.content]

    @requires(INSIGHTS)
    async def opened(self, key: str | None, days: Any, request: gr.Request) -> list[Any]:
        """Open the tab with the prompt in the page's address, or as it was left."""
        principal, asked = principal_of(request), request.query_params.get("prompt") or key
        found = await self._orchestrator.prompts.list_all(principal) if PROMPTS in principal.rights else []
        known = {prompt.key: prompt_text.picker_option(prompt) for prompt in found}
        chosen = asked if asked in known else next(iter(known), None)
        missed = prompt_text.not_opened(asked, exists=False, running=False) if asked and asked != chosen else None
        choices = [(name, held) for held, name in known.items()]
        return [gr.update(choices=choices, value=chosen), *await self._show(chosen, days, principal, missed)]

    @requires(INSIGHTS)
    async def refresh_report(self, key: str | None, days: Any, request: gr.Request) -> list[Any]:
        """Show another prompt or period, or refresh the current one."""
        return await self._show(key, days, principal_of(request))

    @requires(INSIGHTS)
    async def check_shown(self, shown: str, key: str | None, days: Any, request: gr.Request) -> list[Any]:
        """Show the chosen prompt and period, if another one is shown: the response to an earlier choice came last."""
        if not shown or shown == choice_key(key, days):
            return [gr.skip()] * len(self.content)
        return await self._show(key, days, principal_of(request))

    @requires(PUBLISH)
    async def reset_routing(self, key: str | None, days: Any, request: gr.Request) -> list[Any]:
        """Reset the routing data of the prompt."""
        principal = principal_of(request)
        if not key:
            raise UserError("Choose a prompt first.", param="prompt")
        await self._orchestrator.insights.reset(key, principal)
        return await self._show(key, days, principal, RESET_DONE)

    async def _show(self, key: str | None, days: Any, principal: Principal, note: Markup | None = None) -> list[Any]:
        """Return updates of `content`."""
        if not key:
            return [
                choice_key(key, days),
                NO_PROMPTS,
                gr.update(visible=False),
                "",
                "",
                gr.update(visible=False),
                "",
                *ConfirmButton.show(False),
            ]
        insights = await self._orchestrator.insights.get(key, principal, days=_days(days))
        return [
            choice_key(key, days),
            note or "",
            gr.update(visible=True),
            report.version_table(insights) if insights.total else NO_REQUESTS,
            plot.title(insights),
            plot.update(insights),
            report.routing(insights),
            *ConfirmButton.show(PUBLISH in principal.rights),
        ]


def _days(given: Any) -> int:
    """Return the period sent by the page; 0, which is refused later, if it is not a number."""
    return given if isinstance(given, int) else 0
