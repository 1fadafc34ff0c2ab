"""Runs chains: the steps of a prompt, each as a request of its own, and then the prompt's own text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from herding.errors import HerdingError, UserError
from herding.plugins import Plugins
from herding.prompts.steps import ITEM, RESPONSE, Step, groups
from herding.serving.chain_plan import ChainPlan, PlannedStep, named
from herding.serving.preparer import Preparer
from herding.serving.request import PreparedRequest, RequestRun
from herding.values import (
    Delta,
    Done,
    Event,
    Outcome,
    Queued,
    Started,
    StepChanged,
    StepRun,
    StepState,
    Usage,
)

SIDE_BY_SIDE = 8
"""Steps and items of one chain that run at the same time, at most."""

Begin = Callable[[PreparedRequest], RequestRun]
"""Returns the run of a prepared request."""

Process = Callable[[RequestRun], AsyncGenerator[Event, None]]
"""Takes it to its end."""


class ChainRun(RequestRun):
    """The record of a chain: its outcome adds up those of its steps, and has the response of the last one.

    `text` is the response where no step made it.
    """

    def __init__(self, request: PreparedRequest) -> None:
        super().__init__(request)
        if request.chain is None:
            raise TypeError("not a chain")
        self.plan: ChainPlan = request.chain
        self.failing = False
        self.response: RequestRun | None = None
        self.text: str | None = None
        self._children: list[RequestRun] = []
        states = [
            StepRun(planned.step.title, planned.reference, repeated=planned.step.each is not None)
            for planned in self.plan.steps
        ]
        if request.prompt.has_text:
            states.append(StepRun(RESPONSE, f"{request.key}@{request.version}" if request.version else request.key))
        self._states = {state.name: state for state in states}

    def add(self, child: RequestRun) -> None:
        """Add the run of a step; what stops the chain stops it."""
        self._children.append(child)
        if self.stopped or self.failing:
            child.stop()

    def stop(self) -> None:
        """Stop the chain with all its steps."""
        super().stop()
        if self.stopped:
            self._stop_children()

    def fail(self) -> None:
        """Stop the other steps, because one failed."""
        self.failing = True
        self._stop_children()

    def _stop_children(self) -> None:
        for child in self._children:
            child.stop()

    def change(self, name: str, state: StepState, child: RequestRun | None = None, error: str | None = None) -> None:
        """Record the state of a step."""
        known = self._states[name]
        ids = known.request_ids
        if child and child.request.id not in ids:
            ids = (*ids, child.request.id)
        if known.state == "failed":
            state, error = known.state, known.error
        self._states[name] = replace(known, state=state, request_ids=ids, error=error)

    def prompt_of(self, name: str) -> str:
        """Return the prompt of a step as `key@version`."""
        return self._states[name].prompt

    def begin_response(self, child: RequestRun) -> None:
        """Set the step whose response is that of the chain."""
        self.response = child

    def receive_text(self) -> None:
        """Record that the response has begun."""
        if self.received.began_at is None:
            self.received.began_at = time.perf_counter()

    async def judge(self, plugins: Plugins) -> None:  # noqa: ARG002 - the step whose response it is was judged
        """Record the time; the step that made the response was judged."""
        self._total_ms = self.elapsed_ms

    def outcome(self) -> Outcome:
        """Return all that is known now, with the sums of the steps."""
        made = super().outcome()
        running = made.status == "running"
        children = [child.outcome() for child in self._children]
        if not running:  # a caller may have left before the last one began
            children = [child for child in children if child.status != "running"]
        begun = {child.request_id for child in children}
        costs = [child.cost for child in children]
        known = not running and None not in costs
        charged = [child.usage.total if child.charged_tokens is None else child.charged_tokens for child in children]
        spent = [child.cost if child.charged_cost is None else child.charged_cost for child in children]
        made = replace(
            made,
            usage=_sum(children),
            cost=sum(cost for cost in costs if cost) if known else None,
            charged_tokens=sum(charged),
            charged_cost=sum(cost for cost in spent if cost),
            charged_requests=max(1, sum(child.charged_requests for child in children)),
            timings=replace(
                made.timings,
                queued_ms=sum(child.timings.queued_ms for child in children),
                first_token_ms=self.first_token_ms,
            ),
            steps=tuple(state if running else _ended(state, begun) for state in self._states.values()),
        )
        return self._with_response(made)

    def _with_response(self, made: Outcome) -> Outcome:
        """Return the outcome with the response of the step that made it."""
        if self.response is None:
            return replace(made, answer=self.text or "")
        last = self.response.outcome()
        text = last.answer if self.text is None else self.text
        is_whole = made.status == "succeeded" and self.text is None
        return replace(
            made,
            answer=text,
            model=last.model,
            node=last.node,
            variant=last.variant if last.prompt == made.prompt else made.variant,
            policy=last.policy,
            reason=last.reason,
            candidates=last.candidates,
            references=last.references,
            ignored=last.ignored,
            filters=last.filters,
            checks=last.checks if is_whole else made.checks,
            finish_reason=last.finish_reason if is_whole else made.finish_reason,
            choices=last.choices if is_whole else (),
            extra=last.extra if is_whole else {},
        )


def _sum(children: Sequence[Outcome]) -> Usage:
    """Add up tokens; the count is as exact as the least exact one."""
    sources = {child.usage.source for child in children if child.usage.total}
    source = next((source for source in ("counted", "bounded") if source in sources), "node" if sources else "counted")
    read = sum(child.usage.input_tokens for child in children)
    return Usage(read, sum(child.usage.output_tokens for child in children), source)  # type: ignore[arg-type]


def _ended(state: StepRun, begun: Collection[str]) -> StepRun:
    """Return the final state of a step, with those of its requests that began."""
    ids = tuple(id for id in state.request_ids if id in begun)
    return replace(state, state="stopped" if state.state == "running" else state.state, request_ids=ids)


@dataclass(slots=True, eq=False)
class _StepCall:
    """One call of a step. `position` counts the items of a repeated step from 1.

    `planned` is None for the text of the chain. `outputs` are set when it succeeded.
    """

    name: str
    planned: PlannedStep | None
    values: Mapping[str, Any]
    position: int | None = None
    is_last: bool = False
    outputs: Mapping[str, Any] = field(default_factory=dict)
    run: RequestRun | None = None

    @property
    def step_name(self) -> str:
        """The name of the step in the history."""
        return self.name if self.position is None else f"{self.name} {self.position}"


@dataclass(slots=True, eq=False)
class _Part:
    """Steps that run side by side, or one alone, with their calls by the step's name, and what they fill."""

    steps: Sequence[PlannedStep]
    calls: dict[str, list[_StepCall]] = field(default_factory=dict)
    filled: dict[str, Any] = field(default_factory=dict)

    @property
    def all_calls(self) -> list[_StepCall]:
        return [call for calls in self.calls.values() for call in calls]

    @property
    def only_call(self) -> _StepCall | None:
        """The call of a step that is alone and not repeated; None if it was skipped."""
        return self.all_calls[0] if len(self.steps) == 1 and self.calls and not self.steps[0].step.each else None


