"""Queries of a collection of 10,000 chunks, beside the embedding of the question: the median of each vector store.

    python -m benchmarks.knowledge [--chunks 10000] [--postgres postgresql://user@host/name]

The stores take turns in one run. Without a PostgreSQL, only those of SQLite are measured.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from herding.herd.fleet import Fleet
from herding.knowledge.reranker import Reranker
from herding.knowledge.search import CollectionSearch
from herding.store import Store, now_ms
from herding.store.collections.vectors import VectorStore
from herding.values import Collection, NewDocument, TextChunk, new_id

DIMENSIONS = 384
WORDS = [f"{head}{tail}" for head in ("ba", "ko", "mi", "ru", "se", "ta", "vo", "zu") for tail in map(str, range(400))]
QUERIES = 60


class GivenVectors:
    """Replaces the model: a vector of its own for each question."""

    async def embed(self, _model: str, texts: Sequence[str]) -> list[bytes]:
        """Return a vector of length 1 for each text."""
        return [vector(np.random.default_rng(len(text) * 7919 + ord(text[0]))) for text in texts]


def vector(generator: np.random.Generator) -> bytes:
    """Return a random vector of length 1."""
    made = generator.standard_normal(DIMENSIONS).astype("<f4")
    return bytes((made / np.linalg.norm(made)).tobytes())


async def fill(store: Store, chunks: int) -> Collection:
    """Return a collection of one document with that many chunks of random words and vectors."""
    await store.add_collection(Collection("bench", "given", created_at=now_ms()))
    collection = await store.collection("bench")
    document = NewDocument("all", "all", "txt", b"x")
    await store.add_documents(collection.id, [(new_id(), "digest", document)], job=new_id(), who="bench", now=now_ms())
    claimed = await store.claim_document(now=now_ms(), lease=10**9)
    if claimed is None:
        raise AssertionError("it was just added")
    await store.begin_indexing(claimed, total=chunks)
    chance, generator = random.Random(1), np.random.default_rng(1)
    for start in range(0, chunks, 500):
        batch = [
            TextChunk(n + 1, " ".join(chance.choices(WORDS, k=120))) for n in range(start, min(start + 500, chunks))
        ]
        await store.add_chunks(claimed, batch, [vector(generator) for _ in batch], until=now_ms() + 10**9)
    await store.publish_document(claimed, dimensions=DIMENSIONS)
    return await store.collection("bench")


async def main(chunks: int, postgres: str | None) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        sqlite = f"sqlite:///{Path(folder) / 'bench.sqlite'}"
        wanted: list[tuple[str, VectorStore]] = [(sqlite, "sqlite-vec"), (sqlite, "numpy")]
        wanted += [(postgres, "pgvector"), (postgres, "numpy")] if postgres else []
        filled: set[str] = set()
        times: dict[str, list[float]] = {}
        searches = []
        none = Reranker(Fleet({}))
        for url, name in wanted:
            store = await Store.open(url, vector_store=name, beside_app=True)
            if store.vector_store != name:
                print(f"{name} is not available here")
                await store.close()
                continue
            collection = await store.collection("bench") if url in filled else await fill(store, chunks)
            filled.add(url)
            label = f"{name} on {'SQLite' if url == sqlite else 'PostgreSQL'}"
            search = CollectionSearch(store=store, embedder=GivenVectors(), reranker=none)  # type: ignore[arg-type]
            searches.append((label, store, search, collection))
        chance = random.Random(2)
        for turn in range(QUERIES + 3):
            question = " ".join(chance.choices(WORDS, k=8))
            for label, _, search, collection in searches:
                began = time.perf_counter()
                await search.find(collection, question, top_k=5)
                if turn >= 3:  # the first ones fill caches
                    times.setdefault(label, []).append((time.perf_counter() - began) * 1000)
        for label, found in times.items():
            p95 = statistics.quantiles(found, n=20)[-1]
            print(f"{label:24} p50 {statistics.median(found):6.1f} ms   p95 {p95:6.1f} ms")
        for _, store, _, _ in searches:
            await store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=10_000, help="chunks of the collection")
    parser.add_argument("--postgres", help="URL of an empty database")
    options = parser.parse_args()
    asyncio.run(main(options.chunks, options.postgres))
