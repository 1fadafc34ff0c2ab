"""Indexes documents beside the requests: one after the other, in steps that survive the end of the process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from herding.errors import HerdingError, LimitError, NodeError, StoreError, UserError
from herding.knowledge.embedder import Embedder, check_dimensions
from herding.knowledge.parsing.sandbox import PATIENCE, SECONDS, parse
from herding.store import Store
from herding.store.collections.store import ClaimedDocument
from herding.values import Collection, TextChunk

BATCH = 64
"""Chunks of one step."""

LEASE_MS = (SECONDS * PATIENCE + 60) * 1000
POLL_SECONDS = 1.0
RETRY_MS = 5_000
"""The time that a document waits for a node."""

log = logging.getLogger(__name__)


class Indexer:
    """Takes documents that wait, reads, embeds and publishes them. A step that is stored is never repeated."""

    def __init__(self, *, store: Store, embedder: Embedder, clock: Callable[[], int]) -> None:
        self._store, self._embedder, self._clock = store, embedder, clock
        self._wake = asyncio.Event()
        self._served = ""

    def wake(self) -> None:
        """Look for documents at once."""
        self._wake.set()

    async def run(self) -> None:
        """Index what waits; never returns."""
        failure = ""
        while True:
            try:
                while await self.index_next():
                    pass
                failure = ""
            except StoreError as error:
                if failure != (failure := error.message):  # else it would be logged every second
                    log.warning("documents wait for the database: %s", error)
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()

    async def index_next(self) -> bool:
        """Index one document that waits; return whether there was one."""
        claimed = await self._store.claim_document(now=self._clock(), lease=LEASE_MS, after=self._served)
        if claimed is None:
            return False
        self._served = claimed.changed_by
        try:
            await self._index(claimed)
        except (NodeError, LimitError) as error:
            log.warning("document waits for a node (%s): %s", claimed.id, error.message)
            await self._store.postpone_document(claimed, until=self._clock() + RETRY_MS, reason=error.message)
        except OSError as error:  # no process, memory or file is left on this machine just now
            reason = f"The document can't be read now ({error.strerror or error}). It is tried again."
            log.warning("document waits (%s): %s", claimed.id, reason)
            await self._store.postpone_document(claimed, until=self._clock() + RETRY_MS, reason=reason)
        except UserError as error:
            await self._store.fail_document(claimed, error.message)
        except StoreError:
            raise
        except HerdingError as error:
            log.exception("index document failed (%s)", claimed.id)
            await self._store.fail_document(claimed, error.message)
        except Exception:
            log.exception("index document failed (%s)", claimed.id)
            await self._store.fail_document(claimed, "The document can't be indexed. See the log for details.")
        return True

    async def _index(self, claimed: ClaimedDocument) -> None:
        collection = await self._collection(claimed)
        chunks = await parse(
            claimed.kind,
            claimed.content,
            title=claimed.title,
            tokens=collection.chunk_tokens,
            overlap=collection.overlap_tokens,
        )
        stored = await self._store.begin_indexing(claimed, total=len(chunks))
        for start in range(stored, len(chunks), BATCH):
            batch = chunks[start : start + BATCH]
            vectors = await self._embedder.embed(collection.embedding_model, _texts(claimed.title, batch))
            collection = replace(collection, dimensions=check_dimensions(collection, vectors[0]))
            if not await self._store.add_chunks(claimed, batch, vectors, until=self._clock() + LEASE_MS):
                return  # it was replaced or deleted meanwhile
        await self._store.publish_document(claimed, dimensions=collection.dimensions)

    async def _collection(self, claimed: ClaimedDocument) -> Collection:
        found = [one for one in await self._store.collections() if one.id == claimed.collection_id]
        if not found:
            raise UserError("The collection was deleted.")
        return found[0]


def _texts(title: str, chunks: Sequence[TextChunk]) -> list[str]:
    """Return the texts to embed: a chunk says little without the headings above it."""
    return [f"{chunk.heading or title}\n{chunk.text}" for chunk in chunks]
