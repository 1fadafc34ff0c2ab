"""Collections and their documents in the database: adding, indexing step by step, searching, deleting."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, case, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from herding.errors import ConflictError, NotFoundError
from herding.store import sqlite
from herding.store.collections import words
from herding.store.collections.tables import chunk, chunk_vector, collection, document, document_tag
from herding.store.collections.vectors import VectorSearch
from herding.store.database import Reader
from herding.store.rows import Row, storable
from herding.store.tables import lease_ended
from herding.store.writer import Writer
from herding.values import Collection, Document, FoundChunk, IndexingJob, NewDocument, TextChunk

_TIES = 20
"""Chunks that are asked for beyond the last one, which may be as near as others."""

_LISTED = [column for column in document.c if column.name not in ("content", "digest", "collection_id", "leased_until")]


@dataclass(frozen=True, slots=True)
class ClaimedDocument:
    """A document to index."""

    id: str
    collection_id: int
    title: str
    kind: str
    digest: str
    content: bytes
    changed_by: str


@dataclass(frozen=True, slots=True)
class AddedDocuments:
    """The keys of documents that are to be indexed, and those that are there already, each with the one that is."""

    added: tuple[str, ...]
    unchanged: Mapping[str, str]


class CollectionStore:
    """The part of the store that keeps collections. What is written is durable when a method returns."""

    _writer: Writer
    _reader: Reader
    _vectors: VectorSearch

    @property
    def vector_store(self) -> str:
        """The name of what compares vectors: `sqlite-vec`, `pgvector` or `numpy`."""
        return self._vectors.name

    async def add_collection(self, made: Collection) -> None:
        """Add a collection. Raises ConflictError if the name is taken."""
        row = {
            "name": made.name,
            "description": storable(made.description),
            "embedding_model": made.embedding_model,
            "chunk_tokens": made.chunk_tokens,
            "overlap_tokens": made.overlap_tokens,
            "dimensions": None,
            "revision": 0,
            "created_at": made.created_at,
            "created_by": storable(made.created_by),
        }
        await self._writer.call(lambda c: _add_collection(c, row))

    async def collections(self) -> tuple[Collection, ...]:
        """Return all collections by name."""
        return await self._reader.run(lambda c: _collections(c, None))

    async def collection(self, name: str) -> Collection:
        """Return a collection. Raises NotFoundError."""
        found = await self._reader.run(lambda c: _collections(c, name))
        if not found:
            raise no_collection(name)
        return found[0]

    async def delete_collection(self, name: str) -> None:
        """Delete a collection with all that is in it; on SQLite nothing of it is in the file then."""
        statement = delete(collection).where(collection.c.name == storable(name))
        if not await self._writer.call(lambda c: c.execute(statement).rowcount):
            raise no_collection(name)
        await self._writer.maintain(sqlite.purge)

    async def add_documents(
        self, collection_id: int, documents: Sequence[tuple[str, str, NewDocument]], *, job: str, who: str, now: int
    ) -> AddedDocuments:
        """Add or replace documents, given with a new id and their digest, to be indexed as the job `job`.

        One of the same content as another in the collection is not added again. Until a replaced document is indexed,
        its former chunks are found.
        """
        return await self._writer.call(lambda c: _add_documents(c, collection_id, documents, job=job, who=who, now=now))

    async def documents(self, collection_id: int, *, limit: int, offset: int = 0) -> tuple[Document, ...]:
        """Return documents of a collection by key."""
        query = select(*_LISTED).where(document.c.collection_id == collection_id).order_by(document.c.key)
        return await self._reader.run(lambda c: _documents(c, query.limit(limit).offset(offset)))

    async def document(self, collection_id: int, key: str) -> Document:
        """Return a document. Raises NotFoundError."""
        query = select(*_LISTED).where(document.c.collection_id == collection_id, document.c.key == storable(key))
        found = await self._reader.run(lambda c: _documents(c, query))
        if not found:
            raise NotFoundError(f"There is no document '{key[:200]}' in this collection.", param="document")
        return found[0]

    async def delete_documents(self, collection_id: int, keys: Sequence[str] | None) -> int:
        """Delete documents, all with None, and return their number; on SQLite nothing of them is in the file then."""
        statement = delete(document).where(document.c.collection_id == collection_id)
        if keys is not None:
            statement = statement.where(document.c.key.in_([storable(key) for key in keys]))

        def run(connection: Connection) -> int:
            _touch(connection, collection_id)
            return connection.execute(statement).rowcount

        count = await self._writer.call(run)
        if count:
            await self._writer.maintain(sqlite.purge)
        return count

    async def job(self, collection_id: int, job: str) -> IndexingJob:
        """Return the state of the documents that were added as one job and not replaced since."""
        found = await self._reader.run(lambda c: _job(c, collection_id, job))
        if found is None:
            raise NotFoundError("This job is not known, or its documents were replaced or deleted.", param="job")
        return found

    async def chunks(
        self, collection_id: int, key: str, *, first: int, count: int
    ) -> tuple[tuple[int, TextChunk], ...]:
        """Return chunks of a document from a number on, each with its id."""
        query = (
            _published()
            .where(document.c.collection_id == collection_id, document.c.key == storable(key), chunk.c.number >= first)
            .order_by(chunk.c.number)
            .limit(count)
        )
        return await self._reader.run(lambda c: tuple((row.id, _text_chunk(row)) for row in c.execute(query)))

    async def tagged_documents(self, collection_id: int, filters: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
        """Return the ids of the documents whose metadata has one of the values for each name in `filters`."""
        query = select(document.c.id).where(document.c.collection_id == collection_id)
        for name, values in filters.items():
            tagged = select(document_tag.c.document_id).where(
                document_tag.c.name == storable(name), document_tag.c.value.in_([_tag(value) for value in values])
            )
            query = query.where(document.c.id.in_(tagged))
        return await self._reader.run(lambda c: tuple(c.execute(query.order_by(document.c.id)).scalars()))

    async def nearest_chunks(
        self, collection_id: int, vector: bytes, *, count: int, documents: Sequence[str] | None
    ) -> tuple[tuple[int, float], ...]:
        """Return the chunks that are nearest to a vector, with the cosine of the angle between both.

        The order of equals is that of the chunks on all databases, whose last digits differ.
        """
        search = self._vectors
        hits = await self._reader.run(
            lambda c: search.nearest(c, collection_id, vector, count=count + _TIES, documents=documents)
        )
        return tuple(sorted(((id, round(cosine, 5)) for id, cosine in hits), key=lambda hit: (-hit[1], hit[0]))[:count])

    async def chunks_with_words(
        self, collection_id: int, question: str, *, documents: Sequence[str] | None
    ) -> tuple[int, ...]:
        """Return the chunks that share words with a question, best first."""
        asked = words.query_words(question)
        return await self._reader.run(lambda c: tuple(words.find(c, collection_id, asked, documents)))

    async def vectors(self, chunk_ids: Sequence[int]) -> dict[int, bytes]:
        """Return the vectors of chunks."""
        query = select(chunk_vector.c.chunk_id, chunk_vector.c.vector).where(chunk_vector.c.chunk_id.in_(chunk_ids))
        return await self._reader.run(lambda c: {row.chunk_id: bytes(row.vector) for row in c.execute(query)})

    async def found_chunks(self, chunk_ids: Sequence[int]) -> dict[int, FoundChunk]:
        """Return chunks with their documents, without scores, by id."""
        query = (
            _published()
            .join(collection, collection.c.id == document.c.collection_id)
            .add_columns(collection.c.name, document.c.key, document.c.title, document.c.details)
            .where(chunk.c.id.in_(chunk_ids))
        )
        return await self._reader.run(lambda c: {row.id: _found_chunk(row) for row in c.execute(query)})

    # Indexing

    async def release_documents(self) -> None:
        """Give up all leases, after a start of the only process that uses the database."""
        await self._writer.call(lambda c: c.execute(update(document).values(leased_until=0)).rowcount)

    async def claim_document(self, *, now: int, lease: int, after: str = "") -> ClaimedDocument | None:
        """Take the next document to index for `lease` milliseconds; None where nothing waits.

        It is the oldest one of the user who follows `after` in the order of names, so that all users have their turn.
        """
        return await self._writer.call(lambda c: _claim(c, now=now, until=now + lease, after=after))

    async def begin_indexing(self, claimed: ClaimedDocument, *, total: int) -> int:
        """Note the number of a document's chunks and return how many of them are stored already."""
        return await self._writer.call(lambda c: _begin(c, claimed, total))

    async def add_chunks(
        self, claimed: ClaimedDocument, chunks: Sequence[TextChunk], vectors: Sequence[bytes], *, until: int
    ) -> bool:
        """Store the next chunks with their vectors and extend the lease; false where the document was replaced."""
        return await self._writer.call(lambda c: self._add_chunks(c, claimed, chunks, vectors, until))

    async def publish_document(self, claimed: ClaimedDocument, *, dimensions: int | None) -> bool:
        """Let searches find the new chunks of a document instead of its former ones."""
        return await self._writer.call(lambda c: self._publish(c, claimed, dimensions))

    async def fail_document(self, claimed: ClaimedDocument, error: str) -> None:
        """Note why a document can't be indexed. What it had before is still found."""
        values = {"state": "failed", "error": storable(error), "leased_until": 0, "content": None, "digest": ""}

        def run(connection: Connection) -> None:
            connection.execute(update(document).where(*_same(claimed)).values(**values))
            connection.execute(delete(chunk).where(chunk.c.document_id == claimed.id, ~_is_published()))

        await self._writer.call(run)

    async def postpone_document(self, claimed: ClaimedDocument, *, until: int, reason: str) -> None:
        """Let a document wait until an instant, and say what it waits for."""
        values = {"state": "waiting", "leased_until": until, "error": storable(reason)}
        await self._writer.call(lambda c: c.execute(update(document).where(*_same(claimed)).values(**values)).rowcount)

    def _add_chunks(
        self,
        connection: Connection,
        claimed: ClaimedDocument,
        chunks: Sequence[TextChunk],
        vectors: Sequence[bytes],
        until: int,
    ) -> bool:
        done = document.c.done + len(chunks)
        change = update(document).where(*_same(claimed)).values(leased_until=until, done=done)
        if not connection.execute(change).rowcount:
            return False
        ids = []
        for item, vector in zip(chunks, vectors, strict=True):
            row = _chunk_row(claimed, item)
            (chunk_id,) = connection.execute(insert(chunk).values(**row).returning(chunk.c.id)).one()
            connection.execute(insert(chunk_vector), {"chunk_id": chunk_id, "collection_id": None, "vector": vector})
            ids.append(chunk_id)
        self._vectors.added(connection, ids)
        return True

    def _publish(self, connection: Connection, claimed: ClaimedDocument, dimensions: int | None) -> bool:
        own = chunk.c.document_id == claimed.id
        count = select(func.count()).select_from(chunk).where(own, chunk.c.digest == claimed.digest)
        values = {"state": "ready", "error": None, "leased_until": 0, "content": None}
        change = update(document).where(*_same(claimed))
        if not connection.execute(change.values(**values, chunks=count.scalar_subquery())).rowcount:
            return False
        connection.execute(delete(chunk).where(own, chunk.c.digest != claimed.digest))
        new = select(chunk.c.id).where(own)
        published = update(chunk_vector).where(chunk_vector.c.chunk_id.in_(new))
        connection.execute(published.values(collection_id=claimed.collection_id))
        self._vectors.published(connection, claimed.id)
        _touch(connection, claimed.collection_id)
        if dimensions is not None:
            unknown = (collection.c.id == claimed.collection_id, collection.c.dimensions.is_(None))
            connection.execute(update(collection).where(*unknown).values(dimensions=dimensions))
        return True


