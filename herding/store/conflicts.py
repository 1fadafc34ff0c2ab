"""Conflicts between what was saved and what files hold, and the state of all prompts: a task, and reads."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Table, func, select

from herding.store import labels, versions
from herding.store.inserts import upsert
from herding.store.prompt_tables import prompt_conflict, prompt_file, prompt_retired, prompt_version
from herding.store.rows import storable
from herding.values import FileState, PromptConflict, PromptState, PromptVersion


def save(found: PromptConflict, content: str, *, author: str, message: str) -> Callable[[Connection], PromptVersion]:
    """A task that writes what a file holds as the version `theirs`, and the conflict in the place of an earlier one."""
    row = {name: storable(value) for name, value in asdict(found).items()}
    kept = versions.save(
        key=found.key,
        content=content,
        author=author,
        message=message,
        source="file",
        at=found.at,
        base=found.theirs - 1,
    )

    def task(connection: Connection) -> PromptVersion:
        made = kept(connection)
        connection.execute(upsert(connection.dialect.name, prompt_conflict), row | {"theirs": made.number})
        return made

    return task


def states(connection: Connection, keys: Collection[str] | None) -> dict[str, PromptState]:
    """What is known of every prompt that has versions, or of those with these keys."""
    if keys is not None:
        return {key: found for key in keys if (found := _state(connection, storable(key)))}
    numbers = select(prompt_version.c.key, func.max(prompt_version.c.number)).group_by(prompt_version.c.key)
    named, gone = labels.all_of_them(connection), versions.retired(connection)
    files, open_ones = versions.file_states(connection), _conflicts(connection)
    return {
        key: PromptState(key, number, key in gone, named.get(key, {}), files.get(key), open_ones.get(key))
        for key, number in connection.execute(numbers.order_by(prompt_version.c.key))
    }


def _state(connection: Connection, key: str) -> PromptState | None:
    number = connection.execute(select(func.max(prompt_version.c.number)).where(prompt_version.c.key == key)).scalar()
    if not number:
        return None
    gone, file, conflict = (_row(connection, table, key) for table in (prompt_retired, prompt_file, prompt_conflict))
    return PromptState(
        key,
        number,
        gone is not None,
        labels.current(connection, key),
        FileState(**file) if file else None,
        PromptConflict(**conflict) if conflict else None,
    )


def _row(connection: Connection, table: Table, key: str) -> dict[str, Any] | None:
    found = connection.execute(select(table).where(table.c.key == key)).first()
    return found._asdict() if found else None


def _conflicts(connection: Connection) -> dict[str, PromptConflict]:
    return {row.key: PromptConflict(**row._asdict()) for row in connection.execute(select(prompt_conflict))}
