"""The service of collections: who may create, fill, search and delete them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence

from herding.access.operations import COLLECTIONS, SAVE
from herding.access.roles import allows, require
from herding.errors import NotFoundError, UserError
from herding.knowledge.documents import MAX_DOCUMENTS, add_documents
from herding.knowledge.embedder import DEFAULT_MODEL, Embedder
from herding.knowledge.reranker import Reranker
from herding.knowledge.search import CollectionSearch, Filters
from herding.store import Store
from herding.store.collections.store import no_collection
from herding.values import Collection, Document, FoundChunk, IndexingJob, NewDocument, Principal, TextChunk

CHUNK_TOKENS = range(20, 2_001)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_WAIT_SECONDS = 0.1


class Collections:
    """Collections and their documents. Every method raises AccessError where the role does not allow it.

    A collection that the role may not use does not exist for it: NotFoundError. `wake` is called after documents were
    added, so that they are indexed at once.
    """

    def __init__(
        self,
        *,
        store: Store,
        embedder: Embedder,
        reranker: Reranker,
        search: CollectionSearch,
        wake: Callable[[], None],
        clock: Callable[[], int],
    ) -> None:
        self._store, self._embedder, self._reranker, self._search = store, embedder, reranker, search
        self._wake, self._clock = wake, clock

    async def listing(self, who: Principal) -> tuple[Collection, ...]:
        """Return the collections that the role may use, by name."""
        require(who, COLLECTIONS)
        return tuple(found for found in await self._store.collections() if allows(who.collections, found.name))

    async def get(self, name: str, who: Principal) -> Collection:
        """Return a collection. Raises NotFoundError."""
        require(who, COLLECTIONS)
        if not allows(who.collections, name):
            raise no_collection(name)
        return await self._store.collection(name)

    async def editable(self, name: str, who: Principal) -> Collection:
        """Return a collection whose documents the role may change. Raises AccessError and NotFoundError."""
        self._require_edit(name, who)
        return await self.get(name, who)

    def models(self, who: Principal) -> tuple[str, ...]:
        """Return the embedding models that a new collection may have, the default one first."""
        require(who, COLLECTIONS)
        return self._embedder.models(who)

    def is_starting(self, who: Principal) -> bool:
        """Return True while a node starts, which may make embeddings then."""
        require(who, COLLECTIONS)
        return self._embedder.is_starting(who)

    def rerankers(self, who: Principal) -> tuple[str, ...]:
        """Return the rerankers that a search may use."""
        require(who, COLLECTIONS)
        return self._reranker.models(who)

    async def create(
        self,
        name: str,
        who: Principal,
        *,
        embedding_model: str | None = None,
        description: str = "",
        chunk_tokens: int = 220,
        overlap_tokens: int = 40,
    ) -> Collection:
        """Create a collection. Raises ConflictError if the name is taken, UserError for a model that no node serves."""
        self._require_edit(name, who)
        if not is_name(name):
            message = f"'{name[:80]}' can't be a name. Use up to 64 letters, digits and . _ -"
            raise UserError(message, param="name")
        if chunk_tokens not in CHUNK_TOKENS or not 0 <= overlap_tokens <= chunk_tokens // 2:
            message = "'chunk_tokens' is from 20 to 2,000, and 'overlap_tokens' at most half of it."
            raise UserError(message, param="chunk_tokens")
        model = self._model(embedding_model, who)
        made = Collection(
            name=name,
            embedding_model=model,
            description=description[:2_000],
            chunk_tokens=chunk_tokens,
            overlap_tokens=overlap_tokens,
            created_at=self._clock(),
            created_by=who.id,
        )
        await self._store.add_collection(made)
        return await self._store.collection(name)

    async def delete(self, name: str, who: Principal) -> None:
        """Delete a collection with its documents; on SQLite nothing of them is in the file then."""
        self._require_edit(name, who)
        await self.get(name, who)
        await self._store.delete_collection(name)

    async def add(self, name: str, documents: Sequence[NewDocument], who: Principal) -> IndexingJob:
        """Add documents, or replace those of the same key, and return the job that indexes them.

        Documents whose content is in the collection already are not indexed again. Raises UserError for a kind that
        can't be read and for too large documents, before any is added.
        """
        self._require_edit(name, who)
        found = await self.get(name, who)
        job = await add_documents(self._store, found, documents, changed_by=who.id, now=self._clock())
        self._wake()
        return job

    async def job(self, name: str, job: str, who: Principal) -> IndexingJob:
        """Return the state of a job. Raises NotFoundError where all its documents were replaced or deleted."""
        found = await self.get(name, who)
        return await self._store.job(found.id, job)

    async def wait(self, name: str, job: IndexingJob, who: Principal) -> IndexingJob:
        """Return the job once it does not run any more."""
        found = await self.get(name, who)
        while job.state == "running":
            await asyncio.sleep(_WAIT_SECONDS)
            now = await self._store.job(found.id, job.id)
            job = IndexingJob(**{field: getattr(now, field) for field in _JOB_FIELDS}, unchanged=job.unchanged)
        return job

    async def documents(self, name: str, who: Principal, *, limit: int = 100, offset: int = 0) -> tuple[Document, ...]:
        """Return documents of a collection by key, with their state."""
        found = await self.get(name, who)
        if not (1 <= limit <= 1_000 and 0 <= offset < 10**9):
            raise UserError("'limit' is from 1 to 1,000, 'offset' at least 0.", param="limit")
        return await self._store.documents(found.id, limit=limit, offset=offset)

    async def document(self, name: str, key: str, who: Principal) -> Document:
        """Return a document. Raises NotFoundError."""
        found = await self.get(name, who)
        return await self._store.document(found.id, key)

    async def delete_documents(self, name: str, who: Principal, *, keys: Sequence[str] | None = None) -> int:
        """Delete documents, all with None, and return their number; on SQLite nothing of them is in the file then."""
        self._require_edit(name, who)
        found = await self.get(name, who)
        if keys is not None and not 0 < len(keys) <= MAX_DOCUMENTS:
            raise UserError(f"Send the 'id' of 1 to {MAX_DOCUMENTS:,} documents, or all=true.", param="id")
        return await self._store.delete_documents(found.id, keys)

    async def chunks(
        self, name: str, key: str, who: Principal, *, first: int = 1, count: int = 20
    ) -> tuple[tuple[int, TextChunk], ...]:
        """Return chunks of a document from number `first` on, each with its id. Raises NotFoundError."""
        found = await self.get(name, who)
        await self._store.document(found.id, key)
        if not 1 <= count <= 200:
            raise UserError("'count' is from 1 to 200.", param="count")
        return await self._store.chunks(found.id, key, first=first, count=count)

    async def query(
        self,
        name: str,
        text: str,
        who: Principal,
        *,
        top_k: int = 5,
        filters: Filters | None = None,
        min_similarity: float = 0.0,
        rerank: str | None = None,
    ) -> tuple[FoundChunk, ...]:
        """Return the best chunks for a question, best first. `filters` are values of the documents' metadata.

        `rerank` is a model that orders the chunks. Raises UserError where no node has it.
        """
        found = await self.get(name, who)
        return await self._search.find(
            found, text, top_k=top_k, filters=filters, min_similarity=min_similarity, rerank=rerank, who=who
        )

    def _require_edit(self, name: str, who: Principal) -> None:
        require(who, COLLECTIONS)
        require(who, SAVE)
        if not allows(who.collections, name):
            message = (
                f"There is no collection '{name[:80]}' for the role '{who.role}'. Check its name, or ask an admin."
            )
            raise NotFoundError(message, param="collection")

    def _model(self, wanted: str | None, who: Principal) -> str:
        models = self._embedder.models(who)
        if wanted is None and models:
            return models[0]
        if wanted in models and wanted is not None:
            return wanted
        model = wanted or DEFAULT_MODEL
        advice = "Start a local node, or add embedding_models to one."
        if fault := self._embedder.fault_of(model, who):
            advice = fault
        elif models:
            advice = f"Available: {', '.join(models)}."
        elif self._embedder.is_starting(who):
            advice = "Nodes are still starting. Try again in a few seconds."
        raise UserError(f"No node makes embeddings with '{model}'. {advice}", param="embedding_model")


_JOB_FIELDS = ("id", "collection", "documents", "ready", "failed", "done", "total", "errors")


def is_name(text: str) -> bool:
    """Return whether a collection may have this name."""
    return _NAME.fullmatch(text) is not None