def no_collection(name: str) -> NotFoundError:
    """Return the error for a collection that is not there, or not for its caller."""
    return NotFoundError(f"There is no collection '{name[:80]}'. Check its name, or create it.", param="collection")


def _add_collection(connection: Connection, row: Row) -> None:
    if connection.execute(select(collection.c.id).where(collection.c.name == row["name"])).first():
        raise ConflictError(f"There is a collection '{row['name']}' already. Choose another name.", param="name")
    try:
        with connection.begin_nested():
            connection.execute(insert(collection), row)
    except IntegrityError:
        raise ConflictError(f"There is a collection '{row['name']}' already.", param="name") from None


def _collections(connection: Connection, name: str | None) -> tuple[Collection, ...]:
    def count(state: str) -> Any:
        return func.sum(case((document.c.state == state, 1), else_=0)).label(state)

    query = (
        select(
            collection,
            func.count(document.c.id).label("documents"),
            (count("waiting") + count("indexing")).label("waiting_documents"),
            count("failed").label("failed_documents"),
            func.sum(document.c.chunks).label("chunks"),
        )
        .join(document, document.c.collection_id == collection.c.id, isouter=True)
        .group_by(*collection.c)
        .order_by(collection.c.name)
    )
    if name is not None:
        query = query.where(collection.c.name == storable(name))
    return tuple(_collection(row) for row in connection.execute(query))


