"""Documents on their way into a collection: their kinds, their limits, and the hash that tells them apart."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from herding.errors import UserError
from herding.plugins import hookimpl
from herding.store import Store
from herding.values import Collection, IndexingJob, NewDocument, new_id

MAX_DOCUMENT_BYTES = 16_000_000
MAX_DOCUMENTS = 1_000
"""Documents that are added at once."""

MAX_METADATA = 50
MAX_METADATA_TEXT = 1_000

_READERS = "herding.knowledge.parsing.formats"
"""The module of the readers, which only the child process imports."""

_BUILT_IN = {
    "txt": f"{_READERS}:read_text",
    "md": f"{_READERS}:read_markdown",
    "html": f"{_READERS}:read_html",
    "pdf": f"{_READERS}:read_pdf",
    "docx": f"{_READERS}:read_docx",
    "csv": f"{_READERS}:read_csv",
    "py": f"{_READERS}:read_python",
}
KINDS = tuple(_BUILT_IN)
"""The kinds of documents that this package reads."""

_ENDINGS = {
    **{f".{kind}": kind for kind in KINDS},
    **dict.fromkeys((".text", ".log", ".rst", ".yaml", ".yml", ".json", ".toml", ".ini", ".cfg"), "txt"),
    **dict.fromkeys((".markdown", ".mdown"), "md"),
    **dict.fromkeys((".htm", ".xhtml"), "html"),
    **dict.fromkeys((".tsv",), "csv"),
    **dict.fromkeys((".pyi", ".pyw"), "py"),
}


class BuiltInLoaders:
    """The readers of documents of this package, as a plugin like any other."""

    @hookimpl
    def herding_document_loaders(self) -> dict[str, str]:
        """Return the readers by the ending of file names."""
        return {ending.removeprefix("."): _BUILT_IN[kind] for ending, kind in _ENDINGS.items()}


_LOADERS = dict(_BUILT_IN)


def register_loaders(loaders: Mapping[str, str]) -> None:
    """Read the kinds of documents that loaders are registered for, by the ending of file names.

    Each is a `module:function`. Endings of one kind, such as htm and html, are that kind.
    """
    _LOADERS.clear()
    _LOADERS.update({kind: loader for kind, loader in loaders.items() if _ENDINGS.get(f".{kind}", kind) == kind})


def loader_of(kind: str) -> str | None:
    """Return the loader of a kind, None for one that is not read any more."""
    return _LOADERS.get(kind)


def kinds() -> tuple[str, ...]:
    """Return the kinds of documents that are read, those of plugins last."""
    return tuple(_LOADERS)


async def add_documents(
    store: Store, collection: Collection, documents: Sequence[NewDocument], *, changed_by: str, now: int
) -> IndexingJob:
    """Add documents, or replace those of the same key, and return the job that indexes them.

    Raises UserError for documents that are refused, before any is added.
    """
    if not 0 < len(documents) <= MAX_DOCUMENTS:
        raise UserError(f"Send 1 to {MAX_DOCUMENTS:,} documents.", param="documents")
    for place, document in enumerate(documents):
        check_document(document, f"documents.{place}")
    job = new_id()
    rows = [(new_id(), await asyncio.to_thread(_digest, document), document) for document in documents]
    result = await store.add_documents(collection.id, rows, job=job, who=changed_by, now=now)
    return IndexingJob(job, collection.name, len(set(result.added)), 0, 0, unchanged=len(result.unchanged))


def kind_of(name: str) -> str | None:
    """Return the kind of a document by the ending of its name; None for one that is not read."""
    suffix = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    return _ENDINGS.get(suffix) or (suffix[1:] if suffix[1:] in _LOADERS else None)


def read_document(path: Path, key: str) -> NewDocument:
    """Return a file as a document. Raise UserError with the reason for one that can't be. Blocks."""
    kind = kind_of(key)
    if kind is None:
        raise UserError("this kind is not read")
    try:
        size = path.stat().st_size
        if not 0 < size <= MAX_DOCUMENT_BYTES:
            raise UserError(f"{size:,} bytes (1 to {MAX_DOCUMENT_BYTES:,})")
        document = NewDocument(key, key, kind, path.read_bytes())
    except OSError as error:
        raise UserError(error.strerror or str(error)) from None
    check_document(document, "documents")
    return document


def uploaded_document(
    filename: str | None, content: bytes, *, param: str, metadata: Mapping[str, Any] | None = None
) -> NewDocument:
    """Return an uploaded file as a document. Raise UserError, of the field `param`, for a kind that is not read."""
    name = (filename or "").replace("\\", "/").strip("/")
    kind = kind_of(name)
    if kind is None:
        message = f"'{name[:100]}' is of a kind that is not read. Use one of: {', '.join(kinds())}."
        raise UserError(message, param=param)
    return NewDocument(name, name, kind, content, dict(metadata or {}))


def check_document(document: NewDocument, param: str) -> None:
    """Raise UserError for a document that is refused as it stands, with the field `param`."""
    key = document.key
    if not key.strip() or len(key) > 500 or not key.isprintable():
        raise UserError("The ID of a document has 1 to 500 printable characters.", param=param)
    if document.kind not in kinds():
        message = f"'{key[:100]}' is of a kind that is not read. Use one of: {', '.join(kinds())}."
        raise UserError(message, param=param)
    if len(document.content) > MAX_DOCUMENT_BYTES:
        message = f"'{key[:100]}' has {len(document.content):,} bytes (max {MAX_DOCUMENT_BYTES:,}). Split it."
        raise UserError(message, param=param)
    if not document.content:
        raise UserError(f"'{key[:100]}' is empty.", param=param)
    _check_metadata(document.metadata, param)


def _check_metadata(metadata: Mapping[str, Any], param: str) -> None:
    if len(metadata) > MAX_METADATA:
        raise UserError(f"A document has at most {MAX_METADATA} values of metadata.", param=param)
    for name, value in metadata.items():
        if len(name) > 100 or not _is_metadata(value):
            message = (
                f"The metadata '{name[:100]}' must be a text of at most 1,000 characters, a number, or true or false."
            )
            raise UserError(message, param=param)


def _is_metadata(value: object) -> bool:
    """Return whether a value is stored and compared alike by all databases."""
    if isinstance(value, str):
        return len(value) <= MAX_METADATA_TEXT
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and abs(value) < 2**63


def _digest(document: NewDocument) -> str:
    """Return a hash of all that is indexed of a document."""
    metadata = orjson.dumps(dict(document.metadata), option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    title = document.title.encode() if document.kind == "py" else b""  # the names of definitions begin with it
    return sha256(b"\0".join((document.kind.encode(), title, metadata, document.content))).hexdigest()
