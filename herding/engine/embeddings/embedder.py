"""Makes embeddings beside the generation: several models, and the texts of all callers in common batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from herding.engine.embeddings import files as embedding_files
from herding.engine.embeddings.queue import ModelQueues, Worker
from herding.engine.model_files import ModelSource
from herding.engine.requests import EmbeddingRequest


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


Opener = Callable[[Path, int], Vectors]


class Embedder:
    """Embeds texts with the models of `sources`, which load when they are first used.

    All methods run on the event loop; the thread of the worker does the work of all models.
    """

    def __init__(self, sources: Iterable[ModelSource], worker: Worker, *, open_model: Opener | None = None) -> None:
        opener = open_model or _open_model
        self._queues = ModelQueues[Vectors, str, bytes](
            sources,
            worker,
            fetch_files=embedding_files.fetch,
            open_model=lambda path: opener(path, worker.threads),
            compute=lambda model, texts: model.encode(texts),
            noun="embedding model",
            action="makes no embeddings",
        )

    def status(self) -> dict[str, Any]:
        """Return the models that embed now, and the errors of those that can't be loaded."""
        return {"embeds": self._queues.usable, "embedding_errors": self._queues.errors}

    async def fetch(self) -> None:
        """Download the models that are not on disk, so that `status` lists them."""
        await self._queues.fetch()

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """Return the vectors of a request; raise UserError, or LoadError for a model that can't be loaded."""
        queue = self._queues.get(request.model)
        model = await queue.loaded()
        queue.check_room(len(request.inputs))
        prepared = await asyncio.to_thread(
            model.prepare, request.inputs, dimensions=request.dimensions, truncate=request.truncate
        )
        vectors = await queue.run(model, [item.text for item in prepared])
        return EmbeddingResult(b"".join(vectors), model.dimensions, sum(item.tokens for item in prepared))


def _open_model(path: Path, threads: int) -> Vectors:
    from herding.engine.embeddings.model import EmbeddingModel  # takes seconds

    return EmbeddingModel(path, threads=threads)
