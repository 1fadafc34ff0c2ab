"""The tab "Compare": the same inputs for several prompts, versions, models or parameters, side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from herding.access.operations import RUN
from herding.errors import UserError
from herding.orchestrator import Orchestrator
from herding.ui.compare.choices import Choices
from herding.ui.compare.column import ColumnPane
from herding.ui.compare.diff import DiffPane
from herding.ui.compare.run import CompareRun, Panes
from herding.ui.compare.state import LETTERS, CompareState, setting
from herding.ui.compare.summary import NOTHING
from herding.ui.kit import prompt_text
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, join
from herding.ui.kit.variable_form import VariableForm
from herding.values import Principal

# The button that was pressed goes away: the keyboard goes on at the one that brings a column back.
_TO_ADD = "() => setTimeout(() => document.getElementById('compare-add')?.focus(), 300)"
STALE = "This page is not up to date any more. Load it again, then go on."


class Compare:
    """Layout of the tab, and its handlers. `owner` is an unseen field with the key of the prompt of the form."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._choices = Choices(orchestrator)
        self.bench = gr.State(CompareState())
        self.owner = gr.Textbox(visible=False, interactive=True, elem_id="compare-owner")
        with gr.Column(elem_classes=["sheet"]):
            self.picker = gr.Dropdown(
                [], label="Prompt", info="Click and type to search", interactive=True, elem_id="compare-prompt"
            )
            self.about = gr.HTML(elem_id="compare-about")
            with gr.Column(elem_id="compare-variables", elem_classes=["fields"]):
                self.form = VariableForm("compare-var")
        with gr.Row(elem_classes=["compare-bar"]):
            self.run = gr.Button("Run all", variant="primary", scale=0, min_width=120, elem_id="compare-run")
            self.stop = gr.Button(
                "Stop all", variant="stop", interactive=False, scale=0, min_width=100, elem_id="compare-stop"
            )
            self.add = gr.Button("Add a column", scale=0, min_width=130, elem_id="compare-add")
            self.said = gr.HTML(elem_id="compare-said")
        with gr.Row(elem_classes=["lanes"], elem_id="compare-columns"):
            self.lanes = [ColumnPane(orchestrator, self.bench, number) for number in range(len(LETTERS))]
        with gr.Column(elem_classes=["sheet"]):
            self.diff = DiffPane(orchestrator, self.bench)
        with gr.Column(elem_classes=["sheet"]):
            gr.HTML(el("h2", "Summary of this session"))
            self.summary = gr.HTML(NOTHING, elem_id="compare-summary")
        self._wire()

    def _wire(self) -> None:
        now: dict[str, Any] = {"queue": False}
        on(self.picker.input, self.choose, [self.picker, *self.inputs], self.outputs, name="compare_choose", **now)
        pickers = [field.input for lane in self.lanes for field in (lane.prompt, lane.version, lane.model)]
        fitted = [self.bench, *self._setups]
        last: dict[str, Any] = {"trigger_mode": "always_last"}
        on(pickers, self.refit, self.inputs, fitted, name="compare_refit", **last, **now)
        on(self.add.click, self.more, self.inputs, [*fitted, self.add], name="compare_add", **now)
        for number, lane in enumerate(self.lanes):
            changed = [self.bench, lane.box, self.add, *self.diff.outputs]
            on(lane.remove.click, self._less(number), [self.bench], changed, name=f"compare_remove_{number}", **now)
            lane.remove.click(None, None, None, js=_TO_ADD)
        panes = Panes(
            self.bench, self.picker, self.run, self.stop, self.add, self.said, self.summary, self.diff, self.lanes
        )
        CompareRun(self._orchestrator, panes, keep=self.keep).wire(self.inputs)

    @property
    def _setups(self) -> list[Any]:
        return [part for lane in self.lanes for part in lane.setup]

    @property
    def inputs(self) -> list[Any]:
        """The state, the form and the columns, in the order of `keep`."""
        fields = [field for lane in self.lanes for field in lane.fields]
        return [self.bench, self.owner, *self.form.components, *fields]

    @property
    def outputs(self) -> list[Any]:
        """All that follows the chosen prompt."""
        answers = [part for lane in self.lanes for part in lane.answers]
        head = [self.bench, self.owner, self.picker, self.about, self.run, self.add, self.said]
        return [*head, *self.form.components, *self._setups, *answers, *self.diff.outputs]

    def keep(self, bench: CompareState, owner: str | None, fields: Sequence[Any], *, strict: bool = False) -> None:
        """Remember what the page holds; UserError where it is not the page of this session."""
        if bench.prompt is None or owner != bench.prompt.key:
            raise UserError(STALE, param="prompt")
        size = len(self.form.components)
        bench.values[bench.key] = self.form.read(bench.prompt.variables, fields[:size], strict=strict)
        for number, lane in enumerate(bench.lanes):
            start = size + number * len(self.lanes[number].fields)
            held = setting(fields[start : start + len(self.lanes[number].fields)])
            # A version is one of its prompt: with another prompt it means nothing.
            same = held.prompt == lane.setting.prompt
            lane.setting = replace(held, more=lane.setting.more) if same else replace(held, version="")

    @requires(RUN)
    async def opened(self, bench: CompareState, owner: str | None, request: gr.Request) -> list[Any]:
        """The tab is opened: with the prompt that the page's address names, or as it was left."""
        if bench.prompt is None and owner:
            bench.shape = None
        wanted = request.query_params.get("prompt") if bench.prompt is None else bench.key
        return await self.show(wanted, bench, principal_of(request))

    @requires(RUN)
    async def choose(
        self, key: str | None, bench: CompareState, owner: str | None, request: gr.Request, *fields: Any
    ) -> list[Any]:
        """Show another prompt, for all columns; what was typed for the one before is kept."""
        if bench.prompt is None:
            bench.shape = None
        else:
            with contextlib.suppress(UserError):
                self.keep(bench, owner, fields)
        if not bench.running:
            bench.prompt = None
        return await self.show(key, bench, principal_of(request))

    async def show(self, key: str | None, bench: CompareState, principal: Principal) -> list[Any]:
        """Updates of `outputs`; what a person may be busy with is left alone, except where the bench is `fresh`."""
        prompts = await self._orchestrator.prompts.list_all(principal)
        if bench.prompt is None:
            known = {prompt.key: prompt for prompt in prompts}
            bench.start_with(known.get(key or "") or next(iter(prompts), None))
        fresh, bench.fresh = bench.fresh, False
        choices = [(prompt_text.picker_option(prompt), prompt.key) for prompt in prompts]
        answers = [part for lane in self.lanes for part in lane.blank()]
        return [
            bench,
            bench.key,
            gr.update(choices=choices, value=bench.key or None, interactive=not bench.running),
            join([bench.notice, prompt_text.summary(bench.prompt)]),
            gr.update(interactive=bench.prompt is not None and not bench.running),
            self._room(bench),
            "" if fresh else gr.skip(),
            *(self._form(bench) if fresh else [gr.skip() for _ in self.form.components]),
            *await self._choices.of(bench, self.lanes, prompts, principal, fill=fresh),
            *(answers if fresh else [gr.skip() for _ in answers]),
            *(await self.diff.shows(bench, principal) if fresh else [gr.skip() for _ in self.diff.outputs]),
        ]

    def _form(self, bench: CompareState) -> list[Any]:
        if bench.prompt is None:
            return [gr.skip() for _ in self.form.components]
        variables = bench.prompt.variables
        updates = self.form.show(variables, bench.values.get(bench.key, {}), before=bench.shape)
        bench.shape = self.form.shape(variables)
        return updates

    @requires(RUN)
    async def refit(self, bench: CompareState, owner: str | None, request: gr.Request, *fields: Any) -> list[Any]:
        """Other versions, models and defaults, where a column runs another prompt now."""
        if bench.prompt is not None and owner != bench.key:
            return [gr.skip() for _ in (bench, *self._setups)]  # sent before another prompt was chosen
        self.keep(bench, owner, fields)
        return [bench, *await self._fitted(bench, principal_of(request))]

    async def _fitted(self, bench: CompareState, principal: Principal, *, fill: bool = False) -> list[Any]:
        prompts = await self._orchestrator.prompts.list_all(principal)
        return await self._choices.of(bench, self.lanes, prompts, principal, fill=fill)

    @requires(RUN)
    async def more(self, bench: CompareState, owner: str | None, request: gr.Request, *fields: Any) -> list[Any]:
        """One column more, which starts as a copy of the last one."""
        self.keep(bench, owner, fields)
        lane = next((lane for lane in bench.lanes if not lane.open), None)
        if lane is not None and not bench.running:
            last = bench.opened[-1].setting if bench.opened else lane.setting
            lane.open, lane.setting = True, replace(last)
        return [bench, *await self._fitted(bench, principal_of(request), fill=True), self._room(bench)]

    def _less(self, number: int) -> Callable[[CompareState, gr.Request], Awaitable[list[Any]]]:
        @requires(RUN)
        async def less(bench: CompareState, request: gr.Request) -> list[Any]:
            """The column goes; its runs stay in the summary."""
            if not bench.running:
                bench.lanes[number].open = False
            box = gr.update(visible=bench.lanes[number].open)
            return [bench, box, self._room(bench), *await self.diff.shows(bench, principal_of(request))]

        return less

    @staticmethod
    def _room(bench: CompareState) -> Any:
        """Whether there is room for one column more."""
        full = all(lane.open for lane in bench.lanes)
        return gr.update(interactive=not full and not bench.running and bench.prompt is not None)
