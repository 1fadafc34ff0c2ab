"""The handlers of the Compare tab, and their events."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from herding.access.operations import PROMPTS, RUN
from herding.errors import UserError
from herding.orchestrator import Orchestrator
from herding.ui.compare.choices import Choices
from herding.ui.compare.layout import CompareLayout
from herding.ui.compare.run import CompareRunner
from herding.ui.compare.state import CompareState
from herding.ui.kit import prompt_text
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import join
from herding.ui.kit.tab import Tab
from herding.values import Principal

# The pressed button disappears: focus moves to the one that brings a column back.
_FOCUS_ADD = "() => setTimeout(() => document.getElementById('compare-add')?.focus(), 300)"


class CompareTab(CompareLayout, Tab):
    """The tab: its layout and its handlers."""

    key = "compare"
    label = "Compare"
    rights = frozenset({RUN, PROMPTS})

    def __init__(self, orchestrator: Orchestrator) -> None:
        super().__init__(orchestrator)
        self._orchestrator = orchestrator
        self._choices = Choices(orchestrator)
        self._wire()
        CompareRunner(orchestrator, self)

    @property
    def open_inputs(self) -> list[Any]:
        return [self.state, self.owner]

    def _wire(self) -> None:
        now: dict[str, Any] = {"queue": False}
        on(self.picker.input, self.choose, [self.picker, *self.inputs], self.outputs, name="compare_choose", **now)
        pickers = [field.input for column in self.columns for field in (column.prompt, column.version, column.model)]
        configured = [self.state, *self.setup]
        last: dict[str, Any] = {"trigger_mode": "always_last"}
        on(pickers, self.refresh_columns, self.inputs, configured, name="compare_models", **last, **now)
        on(self.add.click, self.add_column, self.inputs, [*configured, self.add], name="compare_add", **now)
        for number, column in enumerate(self.columns):
            changed = [self.state, column.box, self.add, *self.diff.outputs]
            handler = self._remove_column(number)
            on(column.remove.click, handler, [self.state], changed, name=f"compare_remove_{number}", **now)
            column.remove.click(None, None, None, js=_FOCUS_ADD)

    @requires(RUN)
    async def opened(self, state: CompareState, owner: str | None, request: gr.Request) -> list[Any]:
        """Open the tab with the prompt in the page's address, or as it was left."""
        if state.prompt is None and owner:
            state.shape = None
        key = request.query_params.get("prompt") if state.prompt is None else state.key
        return await self.show(key, state, principal_of(request))

    @requires(RUN)
    async def choose(
        self, key: str | None, state: CompareState, owner: str | None, request: gr.Request, *fields: Any
    ) -> list[Any]:
        """Switch all columns to another prompt; the inputs of the previous one are remembered."""
        if state.prompt is None:
            state.shape = None
        else:
            with contextlib.suppress(UserError):
                self.read(state, owner, fields)
        if not state.running:
            state.prompt = None
        return await self.show(key, state, principal_of(request))

    async def show(self, key: str | None, state: CompareState, principal: Principal) -> list[Any]:
        """Return updates of `outputs`; fields and responses are only redrawn if the state asks for it."""
        prompts = await self._orchestrator.prompts.list_all(principal)
        if state.prompt is None:
            known = {prompt.key: prompt for prompt in prompts}
            state.start(known.get(key or "") or next(iter(prompts), None))
        redraw, state.redraw = state.redraw, False
        choices = [(prompt_text.picker_option(prompt), prompt.key) for prompt in prompts]
        responses = [part for column in self.columns for part in column.show_empty()]
        return [
            state,
            state.key,
            gr.update(choices=choices, value=state.key or None, interactive=not state.running),
            join([state.notice, prompt_text.summary(state.prompt)]),
            gr.update(interactive=state.prompt is not None and not state.running),
            self._add_button(state),
            "" if redraw else gr.skip(),
            *(self._form(state) if redraw else [gr.skip() for _ in self.form.components]),
            *await self._choices.updates(state, self.columns, prompts, principal, fill=redraw),
            *(responses if redraw else [gr.skip() for _ in responses]),
            *(await self.diff.show(state, principal) if redraw else [gr.skip() for _ in self.diff.outputs]),
        ]

    def _form(self, state: CompareState) -> list[Any]:
        if state.prompt is None:
            return [gr.skip() for _ in self.form.components]
        variables = state.prompt.variables
        updates = self.form.show(variables, state.values.get(state.key, {}), before=state.shape)
        state.shape = self.form.shape(variables)
        return updates

    @requires(RUN)
    async def refresh_columns(
        self, state: CompareState, owner: str | None, request: gr.Request, *fields: Any
    ) -> list[Any]:
        """Update versions, models and defaults after a column changed what it runs."""
        if state.prompt is not None and owner != state.key:
            return [gr.skip() for _ in (state, *self.setup)]  # sent before another prompt was chosen
        self.read(state, owner, fields)
        return [state, *await self._column_updates(state, principal_of(request))]

    async def _column_updates(self, state: CompareState, principal: Principal, *, fill: bool = False) -> list[Any]:
        prompts = await self._orchestrator.prompts.list_all(principal)
        return await self._choices.updates(state, self.columns, prompts, principal, fill=fill)

    @requires(RUN)
    async def add_column(self, state: CompareState, owner: str | None, request: gr.Request, *fields: Any) -> list[Any]:
        """Add a column as a copy of the last one."""
        self.read(state, owner, fields)
        column = next((column for column in state.columns if not column.open), None)
        if column is not None and not state.running:
            last = state.open_columns[-1].config if state.open_columns else column.config
            column.open, column.config = True, replace(last)
        return [state, *await self._column_updates(state, principal_of(request), fill=True), self._add_button(state)]

    def _remove_column(self, number: int) -> Callable[[CompareState, gr.Request], Awaitable[list[Any]]]:
        @requires(RUN)
        async def remove(state: CompareState, request: gr.Request) -> list[Any]:
            """Remove the column; its runs stay in the summary."""
            if not state.running:
                state.columns[number].open = False
            box = gr.update(visible=state.columns[number].open)
            return [state, box, self._add_button(state), *await self.diff.show(state, principal_of(request))]

        return remove

    @staticmethod
    def _add_button(state: CompareState) -> Any:
        return gr.update(interactive=state.has_room and not state.running and state.prompt is not None)
