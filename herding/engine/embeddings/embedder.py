"""Makes embeddings beside the generation: several models, and the texts of all callers in common batches."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from herding.engine.embeddings import files as embedding_files
from herding.engine.errors import LoadError, OverloadedError
from herding.engine.model_files import ModelSource
from herding.engine.requests import EmbeddingRequest
from herding.errors import HerdingError, NotFoundError

BATCH_TEXTS = 64
"""Texts of one step; a caller that waits gets a share of the next one."""

MAX_WAITING_TEXTS = 20_000
"""Texts that may wait for one model."""

_log = logging.getLogger(__name__)


class Vectors(Protocol):
    """A loaded model; see `EmbeddingModel`."""

    dimensions: int

    def prepare(self, inputs: Sequence[Any], *, dimensions: int | None, truncate: bool) -> list[Any]:
        """Return the texts with their tokens."""

    def encode(self, texts: Sequence[str]) -> list[bytes]:
        """Return the vector of each text."""


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """The vectors of a request in the order of its texts, as 32-bit floats, and its tokens."""

    vectors: bytes
    dimensions: int
    input_tokens: int


@dataclass(slots=True, eq=False)
class _Job:
    """The texts of one caller; `taken` of them are in a batch or done."""

    texts: Sequence[str]
    done: asyncio.Future[None]
    vectors: list[bytes] = field(default_factory=list)
    taken: int = 0


Opener = Callable[[Path, int], Vectors]


class Embedder:
    """Embeds texts with the models of `sources`, which load when they are first used.

    All methods run on the event loop; one thread of its own does the work of all models.
    """

    def __init__(self, sources: Iterable[ModelSource], *, threads: int, open_model: Opener | None = None) -> None:
        self._threads = threads
        self._open = open_model or _open_model
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="embedder")
        self._queues = {source.id: _Queue(source, self) for source in sources}

    def status(self) -> dict[str, Any]:
        """Return the models that embed now, and the errors of those that can't be loaded."""
        errors = {name: queue.error for name, queue in self._queues.items() if queue.error}
        return {"embeds": [name for name, queue in self._queues.items() if queue.usable], "embedding_errors": errors}

    async def fetch(self) -> None:
        """Download the models that are not on disk, so that `status` lists them."""
        for queue in self._queues.values():
            await queue.fetch()

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """Return the vectors of a request; raise UserError, or LoadError for a model that can't be loaded."""
        queue = self._queues.get(request.model)
        if queue is None:
            available = ", ".join(self._queues) or "none"
            message = f"Model '{request.model}' makes no embeddings here. Available: {available}."
            raise NotFoundError(message, param="model")
        return await queue.embed(request)

    def run(self, task: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Run `task` in the thread of the embedder."""
        return asyncio.get_running_loop().run_in_executor(self._pool, task, *arguments)

    def open(self, path: Path) -> Vectors:
        """Load a model. Blocks."""
        return self._open(path, self._threads)


class _Queue:
    """One model, and the texts that wait for it."""

    def __init__(self, source: ModelSource, embedder: Embedder) -> None:
        self._source, self._embedder = source, embedder
        self._path: Path | None = None
        self._model: Vectors | None = None
        self._loading = asyncio.Lock()
        self._jobs: deque[_Job] = deque()
        self._worker: asyncio.Task[None] | None = None
        self.error: str | None = None

    @property
    def usable(self) -> bool:
        return self.error is None and (self._path is not None or embedding_files.on_disk(self._source) is not None)

    async def fetch(self) -> None:
        """Find or download the files of the model; the error of a failure is kept."""
        if self._path is not None:
            return
        try:
            self._path = await asyncio.to_thread(embedding_files.fetch, self._source)
            self.error = None
        except HerdingError as error:
            self.error = error.message
            _log.warning("embedding model not available (%s): %s", self._source.id, error.message)

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        model = await self._loaded()
        waiting = sum(len(job.texts) - job.taken for job in self._jobs)
        if self._jobs and waiting + len(request.inputs) > MAX_WAITING_TEXTS:
            raise OverloadedError(f"{waiting:,} texts wait for their embeddings. Try again later.", retry_after=5)
        prepared = await asyncio.to_thread(
            model.prepare, request.inputs, dimensions=request.dimensions, truncate=request.truncate
        )
        job = _Job([item.text for item in prepared], asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(model))
        try:
            await job.done
        finally:
            job.taken = len(job.texts)  # a caller that left is not embedded any further
        tokens = sum(item.tokens for item in prepared)
        return EmbeddingResult(b"".join(job.vectors), model.dimensions, tokens)

    async def _loaded(self) -> Vectors:
        async with self._loading:
            if self._model is None:
                await self.fetch()
                if self._path is None:
                    raise LoadError(self.error or f"'{self._source.id}' is not available.")
                self._model = await self._embedder.run(self._embedder.open, self._path)
                _log.info("embedding model loaded (%s)", self._source.id)
            return self._model

    async def _work(self, model: Vectors) -> None:
        """Embed what waits, batch by batch; what arrives meanwhile shares the next one."""
        while batch := self._next_batch():
            texts = [text for job, part in batch for text in part]
            try:
                vectors = iter(await self._embedder.run(model.encode, texts))
            except Exception as error:  # noqa: BLE001  callers wait for the outcome
                _log.exception("embed failed (%s)", self._source.id)
                for job, _ in batch:
                    if not job.done.done():
                        job.done.set_exception(LoadError(f"The embedding model failed: {error}"))
                continue
            for job, part in batch:
                job.vectors += [next(vectors) for _ in part]
                if len(job.vectors) == len(job.texts) and not job.done.done():
                    job.done.set_result(None)

    def _next_batch(self) -> list[tuple[_Job, Sequence[str]]]:
        """Return the next texts, an equal share of each caller."""
        self._jobs = deque(job for job in self._jobs if job.taken < len(job.texts) and not job.done.done())
        batch: list[tuple[_Job, Sequence[str]]] = []
        room = BATCH_TEXTS
        for place, job in enumerate(self._jobs):
            if room == 0:
                break
            share = max(1, room // (len(self._jobs) - place))
            part = job.texts[job.taken : job.taken + share]
            job.taken += len(part)
            room -= len(part)
            batch.append((job, part))
        self._jobs.rotate(-len(batch))
        return batch


def _open_model(path: Path, threads: int) -> Vectors:
    from herding.engine.embeddings.model import open_embedding_model  # takes seconds

    return open_embedding_model(path, threads=threads)
