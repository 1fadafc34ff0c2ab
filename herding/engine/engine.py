"""The engine: one model at a time, many answers at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from herding.engine.answer import Answer
from herding.engine.body import Generation
from herding.engine.job import Job
from herding.engine.load import Event, Load
from herding.engine.offers import Offers
from herding.engine.refusals import (
    LoadingError,
    NoModelError,
    OverloadedError,
    SwitchedError,
    WorkerError,
    WrongModelError,
)
from herding.engine.served import Opener, Served
from herding.engine.state import State
from herding.engine.switch import Switch
from herding.values import Parameters

_DEFAULT_MAX_TOKENS = 1024
_WATCH_SECONDS = 0.1


class Engine:
    """Admits requests, generates their answers, and sees that none is left waiting for ever.

    Everything here runs on the event loop; what blocks is sent to a thread.
    """

    def __init__(
        self, *, offers: Offers, opener: Opener, max_active: int, max_waiting: int, drain_seconds: float
    ) -> None:
        self._room = max_active + max_waiting
        self._slots = asyncio.Semaphore(max_active)
        self._jobs: set[Job] = set()
        self._switch = Switch(offers=offers, opener=opener, jobs=self._jobs, drain_seconds=drain_seconds)

    @property
    def state(self) -> State:
        """What the engine is doing."""
        return self._switch.state

    def load(self, model: str) -> Load:
        """Start loading `model`; it goes on whether or not anybody follows it."""
        return self._switch.load(model)

    async def watch(self) -> None:
        """Keep the worker alive; runs as long as the engine."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            served = self._switch.served
            if served is not None and not served.alive:
                self._fail_running(served)
                await self._switch.restart(served)

    async def admit(self, wanted: Generation) -> Job:
        """Take a request in, or refuse it; an admitted one must be run and then forgotten."""
        served = self._serving(wanted.model)
        tokens = await asyncio.to_thread(served.encode, wanted)
        if self._serving(wanted.model) is not served:
            raise LoadingError("The model has just changed. Try again.", retry_after=1)
        self._refuse_overload()
        job = Job(served=served, tokens=tokens, parameters=_complete(wanted.parameters, served, len(tokens)))
        self._jobs.add(job)
        return job

    async def run(self, job: Job) -> AsyncGenerator[Event]:
        """Generate the answer: `delta` events, then `done`. Leaving the iterator stops the generation."""
        async with self._slots:
            if self._switch.served is not job.served:
                raise SwitchedError("Another model was loaded while this request waited. Send it again.")
            job.running = True
            async with aclosing(_generate(job)) as events:
                async for event in events:
                    yield event

    async def count(self, wanted: Generation) -> dict[str, int]:
        """How many tokens a prompt has, and how many the model holds for prompt and answer together."""
        served = self._serving(wanted.model)
        return {
            "input_tokens": await asyncio.to_thread(served.count, wanted),
            "context_length": served.facts.context_length,
        }

    def forget(self, job: Job) -> None:
        """The job is over, however it ended."""
        self._jobs.discard(job)

    def status(self) -> dict[str, Any]:
        """What the engine is doing, as `GET /status` tells it."""
        state, served = self.state, self._switch.served
        facts = served.facts if served is not None else None
        running = sum(job.running for job in self._jobs)
        return {
            "state": state.phase,
            "model": state.model,
            "loading": state.loading,
            "progress": state.progress,
            "stage": state.stage,
            "error": state.error,
            "context_length": facts.context_length if facts else None,
            "chat": facts.chat if facts else False,
            "device": facts.device if facts else None,
            "dtype": facts.dtype if facts else None,
            "parameters": facts.parameters if facts else None,
            "active": running,
            "waiting": len(self._jobs) - running,
        }

    def models(self) -> list[dict[str, Any]]:
        """The offered models, as `GET /models` lists them."""
        return [
            {
                "id": offer.id,
                "loaded": offer.id == self.state.model,
                "bundled": offer.bundled,
                "local": offer.path is not None,
            }
            for offer in self._switch.offers
        ]

    async def close(self) -> None:
        """Let go of the model."""
        await self._switch.close()

    def _serving(self, model: str | None) -> Served:
        state, served = self.state, self._switch.served
        if state.phase == "loading" or (served is not None and not served.alive):
            what = f"'{state.loading or state.model}' is being loaded ({state.stage or 'restarting'})"
            raise LoadingError(f"{what}. Try again in a few seconds.", retry_after=2)
        if served is None:
            raise NoModelError(f"No model is loaded. {state.error or 'Load one first.'}")
        if model is not None and model != state.model:
            raise WrongModelError(f"'{state.model}' is loaded, not '{model}'. Load that first.", param="model")
        return served

    def _refuse_overload(self) -> None:
        if len(self._jobs) >= self._room:
            raise OverloadedError(f"{len(self._jobs)} requests run or wait already. Try again later.", retry_after=5)

    def _fail_running(self, served: Served) -> None:
        error = WorkerError(f"The model failed while generating: {served.failure}. Try again.")
        for job in self._jobs:
            if job.running:
                job.fail(error)


async def _generate(job: Job) -> AsyncGenerator[Event]:
    answer = job.served.answer(stops=job.parameters.stop, input_tokens=len(job.tokens))
    job.served.submit(job.key, job.tokens, job.parameters, job.push)
    ended = False
    try:
        while not ended and answer.finish_reason is None:
            tokens, ended = await job.next()
            text = answer.feed(tokens) + (answer.finish() if ended else "")
            if text:
                yield {"type": "delta", "text": text, "usage": _counts(answer)}
    finally:
        if not ended:
            job.served.cancel(job.key)
    yield _done(answer, job.parameters)


def _done(answer: Answer, parameters: Parameters) -> Event:
    seeded = {} if parameters.seed is None else {"seed_applied": True}
    return {"type": "done", "finish_reason": answer.finish_reason, "usage": _counts(answer)} | seeded


def _counts(answer: Answer) -> dict[str, int]:
    """Tokens so far, so that an answer that is broken off has exact counts too."""
    return {"input_tokens": answer.usage.input_tokens, "output_tokens": answer.usage.output_tokens}


def _complete(wanted: Parameters, served: Served, input_tokens: int) -> Parameters:
    """The parameters with the model's defaults, and no more tokens than the context has room for."""
    parameters = wanted.over(served.defaults)
    room = served.facts.context_length - input_tokens
    return replace(parameters, max_tokens=min(parameters.max_tokens or _DEFAULT_MAX_TOKENS, room))
