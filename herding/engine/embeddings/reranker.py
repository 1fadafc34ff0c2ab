"""Scores how well documents answer a query: several models, and the pairs of all callers in common batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from herding.engine.embeddings import files as embedding_files
from herding.engine.embeddings.queue import ModelQueues, Worker
from herding.engine.model_files import ModelSource
from herding.engine.requests import RerankRequest

Pair = tuple[str, str]
"""A query and a document."""


class Scores(Protocol):
    """A loaded model; see `CrossEncoderModel`."""

    def count(self, pairs: Sequence[Pair]) -> int:
        """Return the tokens that the model reads."""

    def score(self, pairs: Sequence[Pair]) -> list[float]:
        """Return a score from 0 to 1 for each pair."""


@dataclass(frozen=True, slots=True)
class RerankResult:
    """A score for each document in the order of the request, higher for a better one, and the tokens read."""

    scores: list[float]
    input_tokens: int


Opener = Callable[[Path, int], Scores]


class Reranker:
    """Scores documents with the models of `sources`, which load when they are first used."""

    def __init__(self, sources: Iterable[ModelSource], worker: Worker, *, open_model: Opener | None = None) -> None:
        opener = open_model or _open_model
        self._queues = ModelQueues[Scores, Pair, float](
            sources,
            worker,
            fetch_files=embedding_files.fetch_reranker,
            open_model=lambda path: opener(path, worker.threads),
            compute=lambda model, pairs: model.score(pairs),
            noun="reranker",
            action="does not rerank",
        )

    def status(self) -> dict[str, Any]:
        """Return the models that rerank now, and the errors of those that can't be loaded."""
        return {"reranks": self._queues.usable, "reranking_errors": self._queues.errors}

    async def fetch(self) -> None:
        """Download the models that are not on disk, so that `status` lists them."""
        await self._queues.fetch()

    async def rerank(self, request: RerankRequest) -> RerankResult:
        """Return the scores of a request; raise NotFoundError, or LoadError for a model that can't be loaded."""
        queue = self._queues.get(request.model)
        model = await queue.loaded()
        queue.check_room(len(request.documents))
        pairs = [(request.query, document) for document in request.documents]
        tokens = await asyncio.to_thread(model.count, pairs)
        return RerankResult(await queue.run(model, pairs), tokens)


def _open_model(path: Path, threads: int) -> Scores:
    from herding.engine.embeddings.cross_encoder import CrossEncoderModel  # takes seconds

    return CrossEncoderModel(path, threads=threads)
