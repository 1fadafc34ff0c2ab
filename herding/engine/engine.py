"""The engine: serves one model and generates many responses at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from herding.engine.errors import (
    LoadingError,
    NoModelError,
    OverloadedError,
    SwitchedError,
    WorkerError,
    WrongModelError,
)
from herding.engine.model import Job, ModelLoader, ServedModel
from herding.engine.model_files import ModelCatalog
from herding.engine.model_manager import Event, ModelLoad, ModelManager
from herding.engine.requests import GenerationRequest
from herding.engine.text import ResponseText
from herding.values import Parameters

_DEFAULT_MAX_TOKENS = 1024
_WATCH_SECONDS = 0.1


_FEATURES = ("n", "prompts", "token_ids")
"""The features of every model; `tools` depends on its chat template."""


class Engine:
    """Admits requests, generates their responses, and ends every response even when the worker dies.

    All methods run on the event loop; blocking work is sent to a thread.
    """

    def __init__(
        self, *, catalog: ModelCatalog, loader: ModelLoader, max_active: int, max_waiting: int, drain_seconds: float
    ) -> None:
        self._max_jobs = max_active + max_waiting
        self._slots = asyncio.Semaphore(max_active)
        self._jobs: set[Job] = set()
        self._manager = ModelManager(catalog=catalog, loader=loader, jobs=self._jobs, drain_seconds=drain_seconds)

    def load(self, model: str) -> ModelLoad:
        """Start loading `model`; the load continues whether or not its events are read."""
        return self._manager.load(model)

    async def watch(self) -> None:
        """Restart the worker whenever it dies; runs as long as the engine."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            model = self._manager.model
            if model is not None and not model.alive:
                self._fail_running(model)
                await self._manager.restart(model)

    async def admit(self, request: GenerationRequest) -> Job:
        """Admit a request or raise why not; pass an admitted job to `run` and then to `forget`."""
        model = self._loaded_model(request.model)
        tokens = await asyncio.to_thread(model.encode, request)
        if self._loaded_model(request.model) is not model:
            raise LoadingError("The model has just changed. Try again.", retry_after=1)
        if len(self._jobs) >= self._max_jobs:
            message = f"{len(self._jobs)} requests are running or waiting. Try again later."
            raise OverloadedError(message, retry_after=5)
        parameters = _complete(request.parameters, model, len(tokens))
        job = Job(model=model, tokens=tokens, parameters=parameters, request=request)
        self._jobs.add(job)
        return job

    async def run(self, job: Job) -> AsyncGenerator[Event, None]:
        """Stream the response: `delta` events, then `done`. Closing the iterator stops the generation."""
        async with self._slots:
            if self._manager.model is not job.model:
                raise SwitchedError("Another model was loaded while this request waited. Send it again.")
            job.running = True
            async with aclosing(_generate(job)) as events:
                async for event in events:
                    yield event

    def forget(self, job: Job) -> None:
        """Remove a job, whether or not it ran."""
        self._jobs.discard(job)

    async def count(self, request: GenerationRequest) -> dict[str, int]:
        """Return the number of prompt tokens and the context length of the model."""
        model = self._loaded_model(request.model)
        return {
            "input_tokens": await asyncio.to_thread(model.count_tokens, request),
            "context_length": model.properties.context_length,
        }

    def status(self) -> dict[str, Any]:
        """Return the body of `GET /status`."""
        state, model = self._manager.state, self._manager.model
        properties = model.properties if model is not None else None
        running = sum(job.running for job in self._jobs)
        return {
            "state": state.phase,
            "model": state.model,
            "loading": state.loading,
            "progress": state.progress,
            "stage": state.stage,
            "error": state.error,
            "context_length": properties.context_length if properties else None,
            "chat": properties.chat if properties else False,
            "features": [*_FEATURES, *(["tools"] if properties and properties.tools else [])],
            "device": properties.device if properties else None,
            "dtype": properties.dtype if properties else None,
            "parameters": properties.parameters if properties else None,
            "active": running,
            "waiting": len(self._jobs) - running,
        }

    def models(self) -> list[dict[str, Any]]:
        """Return the models of `GET /models`."""
        return [
            {
                "id": source.id,
                "loaded": source.id == self._manager.state.model,
                "bundled": source.bundled,
                "local": source.path is not None,
            }
            for source in self._manager.catalog
        ]

    async def close(self) -> None:
        """Close the served model."""
        await self._manager.close()

    def _loaded_model(self, name: str | None) -> ServedModel:
        state, model = self._manager.state, self._manager.model
        if state.phase == "loading" or (model is not None and not model.alive):
            what = f"'{state.loading or state.model}' is loading ({state.stage or 'restarting'})"
            raise LoadingError(f"{what}. Try again in a few seconds.", retry_after=2)
        if model is None:
            raise NoModelError(f"No model is loaded. {state.error or 'Load one first.'}")
        if name is not None and name != state.model:
            raise WrongModelError(f"'{state.model}' is loaded, not '{name}'. Load '{name}' first.", param="model")
        return model

    def _fail_running(self, model: ServedModel) -> None:
        error = WorkerError(f"The model failed while generating: {model.failure}. Try again.")
        for job in self._jobs:
            if job.running:
                job.fail(error)


async def _generate(job: Job) -> AsyncGenerator[Event, None]:
    tools = job.model.tool_reader(job.request) if job.request.tools else None
    response = job.model.new_response(stop=job.parameters.stop, input_tokens=len(job.tokens), tools=tools is not None)
    opened = job.model.opened(job.tokens) if job.request.messages else ""
    job.model.submit(job.key, job.tokens, job.parameters, job.push)
    finished, ids = False, list[int]()
    try:
        while not finished and response.finish_reason is None:
            tokens, finished = await job.next()
            before = response.usage.output_tokens
            text, calls = response.feed(tokens) + (response.finish() if finished else ""), list[Any]()
            if job.request.token_ids:
                ids += tokens[: response.usage.output_tokens - before]
            if tools:
                text, calls = tools.feed(text)
                if response.finish_reason is not None:
                    rest, more = tools.finish()
                    text, calls = text + rest, calls + more
            if text or calls:
                yield {**_delta(f"{opened}{text}", calls, ids), "usage": _usage(response)}
                opened, ids = "", []
    finally:
        if not finished:
            job.model.cancel(job.key)
    reason = "tool_calls" if tools and tools.calls and response.finish_reason == "stop" else response.finish_reason
    seed = {} if job.parameters.seed is None else {"seed_applied": True}
    prompt = {"prompt_token_ids": job.tokens, "token_ids": ids} if job.request.token_ids else {}
    yield {"type": "done", "finish_reason": reason, "usage": _usage(response)} | seed | prompt


def _delta(text: str, calls: list[Any], ids: list[int]) -> Event:
    more = ({"tool_calls": calls} if calls else {}) | ({"token_ids": ids} if ids else {})
    return {"type": "delta", "text": text} | more


def _usage(response: ResponseText) -> dict[str, int]:
    """Return the tokens so far; every event has them, so a stream that breaks off has exact counts too."""
    return {"input_tokens": response.usage.input_tokens, "output_tokens": response.usage.output_tokens}


def _complete(parameters: Parameters, model: ServedModel, input_tokens: int) -> Parameters:
    """Fill in the model's defaults and limit the response to the rest of the context."""
    complete = parameters.over(model.defaults)
    room = model.properties.context_length - input_tokens
    return replace(complete, max_tokens=min(complete.max_tokens or _DEFAULT_MAX_TOKENS, room))