def _collection(row: Any) -> Collection:
    names = ("name", "embedding_model", "description", "chunk_tokens", "overlap_tokens", "created_at", "created_by")
    return Collection(
        **{name: getattr(row, name) for name in names},
        dimensions=row.dimensions,
        revision=row.revision,
        documents=row.documents,
        waiting=int(row.waiting_documents or 0),
        failed=int(row.failed_documents or 0),
        chunks=int(row.chunks or 0),
        id=row.id,
    )


def _add_documents(
    connection: Connection,
    collection_id: int,
    documents: Sequence[tuple[str, str, NewDocument]],
    *,
    job: str,
    who: str,
    now: int,
) -> AddedDocuments:
    own = document.c.collection_id == collection_id
    added: list[str] = []
    unchanged: dict[str, str] = {}
    for new_id, digest, given in documents:
        key, title = storable(given.key), storable(given.title)
        same = connection.execute(select(document.c.key, document.c.title).where(own, document.c.digest == digest))
        known = {row.key: row.title for row in same}
        if known:
            unchanged[given.key] = key if key in known else next(iter(known))
            if known.get(key, title) != title:
                connection.execute(update(document).where(own, document.c.key == key).values(title=title))
            continue
        values = {
            "title": title,
            "kind": given.kind,
            "digest": digest,
            "state": "waiting",
            "job": job,
            "error": None,
            "size": len(given.content),
            "done": 0,
            "total": 0,
            "changed_at": now,
            "changed_by": storable(who),
            "leased_until": 0,
            "details": storable(dict(given.metadata)),
            "content": given.content,
        }
        old = connection.execute(select(document.c.id).where(own, document.c.key == key)).scalar()
        document_id = old or new_id
        if old:
            connection.execute(update(document).where(document.c.id == old).values(**values))
            connection.execute(delete(document_tag).where(document_tag.c.document_id == old))
        else:
            row = {"id": new_id, "collection_id": collection_id, "key": key, "chunks": 0, **values}
            connection.execute(insert(document), row)
        if tags := [
            {"document_id": document_id, "name": storable(name), "value": _tag(value)}
            for name, value in given.metadata.items()
        ]:
            connection.execute(insert(document_tag), tags)
        added.append(given.key)
    return AddedDocuments(tuple(added), unchanged)


