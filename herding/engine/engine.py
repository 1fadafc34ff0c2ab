"""The engine: serves several models and generates many responses at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from herding.engine.errors import OverloadedError, WorkerError
from herding.engine.fetching.hub_cache import Download
from herding.engine.model import Job, ModelLoader, ServedModel
from herding.engine.model_files import ModelCatalog, ModelSource, is_hub_id, parse_source
from herding.engine.model_manager import Event, LoadedModel, ModelLoad, ModelManager
from herding.engine.requests import GenerationRequest
from herding.engine.text import ResponseText
from herding.errors import ConfigError, UserError
from herding.values import Parameters
from herding.values.model_paths import expanded

_DEFAULT_MAX_TOKENS = 1024
_WATCH_SECONDS = 0.1

_FEATURES = ("n", "prompts", "token_ids")
"""The features of every model; `tools` depends on its chat template."""


class Engine:
    """Admits requests, generates their responses, and ends every response even when a worker dies.

    All methods run on the event loop; blocking work is sent to a thread. At most `max_active` responses of a model are
    generated at the same time, and `max_waiting` more requests wait. `keep_alive` is in seconds.
    """

    def __init__(
        self,
        *,
        catalog: ModelCatalog,
        loader: ModelLoader,
        max_active: int,
        max_waiting: int,
        keep_alive: float | None = None,
        available: Callable[[], int] | None = None,
    ) -> None:
        self._max_active, self._max_waiting = max_active, max_waiting
        self._jobs: dict[Job, LoadedModel] = {}
        more = {} if available is None else {"available": available}
        self._manager = ModelManager(
            catalog=catalog, loader=loader, max_active=max_active, keep_alive=keep_alive, **more
        )

    def load(self, model: str, *, from_hub: bool = False, path: str | None = None) -> ModelLoad:
        """Start loading `model`; the load continues whether or not its events are read.

        With `from_hub`, it may be a model of the hub that was not available before; with a `path`, it is the one in
        that directory or GGUF file.
        """
        if path is not None:
            self._add_path(model, path)
        if from_hub and model not in self._manager.catalog:
            if not is_hub_id(model):
                raise UserError(
                    f"'{model}' is no id of a model at the hub. Enter owner/name, or a path that begins with / or ./.",
                    param="model",
                )
            self._manager.add(parse_source(model))
        return self._manager.load(model)

    def _add_path(self, model: str, path: str) -> None:
        catalog = self._manager.catalog
        try:
            source = parse_source(f"{model}={expanded(path).absolute()}")
        except ConfigError as error:
            raise UserError(error.message, param="model") from None
        if model in catalog and catalog.get(model).path != source.path:
            message = f"Another model is named '{model}' here. Enter a name of its own, such as {model}-2={path}."
            raise UserError(message, param="model")
        self._manager.add(source)

    def load_initial(self, sources: Iterable[ModelSource]) -> None:
        """Start loading models that stay loaded."""
        for source in sources:
            self._manager.load(source.id, keep=True)

    async def reserve(self, model: str, size: int) -> None:
        """Make room for a model that is not loaded here, of `size` bytes. Raises MemoryBudgetError and BusyError."""
        await self._manager.reserve(model, size)

    async def unload(self, model: str) -> None:
        """Free the memory of a model, or cancel its load."""
        await self._manager.unload(model)

    async def remove(self, model: str) -> None:
        """Take a model that was added from the list, unloaded or its load cancelled; its files stay."""
        await self._manager.remove(model)

    async def delete(self, model: str) -> int:
        """Remove the files of a model that is not loaded, as far as they are Herding's own; return their bytes."""
        return await self._manager.delete(model)

    async def watch(self) -> None:
        """Restart workers that die, and unload models that rest; runs as long as the engine."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for loaded in list(self._manager.loaded.values()):
                if not loaded.model.alive:
                    self._fail_running(loaded)
                    await self._manager.restart(loaded)
            await self._manager.unload_idle()

    async def admit(self, request: GenerationRequest) -> Job:
        """Admit a request or raise why not; pass an admitted job to `run` and then to `forget`.

        A model that is available but not loaded is loaded first.
        """
        loaded = await self._manager.hold(request.model)
        try:
            tokens = await asyncio.to_thread(loaded.model.encode, request)
            if sum(other is loaded for other in self._jobs.values()) >= self._max_active + self._max_waiting:
                message = f"{loaded.users} requests are running or waiting. Try again later."
                raise OverloadedError(message, retry_after=5)
            parameters = _complete(request.parameters, loaded.model, len(tokens))
        except BaseException:
            loaded.release()
            raise
        job = Job(model=loaded.model, tokens=tokens, parameters=parameters, request=request)
        self._jobs[job] = loaded
        return job

    async def run(self, job: Job) -> AsyncGenerator[Event, None]:
        """Stream the response: `delta` events, then `done`. Closing the iterator stops the generation."""
        async with self._jobs[job].slots:
            job.running = True
            async with aclosing(_generate(job)) as events:
                async for event in events:
                    yield event

    def forget(self, job: Job) -> None:
        """Remove a job, whether or not it ran."""
        if loaded := self._jobs.pop(job, None):
            loaded.release()

    async def count(self, request: GenerationRequest) -> dict[str, int]:
        """Return the number of prompt tokens and the context length of the model."""
        loaded = await self._manager.hold(request.model)
        try:
            return {
                "input_tokens": await asyncio.to_thread(loaded.model.count_tokens, request),
                "context_length": loaded.model.properties.context_length,
            }
        finally:
            loaded.release()

    def status(self) -> dict[str, Any]:
        """Return the body of `GET /status`; what is told of one model is of the one that was used last."""
        manager = self._manager
        latest, load = manager.latest, next(iter(manager.loads.values()), None)
        properties = latest.model.properties if latest else None
        running = sum(job.running for job in self._jobs)
        return {
            "state": self._phase(),
            "model": latest.source.id if latest else None,
            "loading": load.source.id if load else None,
            "progress": load.fraction if load else None,
            "stage": load.stage if load else None,
            "error": next(reversed(manager.errors.values()), None),
            "context_length": properties.context_length if properties else None,
            "chat": properties.chat if properties else False,
            "features": _features(latest.model) if latest else list(_FEATURES),
            "device": properties.device if properties else None,
            "dtype": properties.dtype if properties else None,
            "parameters": properties.parameters if properties else None,
            "active": running,
            "waiting": len(self._jobs) - running,
            "models": [self._model_status(source) for source in manager.catalog],
            "memory": {
                "budget": manager.budget,
                "used": manager.used,
                "free": max(0, manager.budget - manager.used),
            },
            "keep_alive": manager.keep_alive,
        }

    def models(self) -> list[dict[str, Any]]:
        """Return the models of `GET /models`."""
        return [
            {
                "id": source.id,
                "loaded": source.id in self._manager.loaded,
                "bundled": source.bundled,
                "local": self._manager.loader.on_disk(source),
            }
            for source in self._manager.catalog
        ]

    async def close(self) -> None:
        """Close all models."""
        await self._manager.close()

    def _phase(self) -> str:
        """Return `ready` if a model is loaded, else what comes closest."""
        manager = self._manager
        if manager.loaded:
            return "ready" if any(loaded.model.alive for loaded in manager.loaded.values()) else "loading"
        if manager.loads:
            return "loading"
        return "failed" if manager.errors else "idle"

    def _model_status(self, source: ModelSource) -> dict[str, Any]:
        """Return the state of one model; keys without a meaning in that state are left out."""
        manager, id = self._manager, source.id
        status: dict[str, Any] = {"id": id, "state": "available"}
        if files := manager.loader.deletable(source):
            status["files"] = files
        if manager.catalog.is_added(id):
            status["added"] = True
        if loaded := manager.loaded.get(id):
            properties = loaded.model.properties
            status |= {
                "state": "loaded" if loaded.model.alive else "loading",
                "size": loaded.size,
                "running": loaded.users,
                "idle_seconds": 0.0 if loaded.users else asyncio.get_running_loop().time() - loaded.used_at,
                "context_length": properties.context_length,
                "features": _features(loaded.model),
                "device": properties.device,
                "dtype": properties.dtype,
                "resident": loaded.keep,
                "chat": properties.chat,
            }
        elif load := manager.loads.get(id):
            status |= {"state": "loading", "progress": load.fraction, "stage": load.stage}
            status |= _download_status(manager.loader.unfinished(source))
        else:
            status["on_disk"] = manager.loader.on_disk(source)
            status |= _download_status(manager.loader.unfinished(source))
            if error := manager.errors.get(id):
                status |= {"state": "failed", "error": error}
        return status

    def _fail_running(self, loaded: LoadedModel) -> None:
        error = WorkerError(f"The model failed while generating: {loaded.model.failure}. Try again.")
        for job, of in self._jobs.items():
            if job.running and of is loaded:
                job.fail(error)


def _download_status(found: Download | None) -> dict[str, Any]:
    return {} if found is None else {"downloaded": found.done, "download_size": found.size}


def _features(model: ServedModel) -> list[str]:
    return [*_FEATURES, *(["tools"] if model.properties.tools else [])]


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
