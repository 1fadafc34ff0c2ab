"""Collections of documents, their chunks, and what a search finds in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

DocumentState = Literal["waiting", "indexing", "ready", "failed"]

MetadataValue = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set of documents that can be searched.

    `chunk_tokens` is the most that a chunk has, `overlap_tokens` what it repeats of the one before. The counts are of
    documents by state and of the chunks that a search finds.
    """

    name: str
    embedding_model: str
    description: str = ""
    chunk_tokens: int = 220
    overlap_tokens: int = 40
    created_at: int = 0
    created_by: str = ""
    dimensions: int | None = None
    revision: int = 0
    documents: int = 0
    waiting: int = 0
    failed: int = 0
    chunks: int = 0
    id: int = 0


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to add. `key` is its name in the collection: a document of the same name is replaced."""

    key: str
    title: str
    kind: str
    content: bytes
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """A document of a collection. `done` of its `total` chunks are indexed; `error` says why it is not."""

    id: str
    key: str
    title: str
    kind: str
    state: DocumentState
    size: int
    chunks: int
    done: int
    total: int
    changed_at: int
    changed_by: str
    job: str
    error: str | None = None
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IndexingJob:
    """The documents that were added together, by state, and their chunks."""

    id: str
    collection: str
    documents: int
    ready: int
    failed: int
    unchanged: int = 0
    done: int = 0
    total: int = 0
    errors: tuple[str, ...] = ()

    @property
    def state(self) -> Literal["running", "ready", "failed"]:
        """`failed` where at least one document could not be indexed."""
        if self.ready + self.failed < self.documents:
            return "running"
        return "failed" if self.failed else "ready"


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A piece of a document. `heading` is the path of headings, or the name of a definition; lines count from 1."""

    number: int
    text: str
    heading: str = ""
    page: int | None = None
    first_line: int | None = None
    last_line: int | None = None
    tokens: int = 0

    @property
    def place(self) -> str:
        """Where the chunk is in its document, in words."""
        parts = [self.heading] if self.heading else []
        if self.page is not None:
            parts.append(f"page {self.page}")
        elif self.first_line is not None:
            last = self.last_line or self.first_line
            lines = f"line {self.first_line}" if last == self.first_line else f"lines {self.first_line}-{last}"
            parts.append(lines)
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class FoundChunk:
    """A chunk that a search found.

    `score` orders the results of one search, 1 for a chunk that is first by meaning and by words, or that of the model
    `reranker`; `similarity` is that of its vector to the question's, at most 1.
    """

    collection: str
    document: str
    title: str
    chunk_id: int
    chunk: TextChunk
    score: float
    similarity: float
    metadata: Mapping[str, Any] = field(default_factory=dict)
    reranker: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A chunk that a request was given, as its response and its row name it. `number` is that in the text, from 1.

    `score` is the similarity of the chunk to the question, or the score of the model `reranker` where one is named.
    `edited` means that a person changed its text for this request.
    """

    number: int
    collection: str
    document: str
    title: str
    chunk: int
    place: str
    score: float
    text: str
    tokens: int = 0
    edited: bool = False
    reranker: str | None = None


@dataclass(frozen=True, slots=True)
class ContextChunk:
    """A chunk that a request brings along for the retrieval of its prompt, with the text to use."""

    chunk: int
    text: str