def _tag(value: Any) -> str:
    """Return a value of the metadata as filters compare it."""
    return str(storable(json.dumps(value, ensure_ascii=False)))


def _documents(connection: Connection, query: Select[Any]) -> tuple[Document, ...]:
    rows = [row._asdict() for row in connection.execute(query)]
    return tuple(Document(metadata=row.pop("details"), **row) for row in rows)


def _job(connection: Connection, collection_id: int, job: str) -> IndexingJob | None:
    query = select(document.c.key, document.c.state, document.c.error, document.c.done, document.c.total)
    rows = connection.execute(query.where(document.c.collection_id == collection_id, document.c.job == job)).all()
    if not rows:
        return None
    name = connection.execute(select(collection.c.name).where(collection.c.id == collection_id)).scalar_one()
    return IndexingJob(
        id=job,
        collection=name,
        documents=len(rows),
        ready=sum(row.state == "ready" for row in rows),
        failed=sum(row.state == "failed" for row in rows),
        done=sum(row.done for row in rows),
        total=sum(row.total for row in rows),
        errors=tuple(f"{row.key}: {row.error}" for row in rows if row.error),
    )


def _touch(connection: Connection, collection_id: int) -> None:
    change = update(collection).where(collection.c.id == collection_id)
    connection.execute(change.values(revision=collection.c.revision + 1))


