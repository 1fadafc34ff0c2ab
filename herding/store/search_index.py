"""The index of the history's texts: which texts of a request are searched, and how they get into the index.

A request that ends is queued in its own transaction. Its texts follow within a second, so that no caller waits for
the index; the search reads queued requests themselves, so nothing is missed meanwhile.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Select, Text, UpdateBase, cast, delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError

from herding.store.rows import Row, storable
from herding.store.tables import comment, insert_into, request, search_queue, search_text

BATCH = 200
"""Requests that one transaction adds to the index at most; rows of new requests wait behind it."""

BATCH_CHARS = 50_000
"""Characters of requests after which a transaction takes no further one: it takes some 10 ms then, 50 ms at most."""

MAX_CHARS = 500_000
"""Characters of one request that are searched. Of longer ones, each text is searched from its beginning."""

LOCK = 0x73656172
"""A number to lock, so that one process at a time gives out document numbers."""

COMPARED = 100
"""Further texts of a request that are left out if its other texts contain them."""

SEPARATOR = "\x1f"
"""Stands between the texts of a request, so that no match spans two of them."""

_BUCKET_BITS = 24
BUCKET: int = 2**_BUCKET_BITS
"""Document numbers of one minute."""

_LAST_BUCKET: int = 2**38 - 1
_MINUTE = 60_000

_TEXTS = select(
    *(request.c.id, request.c.created_at, request.c.input, request.c.answer, request.c.error),
    # As text: in most rows there is nothing in it to read.
    *(cast(request.c.response, Text), cast(request.c.variables, Text)),
)
"""The columns of a request that its document is made of."""

_LENGTH = func.coalesce(func.length(request.c.input), 0) + func.coalesce(func.length(request.c.answer), 0)

_log = logging.getLogger(__name__)

_SQLITE = (
    # The texts are folded already. Documents without positions: a third of the size, and the search reads the text.
    "CREATE VIRTUAL TABLE search_index USING fts5(text, content='search_text', content_rowid='doc', "
    "tokenize='trigram case_sensitive 1', detail='none', columnsize=0)",
    "CREATE VIRTUAL TABLE search_terms USING fts5vocab('search_index', 'row')",
    "CREATE TRIGGER search_text_added AFTER INSERT ON search_text BEGIN "
    "INSERT INTO search_index (rowid, text) VALUES (new.doc, new.text); END",
    "CREATE TRIGGER search_text_deleted AFTER DELETE ON search_text BEGIN "
    "INSERT INTO search_index (search_index, rowid, text) VALUES ('delete', old.doc, old.text); END",
    "CREATE TRIGGER search_text_changed AFTER UPDATE ON search_text BEGIN "
    "INSERT INTO search_index (search_index, rowid, text) VALUES ('delete', old.doc, old.text); "
    "INSERT INTO search_index (rowid, text) VALUES (new.doc, new.text); END",
    "INSERT INTO search_index (search_index) VALUES ('rebuild')",
)
_POSTGRES = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX ix_search_text_trigrams ON search_text USING gin (text gin_trgm_ops)",
)


def exists(connection: Connection) -> bool:
    """Return whether the database has the index."""
    if connection.dialect.name == "sqlite":
        query = "SELECT count(*) FROM sqlite_master WHERE name = 'search_terms'"
    else:
        query = "SELECT count(to_regclass('ix_search_text_trigrams'))"
    return bool(connection.exec_driver_sql(query).scalar_one())


def prepare(connection: Connection) -> None:
    """Create the index if there is none. Where the database cannot have one, say so: the search is then slower."""
    if exists(connection):
        return
    try:
        with connection.begin_nested():
            for statement in _SQLITE if connection.dialect.name == "sqlite" else _POSTGRES:
                connection.exec_driver_sql(statement)
    except DBAPIError as error:
        _log.warning(
            "Text search reads all requests, which is slow in a long history: the database has no index of trigrams "
            "(%s). On PostgreSQL, have an administrator run CREATE EXTENSION pg_trgm, and restart.",
            str(error.orig).strip().partition("\n")[0],
        )


def enqueue(dialect: str) -> UpdateBase:
    """Return the statement that queues a request; it takes rows of `request_id`."""
    statement: UpdateBase = insert_into(dialect, search_queue).on_conflict_do_nothing()
    return statement


def enqueue_from(connection: Connection, ids: Select[tuple[str]]) -> None:
    """Queue the requests that a query selects."""
    statement = insert_into(connection.dialect.name, search_queue).from_select(["request_id"], ids)
    connection.execute(statement.on_conflict_do_nothing())


def is_queued(connection: Connection) -> bool:
    """Return whether the texts of any request are to be added."""
    return connection.execute(select(search_queue.c.request_id).limit(1)).first() is not None


def index_batch(connection: Connection) -> int:
    """Add the texts of up to BATCH queued requests to the index, newest first; return their number."""
    queued = select(search_queue.c.request_id, _LENGTH).order_by(search_queue.c.request_id.desc()).limit(BATCH)
    queued = queued.join(request, request.c.id == search_queue.c.request_id, isouter=True)
    ids, chars = list[str](), 0
    for request_id, length in connection.execute(queued.with_for_update(skip_locked=True, of=search_queue)):
        chars += length
        if ids and chars > BATCH_CHARS:
            break
        ids.append(request_id)
    if not ids:
        return 0
    connection.execute(delete(search_queue).where(search_queue.c.request_id.in_(ids)))
    found = documents(connection, ids)
    known = select(search_text.c.request_id, search_text.c.doc).where(search_text.c.request_id.in_(found))
    old = {row.request_id: row.doc for row in connection.execute(known)}
    for request_id, doc in old.items():
        text = found[request_id][1]
        connection.execute(update(search_text).where(search_text.c.doc == doc).values(text=text))
    new = [(created_at, request_id, text) for request_id, (created_at, text) in found.items() if request_id not in old]
    if new:
        connection.execute(insert(search_text), _numbered(connection, sorted(new)))
    return len(ids)


def remove(connection: Connection, ids: Sequence[str]) -> None:
    """Remove the texts of requests; `sqlite.purge` then removes the last traces of them from the index."""
    # The queue first: this waits for another process that is adding the texts of one of them just now.
    connection.execute(delete(search_queue).where(search_queue.c.request_id.in_(ids)))
    connection.execute(delete(search_text).where(search_text.c.request_id.in_(ids)))


def documents(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Return the time of creation and the document of requests, by id; without those that are gone."""
    comments: dict[str, list[str]] = defaultdict(list)
    written = select(comment.c.request_id, comment.c.text).where(comment.c.request_id.in_(ids))
    for request_id, text in connection.execute(written.order_by(comment.c.request_id, comment.c.principal)):
        comments[request_id].append(text)
    rows = connection.execute(_TEXTS.where(request.c.id.in_(ids)))
    return {
        request_id: (created_at, _document([*_messages(asked), answer, error, *comments[request_id]], response, given))
        for request_id, created_at, asked, answer, error, response, given in rows
    }


