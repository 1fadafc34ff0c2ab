"""Runs all columns at once, each as a request of its own, and stops them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import RUN
from herding.errors import HerdingError, NotFoundError
from herding.orchestrator import Orchestrator
from herding.ui.compare.column import ColumnPane
from herding.ui.compare.diff import DiffPane
from herding.ui.compare.draft import OwnDrafts
from herding.ui.compare.merge_streams import together
from herding.ui.compare.state import Column, CompareState, Ran, Setting
from herding.ui.compare.summary import table, told
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el
from herding.ui.kit.response import RunProgress
from herding.values import Principal, Request

Updates = dict[Any, Any]


@dataclass(frozen=True, slots=True)
class Panes:
    """The components that a run changes."""

    bench: gr.State
    picker: gr.Dropdown
    run: gr.Button
    stop: gr.Button
    add: gr.Button
    said: gr.HTML
    summary: gr.HTML
    diff: DiffPane
    lanes: Sequence[ColumnPane]

    @property
    def all(self) -> list[Any]:
        answers = [part for lane in self.lanes for part in (lane.remove, *lane.answers)]
        return [self.picker, self.run, self.stop, self.add, self.said, self.summary, *self.diff.outputs, *answers]


class CompareRun:
    """The handlers of Run and Stop; `keep` reads the page into the bench."""

    def __init__(self, orchestrator: Orchestrator, panes: Panes, *, keep: Callable[..., None]) -> None:
        self._orchestrator, self._panes, self._keep = orchestrator, panes, keep
        self._drafts = OwnDrafts(orchestrator)

    def wire(self, inputs: Sequence[Any]) -> None:
        """Connect the buttons."""
        panes, chosen = self._panes, [self._panes.diff.left, self._panes.diff.right]
        on(panes.run.click, self.start, [*chosen, *inputs], panes.all, name="compare_run")
        on(panes.stop.click, self.end, [panes.bench], [panes.stop], name="compare_stop", queue=False)

    @requires(RUN)
    async def start(
        self,
        left: str | None,
        right: str | None,
        bench: CompareState,
        owner: str | None,
        request: gr.Request,
        *fields: Any,
    ) -> AsyncGenerator[Updates, None]:
        """Run every column and stream the answers; what goes wrong in one is shown in it."""
        principal = principal_of(request)
        if bench.running:
            return
        self._keep(bench, owner, fields, strict=True)
        bench.running, bench.stopped = True, False
        try:
            async with contextlib.aclosing(self._running(bench, principal)) as updates:
                async for update in updates:
                    yield update
        finally:
            bench.running = False
        diff = zip(self._panes.diff.outputs, await self._panes.diff.shows(bench, principal, left, right), strict=True)
        done = {self._panes.summary: table(bench), self._panes.said: _note(told(bench))}
        yield {**self._busy(bench, busy=False), **done, **dict(diff)}

    async def _running(self, bench: CompareState, principal: Principal) -> AsyncGenerator[Updates, None]:
        lanes = dict(self._opened(bench))
        begun = self._busy(bench, busy=True) | {self._panes.said: _note("All columns run.")}
        for number, lane in lanes.items():
            lane.progress = RunProgress()
            begun |= self._panes.lanes[number].begins()
        yield begun
        values = bench.values[bench.key]
        streams = {number: self._stream(lane, values, principal) for number, lane in lanes.items()}
        ended: set[int] = set()
        async with contextlib.aclosing(together(streams)) as batches:
            async for batch in batches:
                shown: Updates = {}
                for number in lanes:
                    said = [event for from_, event in batch if from_ == number]
                    shown |= await self._told(number, bench.lanes[number], said, principal, ended)
                if bench.stopped:
                    await self._cancel(bench, principal)
                yield shown

    async def _stream(self, lane: Column, values: dict[str, Any], principal: Principal) -> AsyncGenerator[Any, None]:
        """The stream of a column, which gets those of the inputs that its prompt knows."""
        request = await self._asked(lane.setting, values, principal)
        async with contextlib.aclosing(self._orchestrator.stream(request, principal)) as events:
            async for event in events:
                yield event

    async def _asked(self, setting: Setting, values: dict[str, Any], principal: Principal) -> Request:
        if setting.is_draft:
            return await self._drafts.request(setting, values, principal)
        found = await self._orchestrator.find(setting.reference, principal)
        return setting.request({name: held for name, held in values.items() if name in found.prompt.variables})

    async def _told(
        self, number: int, lane: Column, said: Sequence[Any], principal: Principal, ended: set[int]
    ) -> Updates:
        """Updates for what one column said by now."""
        pane, progress = self._panes.lanes[number], lane.progress
        if progress is None or number in ended:
            return {}
        error = next((event for event in said if isinstance(event, HerdingError)), None)
        grew = progress.update([event for event in said if not isinstance(event, HerdingError)])
        text: Updates = {pane.text: progress.text} if grew else {}
        if error is None and progress.outcome is None:
            return {pane.status: progress.status, **text}
        ended.add(number)
        if error is not None:
            text |= pane.fails(error)
            await self._row_of(error, progress, principal)
        if progress.outcome is not None:
            lane.runs.append(Ran(lane.setting, progress.outcome))
            text |= pane.ends(progress.outcome)
        return text

    async def _row_of(self, error: HerdingError, progress: RunProgress, principal: Principal) -> None:
        """The row that a failed request left."""
        if error.request_id:
            with contextlib.suppress(HerdingError):  # the first error is the one to read
                row = (await self._orchestrator.request(error.request_id, principal)).outcome
                progress.outcome = row

    @requires(RUN)
    async def end(self, bench: CompareState, request: gr.Request) -> Any:
        """Stop all columns; their streams then end by themselves, also those that have not begun."""
        bench.stopped = bench.running
        await self._cancel(bench, principal_of(request))
        return gr.update(interactive=False)

    async def _cancel(self, bench: CompareState, principal: Principal) -> None:
        for lane in bench.opened:
            progress = lane.progress
            if progress is not None and progress.outcome is None and progress.request_id:
                with contextlib.suppress(NotFoundError):
                    await self._orchestrator.cancel(progress.request_id, principal)

    @staticmethod
    def _opened(bench: CompareState) -> list[tuple[int, Column]]:
        return [(number, lane) for number, lane in enumerate(bench.lanes) if lane.open]

    def _busy(self, bench: CompareState, *, busy: bool) -> Updates:
        """While columns run, none comes or goes, no other prompt can be chosen, and the old answers are not judged."""
        panes, room = self._panes, not all(lane.open for lane in bench.lanes)
        old = panes.diff.preference.buttons if busy else []
        return {
            **{button: gr.update(interactive=False) for button in old},
            panes.picker: gr.update(interactive=not busy),
            panes.run: gr.update(value="NodeCall …" if busy else "Run all", interactive=not busy),
            panes.stop: gr.update(interactive=busy),
            panes.add: gr.update(interactive=not busy and room),
            **{lane.remove: gr.update(interactive=not busy) for lane in panes.lanes},
        }


def _note(said: str) -> Markup:
    return el("span", said, cls="muted", role="status")
