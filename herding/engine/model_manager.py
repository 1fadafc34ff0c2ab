"""Holds the served model and replaces it with another one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from herding.engine.errors import BusyError, LoadError, SwitchedError
from herding.engine.model import Job, ModelLoader, ServedModel
from herding.engine.model_files import ModelCatalog, ModelSource
from herding.engine.progress import Report
from herding.errors import HerdingError

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.02

Event = Mapping[str, Any]
"""One event of a stream, as sent in JSON."""


@dataclass(slots=True)
class EngineState:
    """The state of the engine: `model` is served, `loading` is being loaded.

    `progress` is the fraction of `stage`, 0 to 1. While a model is downloaded, the previous one keeps serving and the
    phase stays `ready`.
    """

    phase: Literal["idle", "loading", "ready", "failed"] = "idle"
    model: str | None = None
    loading: str | None = None
    progress: float | None = None
    stage: str | None = None
    error: str | None = None


class ModelLoad:
    """The events of one model load, which continues when its follower disconnects."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def progress(self, stage: str, fraction: float | None) -> None:
        """Add a progress event."""
        self._events.put_nowait({"type": "progress", "fraction": fraction, "stage": stage})

    def end(self, error: HerdingError | None) -> None:
        """Add the last event."""
        self._events.put_nowait({"type": "done", "model": self.model} if error is None else error_event(error))

    async def events(self) -> AsyncGenerator[Event, None]:
        """Stream all events up to the last one."""
        while True:
            event = await self._events.get()
            yield event
            if event["type"] != "progress":
                return


def error_event(error: HerdingError) -> Event:
    """Return the last event of a stream that failed."""
    return {"type": "error", "error_type": error.type, "message": error.message}


@dataclass(frozen=True, slots=True)
class _ModelDirectory:
    """A model id and its checked directory."""

    model: str
    path: Path


class ModelManager:
    """Holds the served model and replaces it.

    A model is downloaded and checked while the previous one keeps serving. Then no new responses start, running ones
    get `drain_seconds` to finish, and the models are exchanged. If the new one fails, the previous one is restored.
    """

    def __init__(
        self, *, catalog: ModelCatalog, loader: ModelLoader, jobs: Collection[Job], drain_seconds: float
    ) -> None:
        self.catalog = catalog
        self.state = EngineState()
        self.model: ServedModel | None = None
        self._loader = loader
        self._jobs = jobs
        self._drain_seconds = drain_seconds
        self._directory: _ModelDirectory | None = None
        self._task: asyncio.Task[None] | None = None

    def load(self, model: str) -> ModelLoad:
        """Start loading `model`; raise BusyError while another load runs."""
        source = self.catalog.get(model)
        if self.state.loading is not None:
            raise BusyError(f"'{self.state.loading}' is loading. Wait until it has finished.", param="model")
        load = ModelLoad(model)
        self.state.loading, self.state.error = model, None
        if self.model is None:
            self.state.phase = "loading"
        self._task = asyncio.create_task(self._run_load(load, source))
        return load

    async def restart(self, model: ServedModel) -> None:
        """Restart the worker of `model`; the engine has failed if that is impossible."""
        try:
            await asyncio.to_thread(model.restart)
        except Exception as error:  # noqa: BLE001  any failure must show in the state
            _log.exception("restart batching worker failed")
            if self.model is model:
                self.model, self._directory = None, None
                self.state.phase, self.state.model = "failed", None
                self.state.error = f"The model's worker died and cannot be restarted: {error}"

    async def close(self) -> None:
        """Close the served model."""
        if self._task is not None:
            self._task.cancel()
        if self.model is not None:
            model, self.model = self.model, None
            await asyncio.to_thread(model.close)

    async def _run_load(self, load: ModelLoad, source: ModelSource) -> None:
        error: HerdingError | None = None
        report = self._reporter(load)
        try:
            path = await asyncio.to_thread(self._loader.fetch, source, report)
            await self._replace(_ModelDirectory(source.id, path), report)
        except HerdingError as caught:
            error = caught
        except Exception as caught:  # noqa: BLE001  the follower must receive any failure
            _log.exception("load model failed (%s)", source.id)
            error = LoadError(f"Can't load '{source.id}': {caught}")
        self.state.loading = self.state.progress = self.state.stage = None
        self.state.error = None if error is None else error.message
        self.state.phase = "ready" if self.model is not None else "failed"
        load.end(error)

    async def _replace(self, directory: _ModelDirectory, report: Report) -> None:
        previous, self.state.phase = self._directory, "loading"
        report("waiting for running responses", None)
        await self._close_current()
        try:
            await self._open(directory, report)
        except LoadError as error:
            if previous is None:
                raise
            report(f"restoring {previous.model}", None)
            await self._open(previous, report)
            raise LoadError(f"{error.message} The previous model '{previous.model}' is loaded again.") from error

    async def _close_current(self) -> None:
        """Let running responses finish, end those that do not, and close the model."""
        model = self.model
        if model is None:
            return
        await self._drain()
        self.model, self._directory, self.state.model = None, None, None
        await asyncio.to_thread(model.close)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._drain_seconds
        while self._jobs and loop.time() < deadline:  # noqa: ASYNC110  bounded, and rare
            await asyncio.sleep(_POLL_SECONDS)
        for job in self._jobs:
            job.fail(SwitchedError("The response was cut off because another model is loading."))

    async def _open(self, directory: _ModelDirectory, report: Report) -> None:
        loop = asyncio.get_running_loop()
        self.model = await asyncio.to_thread(self._loader.open, directory.path, report, loop)
        self._directory, self.state.model = directory, directory.model

    def _reporter(self, load: ModelLoad) -> Report:
        loop = asyncio.get_running_loop()

        def update(stage: str, fraction: float | None) -> None:
            self.state.stage, self.state.progress = stage, fraction
            load.progress(stage, fraction)

        def report(stage: str, fraction: float | None) -> None:
            loop.call_soon_threadsafe(update, stage, fraction)

        return report