def _document(texts: Sequence[str | None], response: str | None, variables: str) -> str:
    """Return the texts of a request as one: input, answer, error, comments, what else is in response and variables.

    Of messages, it has the texts as they are read, not as JSON writes them. It ends with two separators, so that each
    character begins a trigram.
    """
    own = [fold(text) for text in texts if text]
    folded = SEPARATOR.join(own)
    more = dict.fromkeys(map(fold, (*_texts_in(_read(response), named=False), *_texts_in(_read(variables)))))
    # Most are in the other texts already; of many, such as log probabilities, nobody could wait for the comparison.
    new = more if len(more) > COMPARED else [one for one in more if one not in folded]
    return f"{SEPARATOR.join(_shortened([*own, *new]))}{SEPARATOR}{SEPARATOR}"


def _shortened(texts: list[str]) -> list[str]:
    """Return the texts with MAX_CHARS characters at most, all as long as they are or as the longest that fits."""
    left = MAX_CHARS
    for number, length in enumerate(sorted(map(len, texts))):
        share = left // (len(texts) - number)
        if length > share:
            return [text[:share] for text in texts]
        left -= length
    return texts


def _read(stored: str | None) -> Any:
    """Return what a column of JSON has, None for nothing."""
    return None if stored in (None, "null", "{}") else json.loads(stored)


def fold(text: str) -> str:
    """Return a text without differences of case, as both databases store it."""
    return str(storable(text)).casefold()


def _messages(text: str) -> list[str]:
    """Return the texts of messages that are written as JSON; another input is the text itself."""
    if text.startswith("[{"):
        with suppress(ValueError):
            return [one for message in json.loads(text) for one in _texts_in(message, named=False)]
    return [text]


def _texts_in(value: Any, *, named: bool = True) -> Iterator[str]:
    """Iterate over the names and values in JSON data, or only over the texts in it; data of files is left out."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if named:
                yield str(name)
            if named or name not in ("role", "type"):
                yield from _texts_in(item, named=named)
    elif isinstance(value, list):
        for item in value:
            yield from _texts_in(item, named=named)
    elif isinstance(value, str):
        if not value.startswith("data:"):
            yield value
    elif named and value is not None:
        yield str(value).lower()


def _numbered(connection: Connection, new: Sequence[tuple[int, str, str]]) -> list[Row]:
    """Return the rows of new documents, which come in order of time: each minute has a range of numbers."""
    rows: list[Row] = []
    following: dict[int, int] = {}
    for created_at, request_id, text in new:
        first = _bucket(created_at) * BUCKET
        if first not in following:
            own = search_text.c.doc.between(first, first + BUCKET - 1)
            last = connection.execute(select(func.max(search_text.c.doc)).where(own)).scalar()
            following[first] = first if last is None else last + 1
        rows.append({"doc": following[first], "request_id": request_id, "text": text})
        following[first] += 1
    return rows


def after(created_at: int) -> int:
    """Return the document number after all of the minute of an instant (Unix milliseconds)."""
    return (_bucket(created_at) + 1) * BUCKET


def start(doc: int) -> int:
    """Return the first document number of the minute of a document."""
    return doc // BUCKET * BUCKET


def begin(doc: int) -> int:
    """Return the begin of the minute of a document number, in Unix milliseconds."""
    return doc // BUCKET * _MINUTE


def _bucket(created_at: int) -> int:
    return min(max(created_at // _MINUTE, 0), _LAST_BUCKET)
