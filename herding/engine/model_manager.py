"""Holds the loaded models within a memory budget, and loads and unloads them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from herding.engine.errors import BusyError, CancelledError, LoadError, LoadingError, MemoryBudgetError, NoModelError
from herding.engine.model import ModelLoader, ServedModel
from herding.engine.model_files import ModelCatalog, ModelSource
from herding.engine.progress import Report
from herding.errors import HerdingError
from herding.values.sizes import format_size

_log = logging.getLogger(__name__)

Event = Mapping[str, Any]
"""One event of a stream, as sent in JSON."""


class ModelLoad:
    """One load of a model with any number of followers; it continues when they disconnect."""

    def __init__(self, source: ModelSource) -> None:
        self.source = source
        self.stage, self.fraction = "waiting", None
        self.task: asyncio.Task[None] | None = None
        self._followers: list[asyncio.Queue[Event]] = []
        self._end: Event | None = None
        self._error: HerdingError | None = None
        self._ended = asyncio.Event()

    stage: str
    fraction: float | None

    def progress(self, stage: str, fraction: float | None) -> None:
        """Tell the followers about progress."""
        self.stage, self.fraction = stage, fraction
        self._tell({"type": "progress", "fraction": fraction, "stage": stage})

    def end(self, error: HerdingError | None = None) -> None:
        """Tell the followers the end; only the first one counts."""
        if self._end is None:
            self._error = error
            self._end = {"type": "done", "model": self.source.id} if error is None else error_event(error)
            self._ended.set()
            self._tell(self._end)

    async def events(self) -> AsyncGenerator[Event, None]:
        """Stream all further events up to the last one."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        if self._end is None:
            self._followers.append(queue)
            yield {"type": "progress", "fraction": self.fraction, "stage": self.stage}
        else:
            queue.put_nowait(self._end)
        while True:
            event = await queue.get()
            yield event
            if event["type"] != "progress":
                return

    async def wait(self) -> None:
        """Wait for the end; raise the error of a load that failed."""
        await self._ended.wait()
        if self._error is not None:
            raise self._error

    def _tell(self, event: Event) -> None:
        for queue in self._followers:
            queue.put_nowait(event)


def error_event(error: HerdingError) -> Event:
    """Return the last event of a stream that failed."""
    return {"type": "error", "error_type": error.type, "message": error.message}


@dataclass(slots=True, eq=False)
class LoadedModel:
    """A loaded model. `users` counts the requests that run, wait or are being read.

    `used_at` is the time of the last one, of the loop's clock. A model to `keep` is not unloaded when it rests.
    """

    source: ModelSource
    model: ServedModel
    size: int
    used_at: float
    slots: asyncio.Semaphore
    users: int = 0
    keep: bool = field(default=False)

    def hold(self) -> None:
        """Keep the model loaded until `release`."""
        self.users += 1

    def release(self) -> None:
        """End one `hold`."""
        self.users -= 1
        self.used_at = asyncio.get_running_loop().time()


