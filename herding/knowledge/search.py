"""Hybrid search: what is near in meaning and what shares words, as one list, which a reranker may sort anew."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from herding.errors import UserError
from herding.knowledge.embedder import Embedder, check_dimensions
from herding.knowledge.reranker import Reranker
from herding.store import Store
from herding.values import Collection, FoundChunk, Principal

MAX_TOP_K = 100
MAX_QUESTION = 20_000
FUSION = 60
"""The constant of reciprocal rank fusion, which keeps the first places from deciding alone."""

WORDS_WEIGHT = 0.6
"""The weight of a place by words; one by meaning has 1. Long questions have words that say little."""

_CANDIDATES = 50

RERANKED = 30
"""Chunks that a reranker reads, at least twice as many as are asked for."""

RERANKED_QUESTION = 2_000
"""Characters of a question that a reranker reads, with each chunk."""

Filters = Mapping[str, Any]
"""Values that a document's metadata must have, by name; a list means one of them."""


class CollectionSearch:
    """Finds chunks of a collection. Checks no permissions: its callers do."""

    def __init__(self, *, store: Store, embedder: Embedder, reranker: Reranker) -> None:
        self._store, self._embedder, self._reranker = store, embedder, reranker

    async def find(
        self,
        collection: Collection,
        question: str,
        *,
        top_k: int,
        filters: Filters | None = None,
        min_similarity: float = 0.0,
        rerank: str | None = None,
        who: Principal | None = None,
    ) -> tuple[FoundChunk, ...]:
        """Return the `top_k` best chunks, best first, without those that are less similar than `min_similarity`.

        With `rerank`, that model reads more chunks than are asked for, and its scores order them: on any node, or with
        `who`, on one that this principal may use. Raises UserError where there is none.
        """
        if not 1 <= top_k <= MAX_TOP_K:
            raise UserError(f"'top_k' is a whole number from 1 to {MAX_TOP_K}.", param="top_k")
        if not question.strip():
            raise UserError("Enter a question.", param="text")
        if rerank:
            self._reranker.check(rerank, who)
        if not collection.chunks:
            return ()
        (vector,) = await self._embedder.embed(collection.embedding_model, [question[:MAX_QUESTION]])
        check_dimensions(collection, vector)
        documents = None
        if filters:
            wanted = {name: value if isinstance(value, list | tuple) else [value] for name, value in filters.items()}
            documents = await self._store.tagged_documents(collection.id, wanted)
            if not documents:
                return ()
        count = max(_CANDIDATES, 2 * top_k)
        nearest, by_words = await asyncio.gather(
            self._store.nearest_chunks(collection.id, vector, count=count, documents=documents),
            self._store.chunks_with_words(collection.id, question, documents=documents),
        )
        similarity = dict(nearest)
        scores = fuse(list(similarity), by_words)
        if unknown := [id for id in scores if id not in similarity]:
            similarity |= _cosines(vector, await self._store.vectors(unknown))
        wanted_chunks = max(RERANKED, 2 * top_k) if rerank else top_k
        best = [id for id in scores if similarity.get(id, 0.0) >= min_similarity][:wanted_chunks]
        found = await self._store.found_chunks(best)
        chunks = tuple(
            replace(found[id], score=round(scores[id], 4), similarity=round(similarity.get(id, 0.0), 4))
            for id in best
            if id in found  # not deleted meanwhile
        )
        return await self._reranked(chunks, question, rerank, top_k, who) if rerank and chunks else chunks

    async def _reranked(
        self, chunks: tuple[FoundChunk, ...], question: str, model: str, top_k: int, who: Principal | None
    ) -> tuple[FoundChunk, ...]:
        """Return the chunks that a reranker scores best; equal scores stay in their order."""
        texts = [f"{one.chunk.heading}\n{one.chunk.text}".strip() or one.title for one in chunks]
        scores = await self._reranker.rerank(model, question[:RERANKED_QUESTION], texts, who)
        scored = [
            replace(one, score=round(score, 4), reranker=model) for one, score in zip(chunks, scores, strict=True)
        ]
        return tuple(sorted(scored, key=lambda one: -one.score)[:top_k])


def fuse(by_meaning: Sequence[int], by_words: Sequence[int]) -> dict[int, float]:
    """Return the score of each chunk by reciprocal rank fusion, best first; 1 for one that is first in both lists."""
    most = (1 + WORDS_WEIGHT) / (FUSION + 1)
    scores: dict[int, float] = {}
    for weight, ids in ((1.0, by_meaning), (WORDS_WEIGHT, by_words)):
        for rank, id in enumerate(ids, start=1):
            scores[id] = scores.get(id, 0.0) + weight / (FUSION + rank) / most
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


def _cosines(vector: bytes, others: Mapping[int, bytes]) -> dict[int, float]:
    import numpy as np

    if not others:
        return {}
    matrix = np.frombuffer(b"".join(others.values()), "<f4").reshape(len(others), -1)
    return dict(zip(others, (matrix @ np.frombuffer(vector, "<f4")).tolist(), strict=True))