class ChainRunner:
    """Runs the steps of chains: `begin` makes the run of each, and `process` takes it to its end, as any other."""

    def __init__(self, preparer: Preparer, begin: Begin, process: Process) -> None:
        self._preparer, self._begin, self._process = preparer, begin, process

    async def run(self, run: ChainRun) -> AsyncGenerator[Event, None]:
        """Run all steps and yield their changes, and the response of the last one as it comes.

        Ends early where the chain is stopped. Raises the error of a step that failed, which names it.
        """
        values: dict[str, Any] = dict(run.request.variables)
        planned = {id(one.step): one for one in run.plan.steps}
        latest: _StepCall | None = None
        for group in groups([one.step for one in run.plan.steps]):
            part = _Part([planned[id(step)] for step in group])
            async with aclosing(self._part(run, part, values)) as events:
                async for event in events:
                    yield event
            if run.stopped:
                return
            values |= part.filled
            latest = part.only_call or latest
        last = run.plan.steps[-1].step
        if run.request.prompt.has_text:
            async with aclosing(self._call(run, _StepCall(RESPONSE, None, values, is_last=True))) as events:
                async for event in events:
                    yield event
        elif run.response is None:  # the last step was skipped
            for event in _instead(run, last, values, latest):
                yield event

    async def _part(self, run: ChainRun, part: _Part, values: Mapping[str, Any]) -> AsyncGenerator[Event, None]:
        """Run the steps of a part side by side, and set what they fill."""
        for planned in part.steps:
            step = planned.step
            is_last = planned is run.plan.steps[-1] and not run.request.prompt.has_text
            calls = self._calls(run, planned, values, is_last=is_last)
            if calls is None:
                part.filled |= step.skipped(values)
                yield _change(run, step.title, "skipped")
            else:
                part.calls[step.title] = calls
        async with aclosing(self._run_all(run, part.all_calls)) as events:
            async for event in events:
                yield event
        if run.stopped:
            return
        for step in (planned.step for planned in part.steps if planned.step.title in part.calls):
            outputs = [call.outputs for call in part.calls[step.title]]
            part.filled |= step.gathered(outputs) if step.each else outputs[0]
            if step.each:
                yield _change(run, step.title, "succeeded")

    def _calls(
        self, run: ChainRun, planned: PlannedStep, values: Mapping[str, Any], *, is_last: bool
    ) -> list[_StepCall] | None:
        """Return the calls of a step; None for one that is skipped."""
        step = planned.step
        try:
            if step.condition and not _holds(step, values):
                return None
            if step.each is None:
                return [_StepCall(step.title, planned, values, is_last=is_last)]
            items = step.items(values)
        except HerdingError as error:
            run.change(step.title, "failed", error=error.message)
            raise named(error, step.title) from None
        return [
            _StepCall(step.title, planned, {**values, ITEM: item}, position)
            for position, item in enumerate(items, start=1)
        ]

    async def _run_all(self, run: ChainRun, calls: Sequence[_StepCall]) -> AsyncGenerator[Event, None]:
        """Run calls side by side."""
        if run.stopped:
            return
        if len(calls) < 2:
            for call in calls:
                async with aclosing(self._call(run, call)) as events:
                    async for event in events:
                        yield event
            return
        async with aclosing(self._side_by_side(run, calls)) as events:
            async for event in events:
                yield event

    async def _side_by_side(self, run: ChainRun, calls: Sequence[_StepCall]) -> AsyncGenerator[Event, None]:
        changes: asyncio.Queue[Event | None] = asyncio.Queue()
        places, failures = asyncio.Semaphore(SIDE_BY_SIDE), list[HerdingError]()

        async def follow(call: _StepCall) -> None:
            try:
                async with places:
                    if run.stopped or run.failing:
                        return
                    async with aclosing(self._call(run, call)) as events:
                        async for event in events:
                            changes.put_nowait(event)
            except HerdingError as error:
                failures.append(error)
                run.fail()
            finally:
                changes.put_nowait(None)

        tasks = [asyncio.create_task(follow(call)) for call in calls]
        try:
            left = len(tasks)
            while left:
                event = await changes.get()
                if event is None:
                    left -= 1
                else:
                    yield event
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if failures:
            raise failures[0]

    async def _call(self, run: ChainRun, call: _StepCall) -> AsyncGenerator[Event, None]:
        """Run one call of a step; yield its changes, and with the last one of the chain, the response."""
        if run.stopped:
            return
        child: RequestRun | None = None
        try:
            child = call.run = await self._prepare(run, call)
            run.add(child)
            yield _change(run, call.name, "running", call)
            async with aclosing(self._process(child)) as events:
                async for event in events:
                    if isinstance(event, Done):
                        yield self._ended(run, call, event.outcome)
                    elif (shown := _shown(run, call, child, event)) is not None:
                        yield shown
        except HerdingError as error:
            if run.stopped or run.failing:  # the chain says why it ended
                yield _change(run, call.name, "stopped", call)
                return
            yield _change(run, call.name, "failed", call, error=error.message)
            raise named(error, call.name) from error

    async def _prepare(self, run: ChainRun, call: _StepCall) -> RequestRun:
        if call.planned is None:
            prepared = await self._preparer.prepare_text(run.request, call.values)
        else:
            prepared = await self._preparer.prepare_step(
                run.request, call.planned, call.values, name=call.step_name, is_last=call.is_last
            )
        return self._begin(prepared)

    def _ended(self, run: ChainRun, call: _StepCall, outcome: Outcome) -> StepChanged:
        """Record the end of a call. Raises UserError for a response without the fields of the step."""
        if outcome.status != "succeeded":
            if not run.failing:  # somebody stopped this one request: the chain lacks its response
                run.stop()
            return _change(run, call.name, "stopped", call)
        if call.planned is not None:
            call.outputs = call.planned.step.filled(outcome.answer)
        state: StepState = "succeeded" if call.position is None else "running"
        return _change(run, call.name, state, call, shown="succeeded", text=outcome.answer)