class ModelManager:
    """Holds the loaded models, and loads others within the memory of `loader.budget`.

    Models are fetched side by side and opened one after the other, while the loaded ones serve. If a model does not
    fit, those that have not been used for the longest time are unloaded first, but never one with requests. A model
    without requests for `keep_alive` seconds is unloaded, unless it was loaded at startup. `available` returns the free
    memory of the machine.
    """

    def __init__(
        self,
        *,
        catalog: ModelCatalog,
        loader: ModelLoader,
        max_active: int,
        keep_alive: float | None = None,
        available: Callable[[], int] = lambda: psutil.virtual_memory().available,
    ) -> None:
        self.catalog = catalog
        self.loaded: dict[str, LoadedModel] = {}
        self.loads: dict[str, ModelLoad] = {}
        self.errors: dict[str, str] = {}
        self.loader, self._available = loader, available
        self._max_active, self.keep_alive = max_active, keep_alive
        self._opening = asyncio.Lock()
        self._never_loaded: set[str] = set()
        self._reserved: dict[str, int] = {}

    @property
    def budget(self) -> int:
        """The bytes that all models together may take."""
        return self.loader.budget

    @property
    def used(self) -> int:
        """The bytes that the loaded models take, with those that others reserved."""
        return sum(loaded.size for loaded in self.loaded.values()) + sum(self._reserved.values())

    @property
    def latest(self) -> LoadedModel | None:
        """The model that was used last."""
        return max(self.loaded.values(), key=lambda loaded: loaded.used_at, default=None)

    def load(self, model: str, *, keep: bool = False) -> ModelLoad:
        """Return the load of `model`, which starts if it is neither loaded nor loading.

        A model that is to `keep` is not unloaded when it rests. Raises NotFoundError if it is not available here.
        """
        source = self.catalog.get(model)
        if model in self.loads:
            return self.loads[model]
        load = ModelLoad(source)
        if model in self.loaded:
            load.end()
            return load
        self.loads[model] = load
        self.errors.pop(model, None)
        load.task = asyncio.create_task(self._run_load(load, keep=keep), name=f"load {model}")
        return load

    async def unload(self, model: str) -> None:
        """Free the memory of a model, or cancel its load; raise BusyError while requests use it.

        A model that was added while the engine ran and could not be loaded is available no longer.
        """
        self.catalog.get(model)
        if load := self.loads.get(model):
            if load.task is not None:
                load.task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await load.task
        elif loaded := self.loaded.get(model):
            if loaded.users:
                raise BusyError(f"'{model}' has {_requests(loaded.users)}. Unload it when they have ended.")
            await self._close(loaded)
        if self.errors.pop(model, None) and model in self._never_loaded:
            source = self.catalog.get(model)
            if not self.loader.deletable(source) and not self.loader.unfinished(source):
                self.catalog.remove(model)
                self._never_loaded.discard(model)

    async def remove(self, model: str) -> None:
        """Take a model that was added from the list, unloaded or its load cancelled; its files stay.

        Raises UserError for a model of the configuration, and BusyError while requests use it.
        """
        if self.catalog.is_added(model):
            await self.unload(model)
        if model in self.catalog or model not in self._never_loaded:  # else it went with the error of its load
            self.catalog.remove(model)
        self._never_loaded.discard(model)

    async def delete(self, model: str) -> int:
        """Remove the files of a model that can be made again, and return their bytes; raise BusyError if it is loaded.

        A load of it is cancelled first.
        """
        source = self.catalog.get(model)
        if model in self.loaded:
            raise BusyError(f"'{model}' is loaded. Unload it before you delete its files.", param="model")
        if model in self.loads:
            await self.unload(model)
        size = self.loader.deletable(source)
        await asyncio.to_thread(self.loader.delete, source)
        self.errors.pop(model, None)
        _log.info("delete files of model (%s, %d bytes)", model, size)
        return size

    def add(self, source: ModelSource) -> None:
        """Make a model available that can be removed again."""
        if source.id not in self.catalog:
            self.catalog.add(source)
            self._never_loaded.add(source.id)

    async def hold(self, model: str | None) -> LoadedModel:
        """Return a loaded model that stays until its `release`; load it first if necessary.

        Without a name, the model that was used last. Raises LoadingError if that is not loaded yet, and the error of a
        load that fails.
        """
        found = self._latest() if model is None else await self._loaded(model)
        found.hold()
        return found

    async def _loaded(self, model: str) -> LoadedModel:
        while (found := self.loaded.get(model)) is None:
            await self.load(model).wait()
        if not found.model.alive:
            raise LoadingError(f"'{model}' is restarting. Try again in a few seconds.", retry_after=2)
        return found

    async def reserve(self, model: str, size: int) -> None:
        """Make room for a model that is loaded elsewhere in the process, for good. Raises as a load does.

        It is small beside those here, so it does not wait for a load that is under way.
        """
        if model not in self._reserved:
            await self._make_room(model, size)
            self._reserved[model] = size

    async def restart(self, loaded: LoadedModel) -> None:
        """Restart the worker of a model; it is unloaded if that is impossible."""
        try:
            await asyncio.to_thread(loaded.model.restart)
        except Exception as error:  # noqa: BLE001  any failure must show in the state
            _log.exception("restart batching worker failed (%s)", loaded.source.id)
            self.errors[loaded.source.id] = f"The model's worker died and can't be restarted: {error}"
            await self._close(loaded)

    async def unload_idle(self) -> None:
        """Unload the models that have rested for the time of keep-alive."""
        if self.keep_alive is None:
            return
        now = asyncio.get_running_loop().time()
        for loaded in list(self.loaded.values()):
            if not loaded.keep and not loaded.users and now - loaded.used_at > self.keep_alive:
                _log.info("unload idle model (%s)", loaded.source.id)
                await self._close(loaded)

    async def close(self) -> None:
        """Cancel all loads and close all models."""
        for load in list(self.loads.values()):
            if load.task is not None:
                load.task.cancel()
        for loaded in list(self.loaded.values()):
            await self._close(loaded)

    def _latest(self) -> LoadedModel:
        alive = [loaded for loaded in self.loaded.values() if loaded.model.alive]
        if alive:
            return max(alive, key=lambda loaded: loaded.used_at)
        if load := next(iter(self.loads.values()), None):
            raise LoadingError(
                f"'{load.source.id}' is loading ({load.stage}). Try again in a few seconds.", retry_after=2
            )
        if self.loaded:
            raise LoadingError("The model is restarting. Try again in a few seconds.", retry_after=2)
        raise NoModelError(f"No model is loaded. {next(reversed(self.errors.values()), 'Load one first.')}")

    async def _run_load(self, load: ModelLoad, *, keep: bool) -> None:
        source, report = load.source, self._reporter(load)
        error: HerdingError | None = None
        try:
            path = await self.loader.fetch(source, report)
            async with self._opening:
                await self._open(source, path, report, keep=keep)
            self._never_loaded.discard(source.id)
            _log.info("loaded model (%s)", source.id)
            if not self.loaded[source.id].model.properties.chat:
                _log.warning("model has no chat template (%s): it takes raw templates and text completions", source.id)
        except asyncio.CancelledError:
            error = CancelledError(f"Loading '{source.id}' was cancelled.")
        except HerdingError as caught:
            error = caught
        except Exception as caught:  # noqa: BLE001  the followers must receive any failure
            _log.exception("load model failed (%s)", source.id)
            error = LoadError(f"Can't load '{source.id}': {caught}")
        self.loads.pop(source.id, None)
        if error is not None and not isinstance(error, CancelledError):
            self.errors[source.id] = error.message
            _log.warning("load model failed (%s): %s", source.id, error.message)
        load.end(error)

    async def _open(self, source: ModelSource, path: Path, report: Report, *, keep: bool) -> None:
        loop = asyncio.get_running_loop()
        size = await asyncio.to_thread(self.loader.measure, path, report)
        await self._make_room(source.id, size)
        opening = asyncio.ensure_future(asyncio.to_thread(self.loader.open, path, report, loop))
        try:
            model = await asyncio.shield(opening)
        except asyncio.CancelledError:  # the thread goes on; what it opens is closed
            model = await opening
            await asyncio.to_thread(model.close)
            raise
        size = model.properties.size or size
        slots = asyncio.Semaphore(self._max_active)
        self.loaded[source.id] = LoadedModel(source, model, size, loop.time(), slots, keep=keep)

    async def _make_room(self, model: str, size: int) -> None:
        """Unload models until `size` bytes are free; if that is impossible, raise an error and unload none."""
        if size > self.budget:
            raise MemoryBudgetError(
                f"'{model}' needs {format_size(size)}, but all models together may take {format_size(self.budget)}. "
                "Choose a smaller model, or give the node more memory."
            )
        missing = max(size - (self.budget - self.used), size - self._available())
        idle = sorted((one for one in self.loaded.values() if not one.users), key=lambda loaded: loaded.used_at)
        chosen: list[LoadedModel] = []
        while missing > 0 and idle:
            chosen.append(idle.pop(0))
            missing -= chosen[-1].size
        if missing > 0:
            raise self._no_room(model, size)
        for loaded in chosen:
            _log.info("unload model (%s) for another one (%s)", loaded.source.id, model)
            await self._close(loaded)

    def _no_room(self, model: str, size: int) -> HerdingError:
        free = max(0, min(self.budget - self.used, self._available()))
        needs = f"'{model}' needs {format_size(size)}, and {format_size(free)} are free"
        busy = [loaded for loaded in self.loaded.values() if loaded.users]
        if busy:
            names = ", ".join(f"'{loaded.source.id}'" for loaded in busy)
            verb = "has" if len(busy) == 1 else "have"
            return BusyError(
                f"{needs}. {names} {verb} running requests. Try again when they have ended.", param="model"
            )
        return MemoryBudgetError(f"{needs}. Choose a smaller model, or free memory on the machine.")

    async def _close(self, loaded: LoadedModel) -> None:
        if self.loaded.pop(loaded.source.id, None) is not None:
            await asyncio.to_thread(loaded.model.close)

    def _reporter(self, load: ModelLoad) -> Report:
        loop = asyncio.get_running_loop()

        def report(stage: str, fraction: float | None) -> None:
            loop.call_soon_threadsafe(load.progress, stage, fraction)

        return report


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"
