"""The tables of collections, documents, chunks and vectors."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field

from herding.store.tables import Base, row_id


class CollectionRow(Base, table=True):
    """A named set of documents. `dimensions` is the length of its vectors, null before the first one.

    `revision` grows with every change of what can be found.
    """

    __tablename__ = "collection"
    __table_args__ = (UniqueConstraint("name"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True, sa_type=row_id)
    name: str
    description: str
    embedding_model: str
    chunk_tokens: int
    overlap_tokens: int
    dimensions: int | None
    revision: int
    created_at: int = Field(sa_type=BigInteger)
    created_by: str


class DocumentRow(Base, table=True):
    """A document and the state of its indexing.

    `key` is its name in the collection, `digest` a hash of all that is indexed. `content` is what is still to be
    indexed, null afterwards. Only the process that holds the lease until `leased_until` indexes it.
    """

    __tablename__ = "document"
    __table_args__ = (
        UniqueConstraint("collection_id", "key"),
        Index("ix_document_state", "state", "changed_at"),
        Index("ix_document_job", "job"),
    )

    id: str = Field(primary_key=True)
    collection_id: int = Field(foreign_key="collection.id", ondelete="CASCADE", sa_type=row_id)
    key: str
    title: str
    kind: str
    digest: str
    state: str
    job: str
    error: str | None
    size: int
    chunks: int
    done: int
    total: int
    changed_at: int = Field(sa_type=BigInteger)
    changed_by: str
    leased_until: int = Field(sa_type=BigInteger)
    details: Any = Field(sa_type=JSON)
    content: bytes | None = Field(sa_type=LargeBinary)


class DocumentTagRow(Base, table=True):
    """One value of a document's metadata as JSON, for filters."""

    __tablename__ = "document_tag"
    __table_args__ = ({"sqlite_with_rowid": False},)

    document_id: str = Field(primary_key=True, foreign_key="document.id", ondelete="CASCADE")
    name: str = Field(primary_key=True)
    value: str


class ChunkRow(Base, table=True):
    """A piece of a document. `words` is its text as the word search reads it. Lines and pages count from 1."""

    __tablename__ = "chunk"
    __table_args__ = (Index("ix_chunk_document_id", "document_id", "number"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True, sa_type=row_id)
    document_id: str = Field(foreign_key="document.id", ondelete="CASCADE")
    digest: str
    number: int
    heading: str
    page: int | None
    first_line: int | None
    last_line: int | None
    tokens: int
    text: str = Field(sa_type=Text)
    words: str = Field(sa_type=Text)


class ChunkVectorRow(Base, table=True):
    """The vector of a chunk, of length 1, as 32-bit floats. `collection_id` is null until its document is complete."""

    __tablename__ = "chunk_vector"
    __table_args__ = (Index("ix_chunk_vector_collection_id", "collection_id"),)

    chunk_id: int = Field(primary_key=True, sa_type=row_id, foreign_key="chunk.id", ondelete="CASCADE")
    collection_id: int | None = Field(sa_type=row_id)
    vector: bytes = Field(sa_type=LargeBinary)


collection = Base.metadata.tables["collection"]
document = Base.metadata.tables["document"]
document_tag = Base.metadata.tables["document_tag"]
chunk = Base.metadata.tables["chunk"]
chunk_vector = Base.metadata.tables["chunk_vector"]
