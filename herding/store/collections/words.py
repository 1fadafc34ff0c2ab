"""The word search: which words a text has, the index of both databases, and the order of what is found."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text

MAX_QUERY_WORDS = 40
CANDIDATES = 60
"""Chunks that the database's own order picks, before they are ranked here in the same way for all databases."""

_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MAX_WORD = 60

_STOP_WORDS = (
    "a an and are as at be by can do does for from has have how i if in into is it its me my of on or that the their "
    "there this to was what when where which who why will with you your"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words of questions that say nothing about what is looked for."""

_SQLITE = (
    "CREATE VIRTUAL TABLE chunk_index USING fts5(words, content='chunk', content_rowid='id', "
    "tokenize='unicode61 remove_diacritics 0')",
    "CREATE TRIGGER chunk_added AFTER INSERT ON chunk BEGIN "
    "INSERT INTO chunk_index (rowid, words) VALUES (new.id, new.words); END",
    "CREATE TRIGGER chunk_deleted AFTER DELETE ON chunk BEGIN "
    "INSERT INTO chunk_index (chunk_index, rowid, words) VALUES ('delete', old.id, old.words); END",
    "INSERT INTO chunk_index (chunk_index) VALUES ('rebuild')",
)
_POSTGRES = (
    # Stored, since the order of what is found would compute it for each chunk again.
    "ALTER TABLE chunk ADD COLUMN IF NOT EXISTS lexemes tsvector "
    "GENERATED ALWAYS AS (to_tsvector('simple', words)) STORED",
    "CREATE INDEX ix_chunk_lexemes ON chunk USING gin (lexemes) WITH (fastupdate = off)",
)
_POSTGRES_TUNED = (
    "SELECT coalesce('fastupdate=off' = ANY (reloptions), false) FROM pg_class WHERE relname = 'ix_chunk_lexemes'"
)
_POSTGRES_TUNING = (
    # Else each query reads all that was added since the last vacuum, word by word.
    "ALTER INDEX ix_chunk_lexemes SET (fastupdate = off)",
    "SELECT gin_clean_pending_list('ix_chunk_lexemes')",
)

_FIND_SQLITE = (
    "SELECT chunk_index.rowid FROM chunk_index JOIN chunk_vector ON chunk_vector.chunk_id = chunk_index.rowid "
    "WHERE chunk_index MATCH :query AND chunk_vector.collection_id = :collection {filter} "
    "ORDER BY bm25(chunk_index), chunk_index.rowid LIMIT :count"
)
_FIND_POSTGRES = """
WITH hit AS MATERIALIZED (
    SELECT asked.word, chunk.id, chunk.document_id FROM unnest(CAST(:query AS text[])) AS asked (word)
    JOIN chunk ON chunk.lexemes @@ to_tsquery('simple', asked.word)
), kept AS MATERIALIZED (
    SELECT hit.word, hit.id FROM hit JOIN document ON document.id = hit.document_id
    WHERE document.collection_id = :collection AND (document.state = 'ready'
    OR (SELECT collection_id FROM chunk_vector WHERE chunk_id = hit.id) IS NOT NULL) {hit.filter}
), rarity AS MATERIALIZED (
    SELECT word, ln(1 + (SELECT greatest(sum(total), 1) FROM document WHERE collection_id = :collection)
    / CAST(count(*) AS float)) AS weight FROM kept GROUP BY word
)
SELECT kept.id FROM kept JOIN rarity ON rarity.word = kept.word
GROUP BY kept.id ORDER BY sum(rarity.weight) DESC, kept.id LIMIT :count
"""
"""Adds up the rarity of the words that a chunk has, which the index tells without reading the chunks' lexemes: ranking
by them (`ts_rank`) takes ten times as long."""


def words_of(value: str) -> str:
    """Return the words of a text in lower case, parted by spaces; parts of names are words of their own.

    `getUserName` and `get_user_name` have the same words.
    """
    found = (_HUMP.sub(" ", word) for word in _WORD.findall(value))
    return " ".join(word[:_MAX_WORD] for word in " ".join(found).casefold().split())


def query_words(question: str) -> list[str]:
    """Return the words of a question that are looked for."""
    words = list(dict.fromkeys(words_of(question).split()))
    return ([word for word in words if word not in STOP_WORDS] or words)[:MAX_QUERY_WORDS]


def prepare(connection: Connection) -> None:
    """Create the index of words if there is none."""
    is_sqlite = connection.dialect.name == "sqlite"
    query = (
        "SELECT count(*) FROM sqlite_master WHERE name = 'chunk_index'"
        if is_sqlite
        else "SELECT count(to_regclass('ix_chunk_lexemes'))"
    )
    if not connection.exec_driver_sql(query).scalar_one():
        for statement in _SQLITE if is_sqlite else _POSTGRES:
            connection.exec_driver_sql(statement)
    elif not is_sqlite and not connection.exec_driver_sql(_POSTGRES_TUNED).scalar_one():
        for statement in _POSTGRES_TUNING:
            connection.exec_driver_sql(statement)


def find(
    connection: Connection, collection_id: int, words: Sequence[str], documents: Sequence[str] | None
) -> list[int]:
    """Return the chunks of a collection that have any of the words, best first; only of `documents` if given."""
    if not words:
        return []
    is_sqlite = connection.dialect.name == "sqlite"
    query: str | list[str] = (
        " OR ".join(f'"{word}"' for word in words) if is_sqlite else [f"'{word}'" for word in words]
    )
    if not is_sqlite:  # a scan of all chunks seems cheaper than it is: it reads their lexemes
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    statement = _FIND_SQLITE if is_sqlite else _FIND_POSTGRES
    parameters: dict[str, Any] = {"query": query, "collection": collection_id, "count": CANDIDATES}
    found = connection.execute(*filtered(statement, parameters, documents)).scalars().all()
    return _ranked(connection, list(found), words)


def filtered(statement: str, parameters: dict[str, Any], documents: Sequence[str] | None) -> tuple[Any, dict[str, Any]]:
    """Return a statement whose `{filter}` lets only chunks of `documents` through, with its parameters.

    It is about the table `chunk_vector`, `{hit.filter}` about `hit`.
    """
    if documents is None:
        return text(statement.replace("{filter}", "").replace("{hit.filter}", "")), parameters
    inside = "{hit.filter}" in statement
    condition = "chunk_vector.chunk_id IN (SELECT id FROM chunk WHERE document_id IN :documents)"
    condition = "hit.document_id IN :documents" if inside else condition
    prepared = text(statement.replace("{hit.filter}" if inside else "{filter}", f"AND {condition}"))
    return prepared.bindparams(bindparam("documents", expanding=True)), {**parameters, "documents": list(documents)}


def _ranked(connection: Connection, ids: list[int], words: Sequence[str]) -> list[int]:
    """Return the chunks in the order of BM25, with frequencies among the candidates, which needs no statistics."""
    if len(ids) < 2:
        return ids
    query = text("SELECT id, words FROM chunk WHERE id IN :ids").bindparams(bindparam("ids", expanding=True))
    texts: dict[int, list[str]] = {row.id: row.words.split() for row in connection.execute(query, {"ids": ids})}
    counts = {id: {word: found.count(word) for word in words} for id, found in texts.items()}
    mean = sum(map(len, texts.values())) / len(texts)
    frequency = {word: sum(count[word] > 0 for count in counts.values()) for word in words}
    rarity: dict[str, float] = {word: math.log(1 + (len(texts) - n + 0.5) / (n + 0.5)) for word, n in frequency.items()}

    def score(id: int) -> float:
        length = 0.4 + 0.6 * len(texts[id]) / mean
        return sum(rarity[word] * counts[id][word] * 2.2 / (counts[id][word] + 1.2 * length) for word in words)

    return sorted(texts, key=lambda id: (-score(id), id))