def _holds(step: Step, values: Mapping[str, Any]) -> bool:
    try:
        return step.condition is None or step.condition.holds(values)
    except ValueError as error:
        raise UserError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None


def _shown(run: ChainRun, call: _StepCall, child: RequestRun, event: Event) -> Event | None:
    """Return an event of a step as the caller of the chain gets it; None for one that is not for them."""
    match event:
        case Queued():
            return replace(event, request_id=run.request.id, reason=f"step '{call.name}' {event.reason}")
        case StepChanged():
            return replace(event, request_id=run.request.id, name=f"{call.name} > {event.name}")
        case Started() if call.is_last:
            run.begin_response(child)
            return replace(event, request_id=run.request.id)
        case Delta() if call.is_last:
            run.receive_text()
            return event
    return None


def _change(
    run: ChainRun,
    name: str,
    state: StepState,
    call: _StepCall | None = None,
    *,
    shown: StepState | None = None,
    text: str = "",
    error: str | None = None,
) -> StepChanged:
    """Record the state of a step, and return it as an event. `shown` is that of one item of a repeated step."""
    child = call.run if call else None
    run.change(name, state, child, error)
    return StepChanged(
        request_id=run.request.id,
        name=name,
        prompt=run.prompt_of(name),
        state=shown or state,
        step_id=child.request.id if child else "",
        position=call.position if call else None,
        text=text,
        error=error,
    )


def _instead(run: ChainRun, skipped: Step, values: Mapping[str, Any], latest: _StepCall | None) -> list[Event]:
    """Return the response of a chain whose last step was skipped: its `otherwise`, or the response before it."""
    if skipped.otherwise is not None and skipped.into:
        run.text = str(values[skipped.into])
    elif latest and latest.run:
        run.text = latest.run.outcome().answer
    else:
        raise UserError("The last step of this chain was skipped, and no step before it made a response.")
    made = latest.run.outcome() if latest and latest.run else None
    if latest and latest.run:
        run.begin_response(latest.run)
    run.receive_text()
    reason = f"step '{skipped.title}' was skipped"
    started = Started(run.request.id, (made and made.model) or "", (made and made.node) or "", reason)
    return [started, Delta(run.text)] if run.text else [started]
