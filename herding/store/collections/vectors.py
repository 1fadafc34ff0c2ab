"""Nearest vectors: one interface, three ways: sqlite-vec, pgvector, and NumPy where neither is there.

All three compare a question with every vector of its collection, so they find the same. The bytes of the vectors are in
the table `chunk_vector` for all of them.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError

from herding.store.collections.tables import chunk, chunk_vector, collection
from herding.store.collections.words import filtered

VectorStore = Literal["auto", "sqlite-vec", "pgvector", "numpy"]

CACHED_COLLECTIONS = 8

_CACHE_KIB = 48 * 1024
"""Pages that a connection keeps, so that a query of 20,000 vectors reads them from memory."""

_log = logging.getLogger(__name__)

Hit = tuple[int, float]
"""A chunk and the cosine of the angle between its vector and the question's."""


class VectorSearch(ABC):
    """Finds the nearest vectors. Every method gets the connection of a transaction and blocks."""

    name: ClassVar[str]

    @abstractmethod
    def nearest(
        self, connection: Connection, collection_id: int, vector: bytes, *, count: int, documents: Sequence[str] | None
    ) -> list[Hit]:
        """Return the `count` nearest chunks of a collection, nearest first; only of `documents` if given."""

    def added(self, connection: Connection, chunk_ids: Sequence[int]) -> None:  # noqa: B027 (optional)
        """Follow an insert into `chunk_vector`."""

    def published(self, connection: Connection, document_id: str) -> None:  # noqa: B027 (optional)
        """Follow the change of the collection of a document's vectors."""


class SqliteVec(VectorSearch):
    """Compares in SQLite, with the extension sqlite-vec.

    The vectors stay in an ordinary table: a virtual table of the extension is twice as fast, but keeps the numbers of
    deleted rows in its pages.
    """

    name = "sqlite-vec"
    _QUERY = (
        "SELECT chunk_vector.chunk_id, vec_distance_cosine(chunk_vector.vector, :vector) AS distance FROM chunk_vector "
        "WHERE chunk_vector.collection_id = :collection {filter} ORDER BY distance, chunk_vector.chunk_id LIMIT :count"
    )

    @classmethod
    def find(cls, connection: Connection) -> SqliteVec | None:
        """Return the search, or None where the extension can't be loaded."""
        try:
            cls._load(connection)
        except Exception as error:  # noqa: BLE001  the driver may have no extensions, and the file may not fit
            _log.info("sqlite-vec is not available (%s): vectors are compared with NumPy", error)
            return None
        return cls()

    @staticmethod
    def _load(connection: Connection) -> None:
        if connection.info.get("sqlite-vec"):
            return
        import sqlite_vec  # only where collections are used

        driver: Any = connection.connection.driver_connection
        driver.enable_load_extension(True)
        try:
            sqlite_vec.load(driver)
        finally:
            driver.enable_load_extension(False)
        driver.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.info["sqlite-vec"] = True

    def nearest(
        self, connection: Connection, collection_id: int, vector: bytes, *, count: int, documents: Sequence[str] | None
    ) -> list[Hit]:
        self._load(connection)
        parameters = {"vector": vector, "collection": collection_id, "count": count}
        rows = connection.execute(*filtered(self._QUERY, parameters, documents))
        return [(row.chunk_id, 1 - row.distance) for row in rows]


