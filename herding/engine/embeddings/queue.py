"""Models that read texts, each with the common batches of all its callers."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from herding.engine.embeddings import files
from herding.engine.errors import LoadError, OverloadedError
from herding.engine.model_files import ModelSource
from herding.errors import HerdingError, NotFoundError

BATCH_TEXTS = 64
"""Texts of one step; a caller that waits gets a share of the next one."""

MAX_WAITING_TEXTS = 20_000
"""Texts that may wait for one model."""

_log = logging.getLogger(__name__)

Model = TypeVar("Model")
Item = TypeVar("Item")
Result = TypeVar("Result")

Reserve = Callable[[str, int], Awaitable[None]]
"""Makes room for a model of so many bytes; raises HerdingError where there is none."""


class Worker:
    """The thread that loads and runs the models of all queues, one after the other.

    `threads` are those of torch. Models take their memory with `reserve`.
    """

    def __init__(self, *, threads: int, reserve: Reserve | None = None) -> None:
        self.threads = threads
        self._reserve = reserve
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="embedder")

    def run(self, task: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Run `task` in the thread."""
        return asyncio.get_running_loop().run_in_executor(self._pool, task, *arguments)

    async def reserve(self, source: ModelSource, path: Path) -> None:
        """Make room for the model in a directory. Raises MemoryBudgetError."""
        if self._reserve is not None:
            await self._reserve(source.id, await asyncio.to_thread(files.weights_size, path))


@dataclass(slots=True, eq=False)
class _Job(Generic[Item, Result]):
    """The items of one caller; `taken` of them are in a batch or done."""

    items: Sequence[Item]
    done: asyncio.Future[None]
    results: list[Result] = field(default_factory=list)
    taken: int = 0


class ModelQueue(Generic[Model, Item, Result]):
    """A model that loads when it is first used, and the items that wait for it.

    `fetch_files` returns its checked directory, `open_model` loads what is there, and `compute` returns a result for
    each item of a batch; all three block. `noun` is the kind of the model in messages.
    """

    def __init__(
        self,
        source: ModelSource,
        worker: Worker,
        *,
        fetch_files: Callable[[ModelSource], Path],
        open_model: Callable[[Path], Model],
        compute: Callable[[Model, Sequence[Item]], Iterable[Result]],
        noun: str,
    ) -> None:
        self._source, self._worker, self._noun = source, worker, noun
        self._fetch_files, self._open, self._compute = fetch_files, open_model, compute
        self._path: Path | None = None
        self._model: Model | None = None
        self._loading = asyncio.Lock()
        self._jobs: deque[_Job[Item, Result]] = deque()
        self._task: asyncio.Task[None] | None = None
        self.error: str | None = None

    @property
    def usable(self) -> bool:
        """True if the model can be used without a download."""
        return self.error is None and (self._path is not None or files.on_disk(self._source) is not None)

    async def fetch(self) -> None:
        """Find or download the files of the model; the error of a failure is kept."""
        if self._path is not None:
            return
        try:
            self._path = await asyncio.to_thread(self._fetch_files, self._source)
            self.error = None
        except HerdingError as error:
            self.error = error.message
            _log.warning("%s not available (%s): %s", self._noun, self._source.id, error.message)

    async def loaded(self) -> Model:
        """Return the model, loaded; raise LoadError."""
        async with self._loading:
            if self._model is None:
                await self.fetch()
                if self._path is None:
                    raise LoadError(self.error or f"'{self._source.id}' is not available.")
                await self._worker.reserve(self._source, self._path)
                self._model = await self._worker.run(self._open, self._path)
                _log.info("%s loaded (%s)", self._noun, self._source.id)
            return self._model

    def check_room(self, count: int) -> None:
        """Raise OverloadedError while too many items wait for `count` more."""
        waiting = sum(len(job.items) - job.taken for job in self._jobs)
        if self._jobs and waiting + count > MAX_WAITING_TEXTS:
            raise OverloadedError(f"{waiting:,} texts wait for {self._source.id}. Try again later.", retry_after=5)

    async def run(self, model: Model, items: Sequence[Item]) -> list[Result]:
        """Return a result for each item, computed in batches with those of other callers."""
        job = _Job[Item, Result](items, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(model))
        try:
            await job.done
        finally:
            job.taken = len(job.items)  # nothing more is computed for a caller that left
        return job.results

    async def _work(self, model: Model) -> None:
        """Compute what waits, batch by batch; what arrives meanwhile shares the next one."""
        while batch := self._next_batch():
            items = [item for _, part in batch for item in part]
            try:
                results = iter(await self._worker.run(self._compute, model, items))
            except Exception as error:  # noqa: BLE001  callers wait for the outcome
                _log.exception("%s failed (%s)", self._noun, self._source.id)
                for job, _ in batch:
                    if not job.done.done():
                        job.done.set_exception(LoadError(f"The {self._noun} failed: {error}"))
                continue
            for job, part in batch:
                job.results += [next(results) for _ in part]
                if len(job.results) == len(job.items) and not job.done.done():
                    job.done.set_result(None)

    def _next_batch(self) -> list[tuple[_Job[Item, Result], Sequence[Item]]]:
        """Return the next items, an equal share of each caller."""
        self._jobs = deque(job for job in self._jobs if job.taken < len(job.items) and not job.done.done())
        batch: list[tuple[_Job[Item, Result], Sequence[Item]]] = []
        room = BATCH_TEXTS
        for place, job in enumerate(self._jobs):
            if room == 0:
                break
            share = max(1, room // (len(self._jobs) - place))
            part = job.items[job.taken : job.taken + share]
            job.taken += len(part)
            room -= len(part)
            batch.append((job, part))
        self._jobs.rotate(-len(batch))
        return batch


class ModelQueues(Generic[Model, Item, Result]):
    """The queues of the models of one kind, by their ids. `action` is what they do, in messages; all else as above."""

    def __init__(
        self,
        sources: Iterable[ModelSource],
        worker: Worker,
        *,
        fetch_files: Callable[[ModelSource], Path],
        open_model: Callable[[Path], Model],
        compute: Callable[[Model, Sequence[Item]], Iterable[Result]],
        noun: str,
        action: str,
    ) -> None:
        self._action = action
        self._queues = {
            source.id: ModelQueue(
                source, worker, fetch_files=fetch_files, open_model=open_model, compute=compute, noun=noun
            )
            for source in sources
        }

    @property
    def usable(self) -> list[str]:
        """The models that can be used without a download."""
        return [name for name, queue in self._queues.items() if queue.usable]

    @property
    def errors(self) -> dict[str, str]:
        """The reasons for which models can't be used, by their ids."""
        return {name: queue.error for name, queue in self._queues.items() if queue.error}

    async def fetch(self) -> None:
        """Download the models that are not on disk, so that `usable` lists them."""
        for queue in self._queues.values():
            await queue.fetch()

    def get(self, model: str) -> ModelQueue[Model, Item, Result]:
        """Return the queue of a model; raise NotFoundError."""
        if queue := self._queues.get(model):
            return queue
        available = ", ".join(self._queues) or "none"
        raise NotFoundError(f"Model '{model}' {self._action} here. Available: {available}.", param="model")
