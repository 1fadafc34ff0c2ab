"""Running all columns at once, each as its own request, and stopping them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import RUN
from herding.errors import HerdingError, NotFoundError
from herding.orchestrator import Orchestrator
from herding.ui.compare.column import Updates
from herding.ui.compare.draft import OwnDrafts
from herding.ui.compare.layout import CompareLayout
from herding.ui.compare.merge_streams import merge_streams
from herding.ui.compare.state import Column, ColumnConfig, ColumnRun, CompareState
from herding.ui.compare.summary import last_run, table
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el
from herding.ui.kit.response import RunProgress
from herding.values import Principal, Request


class CompareRunner:
    """The handlers of Run all and Stop all."""

    def __init__(self, orchestrator: Orchestrator, layout: CompareLayout) -> None:
        self._orchestrator, self._layout = orchestrator, layout
        self._drafts = OwnDrafts(orchestrator)
        diff = layout.diff
        responses = [part for column in layout.columns for part in (column.remove, *column.response)]
        buttons = [layout.picker, layout.run, layout.stop, layout.add]
        on(
            layout.run.click,
            self.start,
            [diff.left, diff.right, *layout.inputs],
            [*buttons, layout.note, layout.summary, *diff.outputs, *responses],
            name="compare_run",
        )
        on(layout.stop.click, self.stop, [layout.state], [layout.stop], name="compare_stop", queue=False)

    @requires(RUN)
    async def start(
        self,
        left: str | None,
        right: str | None,
        state: CompareState,
        owner: str | None,
        request: gr.Request,
        *fields: Any,
    ) -> AsyncGenerator[Updates, None]:
        """Run every column and stream the responses; an error is shown in its own column."""
        principal, layout = principal_of(request), self._layout
        if state.running:
            return
        layout.read(state, owner, fields, strict=True)
        state.running, state.stopped = True, False
        try:
            async with contextlib.aclosing(self._run(state, principal)) as updates:
                async for update in updates:
                    yield update
        finally:
            state.running = False
        diff = zip(layout.diff.outputs, await layout.diff.show(state, principal, left, right), strict=True)
        end = {layout.summary: table(state), layout.note: _note(last_run(state))}
        yield {**self._set_busy(state, busy=False), **end, **dict(diff)}

    async def _run(self, state: CompareState, principal: Principal) -> AsyncGenerator[Updates, None]:
        columns = {number: column for number, column in enumerate(state.columns) if column.open}
        begin = self._set_busy(state, busy=True) | {self._layout.note: _note("Running all columns.")}
        for number, column in columns.items():
            column.progress = RunProgress()
            begin |= self._layout.columns[number].show_started()
        yield begin
        values = state.values[state.key]
        streams = {number: self._stream(column, values, principal) for number, column in columns.items()}
        ended: set[int] = set()
        async with contextlib.aclosing(merge_streams(streams)) as batches:
            async for batch in batches:
                updates: Updates = {}
                for number in columns.keys() - ended:
                    events = [event for source, event in batch if source == number]
                    updates |= await self._advance(number, columns[number], events, principal, ended)
                if state.stopped:
                    await self._cancel(state, principal)
                yield updates

    async def _stream(self, column: Column, values: dict[str, Any], principal: Principal) -> AsyncGenerator[Any, None]:
        request = await self._request(column.config, values, principal)
        async with contextlib.aclosing(self._orchestrator.pipeline.stream(request, principal)) as events:
            async for event in events:
                yield event

    async def _request(self, config: ColumnConfig, values: dict[str, Any], principal: Principal) -> Request:
        """Return the request of a column, with the inputs that its prompt declares."""
        if config.is_draft:
            return await self._drafts.request(config, values, principal)
        found = await self._orchestrator.prompts.find(config.reference, principal)
        return config.request({name: value for name, value in values.items() if name in found.prompt.variables})

    async def _advance(
        self, number: int, column: Column, events: Sequence[Any], principal: Principal, ended: set[int]
    ) -> Updates:
        """Feed new events to a column and return its updates; a finished column is added to `ended`."""
        pane, progress = self._layout.columns[number], column.progress
        if progress is None:
            return {}
        error = next((event for event in events if isinstance(event, HerdingError)), None)
        grew = progress.update([event for event in events if not isinstance(event, HerdingError)])
        updates: Updates = {pane.text: progress.text} if grew else {}
        if error is None and progress.outcome is None:
            return {pane.status: progress.status, **updates}
        ended.add(number)
        if error is not None:
            updates |= pane.show_error(error)
            await self._load_outcome(error, progress, principal)
        if progress.outcome is not None:
            column.runs.append(ColumnRun(column.config, progress.outcome))
            updates |= pane.show_outcome(progress.outcome)
        return updates

    async def _load_outcome(self, error: HerdingError, progress: RunProgress, principal: Principal) -> None:
        """Read the recorded outcome of a failed request."""
        if error.request_id:
            with contextlib.suppress(HerdingError):  # the first error is the one to report
                progress.outcome = (await self._orchestrator.history.entry(error.request_id, principal)).outcome

    @requires(RUN)
    async def stop(self, state: CompareState, request: gr.Request) -> Any:
        """Stop all columns, including those that have not started yet."""
        state.stopped = state.running
        await self._cancel(state, principal_of(request))
        return gr.update(interactive=False)

    async def _cancel(self, state: CompareState, principal: Principal) -> None:
        for column in state.open_columns:
            progress = column.progress
            if progress is not None and progress.outcome is None and progress.request_id:
                with contextlib.suppress(NotFoundError):
                    await self._orchestrator.pipeline.cancel(progress.request_id, principal)

    def _set_busy(self, state: CompareState, *, busy: bool) -> Updates:
        """Return updates that lock the prompt, the columns and the preference during a run."""
        layout = self._layout
        preference = layout.diff.preference.buttons if busy else []
        return {
            **{button: gr.update(interactive=False) for button in preference},
            layout.picker: gr.update(interactive=not busy),
            layout.run: gr.update(value="Running …" if busy else "Run all", interactive=not busy),
            layout.stop: gr.update(interactive=busy),
            layout.add: gr.update(interactive=not busy and state.has_room),
            **{column.remove: gr.update(interactive=not busy) for column in layout.columns},
        }


def _note(text: str) -> Markup:
    return el("span", text, cls="muted", role="status")