class PgVector(VectorSearch):
    """Compares in PostgreSQL, with the extension pgvector; its column is beside the bytes, in a table of its own."""

    name = "pgvector"
    _QUERY = (
        "SELECT chunk_vector.chunk_id, chunk_vector.embedding <=> CAST(:vector AS vector) AS distance "
        "FROM chunk_pgvector AS chunk_vector "
        "WHERE chunk_vector.collection_id = :collection {filter} ORDER BY distance, chunk_vector.chunk_id LIMIT :count"
    )
    _TABLE = (
        "CREATE TABLE IF NOT EXISTS chunk_pgvector (chunk_id bigint PRIMARY KEY "
        "REFERENCES chunk_vector (chunk_id) ON DELETE CASCADE, collection_id bigint, embedding vector NOT NULL)"
    )
    _INDEX = "CREATE INDEX IF NOT EXISTS ix_chunk_pgvector_collection_id ON chunk_pgvector (collection_id)"

    @classmethod
    def find(cls, connection: Connection) -> PgVector | None:
        """Create what is missing and return the search, or None where the server has no pgvector."""
        offered = "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'"
        if not connection.exec_driver_sql(offered).scalar_one():
            _log.info("pgvector is not installed on the database server: vectors are compared with NumPy")
            return None
        try:
            with connection.begin_nested():
                for statement in ("CREATE EXTENSION IF NOT EXISTS vector", cls._TABLE, cls._INDEX):
                    connection.exec_driver_sql(statement)
        except DBAPIError as error:
            reason = str(error.orig).strip().partition("\n")[0]
            _log.warning(
                "pgvector is not enabled (%s): vectors are compared with NumPy. Have an administrator run CREATE "
                "EXTENSION vector, and restart.",
                reason,
            )
            return None
        found = cls()
        found._fill(connection)
        return found

    def _fill(self, connection: Connection) -> None:
        """Add the vectors that were stored before the server had the extension."""
        missing = text(
            "SELECT chunk_id FROM chunk_vector WHERE NOT EXISTS "
            "(SELECT 1 FROM chunk_pgvector AS known WHERE known.chunk_id = chunk_vector.chunk_id)"
        )
        self.added(connection, list(connection.execute(missing).scalars()))

    def added(self, connection: Connection, chunk_ids: Sequence[int]) -> None:
        if not chunk_ids:
            return
        rows = connection.execute(select(chunk_vector).where(chunk_vector.c.chunk_id.in_(chunk_ids))).all()
        values = [
            {"chunk_id": row.chunk_id, "collection_id": row.collection_id, "embedding": _written(row.vector)}
            for row in rows
        ]
        statement = "INSERT INTO chunk_pgvector VALUES (:chunk_id, :collection_id, CAST(:embedding AS vector))"
        connection.execute(text(statement), values)

    def published(self, connection: Connection, document_id: str) -> None:
        statement = text(
            "UPDATE chunk_pgvector SET collection_id = chunk_vector.collection_id FROM chunk_vector, chunk "
            "WHERE chunk_vector.chunk_id = chunk_pgvector.chunk_id AND chunk.id = chunk_vector.chunk_id "
            "AND chunk.document_id = :document"
        )
        connection.execute(statement, {"document": document_id})

    def nearest(
        self, connection: Connection, collection_id: int, vector: bytes, *, count: int, documents: Sequence[str] | None
    ) -> list[Hit]:
        parameters = {"vector": _written(vector), "collection": collection_id, "count": count}
        rows = connection.execute(*filtered(self._QUERY, parameters, documents))
        return [(row.chunk_id, 1 - row.distance) for row in rows]


def _written(vector: bytes) -> str:
    """Return a vector as pgvector reads it."""
    import numpy as np

    return "[" + ",".join(map(repr, np.frombuffer(vector, "<f4").tolist())) + "]"


class NumpySearch(VectorSearch):
    """Compares in this process; the vectors of the last collections stay in memory until one of them changes."""

    name = "numpy"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cache: OrderedDict[int, tuple[int, Any, Any]] = OrderedDict()

    def nearest(
        self, connection: Connection, collection_id: int, vector: bytes, *, count: int, documents: Sequence[str] | None
    ) -> list[Hit]:
        import numpy as np

        ids, matrix = self._vectors(connection, collection_id)
        if documents is not None:
            chosen = select(chunk.c.id).where(chunk.c.document_id.in_(documents))
            kept = np.isin(ids, np.fromiter(connection.execute(chosen).scalars(), np.int64))
            ids, matrix = ids[kept], matrix[kept]
        if not len(ids):
            return []
        cosines = matrix @ np.frombuffer(vector, "<f4")
        best = np.argpartition(-cosines, min(count, len(ids)) - 1)[:count]
        order = best[np.lexsort((ids[best], -cosines[best]))]
        return [(int(ids[place]), float(cosines[place])) for place in order]

    def _vectors(self, connection: Connection, collection_id: int) -> tuple[Any, Any]:
        """Return the chunks of a collection and the matrix of their vectors."""
        import numpy as np

        query = select(collection.c.revision).where(collection.c.id == collection_id)
        revision = connection.execute(query).scalar_one()
        with self._lock:
            cached = self._cache.get(collection_id)
            if cached and cached[0] == revision:
                self._cache.move_to_end(collection_id)
                return cached[1], cached[2]
        rows = connection.execute(
            select(chunk_vector.c.chunk_id, chunk_vector.c.vector).where(chunk_vector.c.collection_id == collection_id)
        ).all()
        ids = np.array([row.chunk_id for row in rows], np.int64)
        matrix = np.frombuffer(b"".join(row.vector for row in rows), "<f4").reshape(len(rows), -1 if rows else 0)
        with self._lock:
            self._cache[collection_id] = (revision, ids, matrix)
            while len(self._cache) > CACHED_COLLECTIONS:
                self._cache.popitem(last=False)
        return ids, matrix


def choose(connection: Connection, wanted: VectorStore) -> VectorSearch:
    """Return the wanted search, or the best one that this database has."""
    is_sqlite = connection.dialect.name == "sqlite"
    if wanted in ("auto", "sqlite-vec") and is_sqlite and (found := SqliteVec.find(connection)):
        return found
    if wanted in ("auto", "pgvector") and not is_sqlite and (postgres := PgVector.find(connection)):
        return postgres
    return NumpySearch()
