"""Prompt files: the versions that they hold, conflicts with the store, and the state of every prompt."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select

from herding.store.prompts import labels, versions
from herding.store.prompts.tables import prompt_conflict, prompt_file, prompt_retired, prompt_version
from herding.store.rows import storable
from herding.store.tables import upsert
from herding.values import FileState, NewVersion, PromptConflict, PromptState, PromptVersion, Retired


def save_version(connection: Connection, new: NewVersion) -> PromptVersion:
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
        record(connection, [replace(new.file, number=version.number)])
    return version


def save_conflict(
    connection: Connection, conflict: PromptConflict, content: str, *, author: str, message: str
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
    return version


def record(connection: Connection, states: Sequence[FileState]) -> None:
    """Note on which versions files and store agree, and end their conflicts; at least one state."""
    rows = [{name: storable(value) for name, value in asdict(state).items()} for state in states]
    connection.execute(upsert(connection.dialect.name, prompt_file), rows)
    connection.execute(delete(prompt_conflict).where(prompt_conflict.c.key.in_([row["key"] for row in rows])))


def forget(connection: Connection, key: str) -> None:
    """Delete the state of a prompt's file, and its conflict."""
    for table in (prompt_file, prompt_conflict):
        connection.execute(delete(table).where(table.c.key == storable(key)))


def file_states(connection: Connection) -> dict[str, FileState]:
    """Return the state of every prompt's file, by key."""
    rows = connection.execute(select(prompt_file).order_by(prompt_file.c.key))
    return {row.key: FileState(**row._asdict()) for row in rows}


def retired(connection: Connection) -> dict[str, Retired]:
    """Return the deleted prompts, by key."""
    rows = connection.execute(select(prompt_retired).order_by(prompt_retired.c.key))
    return {row.key: Retired(**row._asdict()) for row in rows}


def states(connection: Connection, keys: Collection[str] | None) -> dict[str, PromptState]:
    """Return the state of every prompt that has versions, or of those with these keys."""
    if keys is not None:
        return {key: found for key in keys if (found := _state(connection, storable(key)))}
    numbers = select(prompt_version.c.key, func.max(prompt_version.c.number)).group_by(prompt_version.c.key)
    by_label, deleted, files = labels.by_prompt(connection), retired(connection), file_states(connection)
    conflicts = {row.key: PromptConflict(**row._asdict()) for row in connection.execute(select(prompt_conflict))}
    return {
        key: PromptState(key, number, key in deleted, by_label.get(key, {}), files.get(key), conflicts.get(key))
        for key, number in connection.execute(numbers.order_by(prompt_version.c.key))
    }


def _state(connection: Connection, key: str) -> PromptState | None:
    number = connection.execute(select(func.max(prompt_version.c.number)).where(prompt_version.c.key == key)).scalar()
    if not number:
        return None
    deleted, file, conflict = (_row(connection, table, key) for table in (prompt_retired, prompt_file, prompt_conflict))
    return PromptState(
        key,
        number,
        deleted is not None,
        labels.current(connection, key),
        FileState(**file) if file else None,
        PromptConflict(**conflict) if conflict else None,
    )


def _row(connection: Connection, table: Table, key: str) -> dict[str, Any] | None:
    found = connection.execute(select(table).where(table.c.key == key)).first()
    return found._asdict() if found else None
