"""Versions of prompts, which prompts are deleted, and what the files hold: tasks of the writer, and reads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Select, Update, delete, func, insert, select, update

from herding.errors import NotFoundError, VersionConflictError
from herding.store.inserts import insert_into, upsert
from herding.store.prompt_tables import prompt_conflict, prompt_file, prompt_retired, prompt_version
from herding.store.rows import storable
from herding.values import FileState, PromptVersion, Retired, Source

LAST_NUMBER = 2**31 - 1
"""No column takes a larger one."""


def save(
    *, key: str, content: str, author: str, message: str, source: Source, at: int, base: int | None
) -> Callable[[Connection], PromptVersion]:
    """A task that writes the next version, unless the newest has this content; the prompt lives from then on.

    Raises VersionConflictError where another version than `base` is the newest.
    """
    key, content, author, message = (storable(text) for text in (key, content, author, message))
    digest = hashlib.sha256(content.encode()).hexdigest()

    def task(connection: Connection) -> PromptVersion:
        found = connection.execute(_newest_first(key).limit(1)).first()
        newest = found.number if found else 0
        revived = connection.execute(delete(prompt_retired).where(prompt_retired.c.key == key)).rowcount > 0
        if found and found.sha256 == digest:
            return _to_version(found)
        if base is not None and base != newest and not (revived and base == 0):
            raise _conflict(key, base, newest)
        made = PromptVersion(key, newest + 1, digest, content, author, message, source, at)
        connection.execute(insert(prompt_version), asdict(made))
        connection.execute(_ours(key, made.number))
        return made

    return task


def _ours(key: str, number: int) -> Update:
    """While file and store do not agree, what is saved takes the place of what was saved before."""
    return update(prompt_conflict).where(prompt_conflict.c.key == key).values(ours=number)


def retire(*, key: str, author: str, at: int) -> Callable[[Connection], None]:
    """A task that deletes a prompt but not its versions; the first time counts. Raises NotFoundError."""
    row = {"key": storable(key), "author": storable(author), "at": at}

    def task(connection: Connection) -> None:
        if not connection.execute(_newest_first(row["key"]).limit(1)).first():
            raise NotFoundError(f"There is no prompt '{key[:64]}'.", param="key")
        connection.execute(insert_into(connection.dialect.name, prompt_retired).on_conflict_do_nothing(), row)

    return task


def one(connection: Connection, key: str, number: int) -> PromptVersion | None:
    """One version."""
    if not 0 < number <= LAST_NUMBER:
        return None
    found = connection.execute(_newest_first(storable(key)).where(prompt_version.c.number == number)).first()
    return _to_version(found) if found else None


def several(connection: Connection, key: str, *, limit: int, before: int | None) -> tuple[PromptVersion, ...]:
    """The newest versions, or the newest of those that are older than `before`."""
    query = _newest_first(storable(key)).limit(limit)
    if before is not None:
        query = query.where(prompt_version.c.number < min(max(0, before), LAST_NUMBER))
    return tuple(_to_version(found) for found in connection.execute(query))


def newest(connection: Connection) -> dict[str, int]:
    """The newest number of every prompt that is not deleted; reads an index only."""
    numbers = select(prompt_version.c.key, func.max(prompt_version.c.number)).group_by(prompt_version.c.key)
    gone = set(connection.execute(select(prompt_retired.c.key)).scalars())
    return {key: number for key, number in connection.execute(numbers) if key not in gone}


def retired(connection: Connection) -> dict[str, Retired]:
    """The prompts that are deleted."""
    query = select(prompt_retired).order_by(prompt_retired.c.key)
    return {row.key: Retired(**row._asdict()) for row in connection.execute(query)}


def agree(states: Sequence[FileState]) -> Callable[[Connection], None]:
    """A task that notes on what files and the store agree, and ends their conflicts; there is at least one."""
    rows = [{name: storable(value) for name, value in asdict(state).items()} for state in states]
    over = delete(prompt_conflict).where(prompt_conflict.c.key.in_([row["key"] for row in rows]))

    def task(connection: Connection) -> None:
        connection.execute(upsert(connection.dialect.name, prompt_file), rows)
        connection.execute(over)

    return task


def disagree(key: str) -> Callable[[Connection], None]:
    """A task that forgets on what a file and the store agreed, and where they did not."""
    key = storable(key)

    def task(connection: Connection) -> None:
        for table in (prompt_file, prompt_conflict):
            connection.execute(delete(table).where(table.c.key == key))

    return task


def file_states(connection: Connection) -> dict[str, FileState]:
    """On what every file and the store agreed last."""
    query = select(prompt_file).order_by(prompt_file.c.key)
    return {row.key: FileState(**row._asdict()) for row in connection.execute(query)}


def _newest_first(key: str) -> Select[Any]:
    return select(prompt_version).where(prompt_version.c.key == key).order_by(prompt_version.c.number.desc())


def _to_version(found: Any) -> PromptVersion:
    return PromptVersion(**found._asdict())


def _conflict(key: str, base: int, newest: int) -> VersionConflictError:
    name = key[:64]
    if not newest:
        told = f"There is no prompt '{name}', so nothing can be based on its version {base}. Save it as a new one."
    elif not base:
        told = f"There is a prompt '{name}' already, at version {newest}. Choose another key, or change that one."
    else:
        told = (
            f"The prompt '{name}' is at version {newest}, but the change is based on version {base}. "
            "Load it again, and repeat the change on it."
        )
    return VersionConflictError(told, newest=newest, param="base")
