"""Versions of prompts, and which prompts are deleted."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select, update

from herding.errors import NotFoundError, VersionConflictError
from herding.store.prompts.tables import prompt_conflict, prompt_retired, prompt_version
from herding.store.rows import storable
from herding.store.tables import insert_into
from herding.values import PromptVersion, Source

LAST_NUMBER = 2**31 - 1
"""The largest number that the column holds."""


def save(
    connection: Connection,
    *,
    key: str,
    content: str,
    author: str,
    message: str,
    source: Source,
    at: int,
    base: int | None,
) -> PromptVersion:
    """Write the next version, unless the newest has this content; a deleted prompt is restored.

    Raises VersionConflictError if the newest version is not `base`.
    """
    key, content, author, message = (storable(text) for text in (key, content, author, message))
    digest = content_hash(content)
    found = connection.execute(_newest_first(key).limit(1)).first()
    newest = found.number if found else 0
    restored = connection.execute(delete(prompt_retired).where(prompt_retired.c.key == key)).rowcount > 0
    if found and found.sha256 == digest:
        return _to_version(found)
    if base is not None and base != newest and not (restored and base == 0):
        raise _conflict(key, base, newest)
    version = PromptVersion(key, newest + 1, digest, content, author, message, source, at)
    connection.execute(insert(prompt_version), asdict(version))
    # An open conflict with the prompt's file is now one with this version.
    connection.execute(update(prompt_conflict).where(prompt_conflict.c.key == key).values(ours=version.number))
    return version


def content_hash(content: str) -> str:
    """Return the SHA-256 of the content of a version, in hex."""
    return hashlib.sha256(storable(content).encode()).hexdigest()


def retire(connection: Connection, *, key: str, author: str, at: int) -> None:
    """Mark a prompt as deleted; the first time counts. Raises NotFoundError."""
    row = {"key": storable(key), "author": storable(author), "at": at}
    if not connection.execute(_newest_first(row["key"]).limit(1)).first():
        raise NotFoundError(f"There is no prompt '{key[:64]}'.", param="key")
    connection.execute(insert_into(connection.dialect.name, prompt_retired).on_conflict_do_nothing(), row)


def find(connection: Connection, key: str, number: int) -> PromptVersion | None:
    """Return one version."""
    if not 0 < number <= LAST_NUMBER:
        return None
    found = connection.execute(_newest_first(storable(key)).where(prompt_version.c.number == number)).first()
    return _to_version(found) if found else None


def newest(connection: Connection, key: str, *, limit: int, before: int | None) -> tuple[PromptVersion, ...]:
    """Return the newest versions, or the newest of those with a number below `before`."""
    query = _newest_first(storable(key)).limit(limit)
    if before is not None:
        query = query.where(prompt_version.c.number < min(max(0, before), LAST_NUMBER))
    return tuple(_to_version(found) for found in connection.execute(query))


def _newest_first(key: str) -> Select[Any]:
    return select(prompt_version).where(prompt_version.c.key == key).order_by(prompt_version.c.number.desc())


def _to_version(found: Any) -> PromptVersion:
    return PromptVersion(**found._asdict())


def _conflict(key: str, base: int, newest: int) -> VersionConflictError:
    name = key[:64]
    if not newest:
        message = f"There is no prompt '{name}' to base on version {base}. Save it as a new prompt."
    elif not base:
        message = f"There is a prompt '{name}' already, at version {newest}. Choose another key, or change that one."
    else:
        message = (
            f"The prompt '{name}' is at version {newest}, but the change is based on version {base}. "
            "Load it again, and repeat the change on it."
        )
    return VersionConflictError(message, newest=newest, param="base")