def _same(claimed: ClaimedDocument) -> tuple[Any, ...]:
    """Return the conditions of a document that was not replaced since it was claimed."""
    return document.c.id == claimed.id, document.c.digest == claimed.digest


def _is_published() -> Any:
    return chunk.c.id.in_(select(chunk_vector.c.chunk_id).where(chunk_vector.c.collection_id.is_not(None)))


def _published() -> Select[Any]:
    """Return a query of the chunks that searches find.

    The vector of each chunk is looked up by its id: with a join, PostgreSQL may look for each chunk among all vectors
    of the collection instead, whose number it does not know soon after they were stored.
    """
    published = select(chunk_vector.c.collection_id).where(chunk_vector.c.chunk_id == chunk.c.id).scalar_subquery()
    return (
        select(chunk).join(document, document.c.id == chunk.c.document_id).where(published == document.c.collection_id)
    )


def _claim(connection: Connection, *, now: int, until: int, after: str) -> ClaimedDocument | None:
    query = (
        select(document)
        .where(document.c.state.in_(("waiting", "indexing")), lease_ended(document.c.leased_until, now))
        .order_by(document.c.changed_by <= after, document.c.changed_by, document.c.changed_at, document.c.id)
        .limit(1)
    )
    if connection.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True)
    row = connection.execute(query).first()
    if row is None:
        return None
    change = update(document).where(document.c.id == row.id)
    connection.execute(change.values(state="indexing", leased_until=until, error=None))
    content = bytes(row.content or b"")
    return ClaimedDocument(row.id, row.collection_id, row.title, row.kind, row.digest, content, row.changed_by)


def _begin(connection: Connection, claimed: ClaimedDocument, total: int) -> int:
    own = chunk.c.document_id == claimed.id
    connection.execute(delete(chunk).where(own, chunk.c.digest != claimed.digest, ~_is_published()))
    stored = connection.execute(
        select(func.count()).select_from(chunk).where(own, chunk.c.digest == claimed.digest)
    ).scalar_one()
    connection.execute(update(document).where(*_same(claimed)).values(total=total, done=stored))
    return int(stored)


def _chunk_row(claimed: ClaimedDocument, item: TextChunk) -> Row:
    return {
        "document_id": claimed.id,
        "digest": claimed.digest,
        "number": item.number,
        "heading": storable(item.heading),
        "page": item.page,
        "first_line": item.first_line,
        "last_line": item.last_line,
        "tokens": item.tokens,
        "text": storable(item.text),
        "words": storable(words.words_of(f"{claimed.title} {item.heading} {item.text}")),
    }


def _text_chunk(row: Any) -> TextChunk:
    return TextChunk(row.number, row.text, row.heading, row.page, row.first_line, row.last_line, row.tokens)


def _found_chunk(row: Any) -> FoundChunk:
    return FoundChunk(
        collection=row.name,
        document=row.key,
        title=row.title,
        chunk_id=row.id,
        chunk=_text_chunk(row),
        score=0.0,
        similarity=0.0,
        metadata=row.details,
    )
