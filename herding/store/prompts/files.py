"""Prompt files: the versions that they hold, conflicts with the store, and the state of every prompt."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select, update

from herding.store.prompts import labels, versions
from herding.store.prompts.tables import prompt_conflict, prompt_file, prompt_retired, prompt_version
from herding.store.prompts.versions import content_hash
from herding.store.rows import storable
from herding.store.tables import upsert
from herding.values import FileState, NewVersion, PromptConflict, PromptState, PromptVersion, Retired

_FILE = [column for column in prompt_file.c if column.name != "place"]

KEPT_MS = 30 * 24 * 3_600_000
"""Milliseconds after which a file of another directory is forgotten: if that is still in use, it is compared anew."""


def save_version(connection: Connection, new: NewVersion, place: str) -> PromptVersion:
    """Write a version with its label and the state of its file."""
    version = versions.save(
        connection,
        key=new.key,
        content=new.content,
        author=new.author,
        message=new.message,
        source=new.source,
        at=new.at,
        base=new.base,
    )
    if new.label:
        labels.move(
            connection,
            key=new.key,
            label=new.label,
            number=version.number,
            author=new.author,
            message=new.message,
            at=new.at,
        )
    if new.file:
        record(connection, [replace(new.file, number=version.number)], place)
    return version


def save_conflict(
    connection: Connection, conflict: PromptConflict, content: str, *, author: str, message: str, file: str
) -> PromptVersion:
    """Write what a file holds as the version `theirs`, and the conflict, replacing an earlier one."""
    version = versions.save(
        connection,
        key=conflict.key,
        content=content,
        author=author,
        message=message,
        source="file",
        at=conflict.at,
        base=conflict.theirs - 1,
    )
    row = {name: storable(value) for name, value in asdict(conflict).items()}
    connection.execute(upsert(connection.dialect.name, prompt_conflict), row | {"theirs": version.number})
    held = FileState(conflict.key, version.number, conflict.digest, conflict.at, file)
    connection.execute(upsert(connection.dialect.name, prompt_file), _row_of(held, conflict.place))
    return version


def record(connection: Connection, states: Sequence[FileState], place: str) -> None:
    """Note on which versions the files of a directory and the store agree, and end their conflicts; at least one."""
    rows = [_row_of(state, place) for state in states]
    connection.execute(upsert(connection.dialect.name, prompt_file), rows)
    ended = prompt_conflict.c.key.in_([row["key"] for row in rows])
    connection.execute(delete(prompt_conflict).where(ended, prompt_conflict.c.place == place))


def forget(connection: Connection, key: str, place: str) -> None:
    """Delete the state of a prompt's file in a directory, and its conflict."""
    for table in (prompt_file, prompt_conflict):
        connection.execute(delete(table).where(table.c.key == storable(key), table.c.place == place))


def enter(connection: Connection, place: str, now: int) -> bool:
    """Return whether a directory is new here: nothing is known of its files.

    What is known of files of no directory is ascribed to this one, and what is known of a directory long unchanged is
    forgotten.
    """
    old = (prompt_file.c.place != place) & (prompt_file.c.at < now - KEPT_MS) & (prompt_file.c.place != "")
    if connection.execute(select(prompt_file.c.key).where(old | (prompt_file.c.place == "")).limit(1)).first():
        connection.execute(delete(prompt_file).where(old))
        for table in (prompt_file, prompt_conflict):
            connection.execute(update(table).where(table.c.place == "").values(place=place))
    return connection.execute(select(prompt_file.c.key).where(prompt_file.c.place == place).limit(1)).first() is None


def numbers(connection: Connection, contents: Mapping[str, str]) -> dict[str, int]:
    """Return the newest version of each prompt that has this content, by key; prompts without one are left out."""
    hashes = {storable(key): content_hash(content) for key, content in contents.items()}
    columns = (prompt_version.c.key, prompt_version.c.number, prompt_version.c.sha256)
    rows = connection.execute(
        select(*columns).where(prompt_version.c.key.in_(hashes), prompt_version.c.sha256.in_(hashes.values()))
    )
    found: dict[str, int] = {}
    for row in rows:
        if row.sha256 == hashes[row.key]:
            found[row.key] = max(row.number, found.get(row.key, 0))
    return found


def file_states(connection: Connection, place: str) -> dict[str, FileState]:
    """Return the state of every prompt's file in a directory, by key."""
    rows = connection.execute(select(*_FILE).where(prompt_file.c.place == place).order_by(prompt_file.c.key))
    return {row.key: FileState(**row._asdict()) for row in rows}


def retired(connection: Connection) -> dict[str, Retired]:
    """Return the deleted prompts, by key."""
    rows = connection.execute(select(prompt_retired).order_by(prompt_retired.c.key))
    return {row.key: Retired(**row._asdict()) for row in rows}


def states(connection: Connection, keys: Collection[str] | None, place: str) -> dict[str, PromptState]:
    """Return the state of every prompt that has versions, or of those with these keys, with its file in a directory."""
    if keys is not None:
        return {key: found for key in keys if (found := _state(connection, storable(key), place))}
    newest = select(prompt_version.c.key, func.max(prompt_version.c.number)).group_by(prompt_version.c.key)
    by_label, deleted, files = labels.by_prompt(connection), retired(connection), file_states(connection, place)
    conflicts = {row.key: PromptConflict(**row._asdict()) for row in connection.execute(select(prompt_conflict))}
    return {
        key: PromptState(key, number, key in deleted, by_label.get(key, {}), files.get(key), conflicts.get(key))
        for key, number in connection.execute(newest.order_by(prompt_version.c.key))
    }


def _state(connection: Connection, key: str, place: str) -> PromptState | None:
    number = connection.execute(select(func.max(prompt_version.c.number)).where(prompt_version.c.key == key)).scalar()
    if not number:
        return None
    deleted, conflict = (_row(connection, table, key) for table in (prompt_retired, prompt_conflict))
    file = connection.execute(select(*_FILE).where(prompt_file.c.key == key, prompt_file.c.place == place)).first()
    return PromptState(
        key,
        number,
        deleted is not None,
        labels.current(connection, key),
        FileState(**file._asdict()) if file else None,
        PromptConflict(**conflict) if conflict else None,
    )


def _row_of(state: FileState, place: str) -> dict[str, Any]:
    return {name: storable(value) for name, value in asdict(state).items()} | {"place": place}


def _row(connection: Connection, table: Table, key: str) -> dict[str, Any] | None:
    found = connection.execute(select(table).where(table.c.key == key)).first()
    return found._asdict() if found else None
