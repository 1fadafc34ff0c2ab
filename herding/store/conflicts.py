"""Conflicts between what was saved and what files hold, and the state of all prompts: a task, and reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from sqlalchemy import Connection, func, select

from herding.store import labels, versions
from herding.store.inserts import upsert
from herding.store.prompt_tables import prompt_conflict, prompt_version
from herding.store.rows import storable
from herding.values import PromptConflict, PromptState, PromptVersion


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


def states(connection: Connection) -> dict[str, PromptState]:
    """What is known of every prompt that has versions."""
    numbers = select(prompt_version.c.key, func.max(prompt_version.c.number)).group_by(prompt_version.c.key)
    named, gone = labels.all_of_them(connection), versions.retired(connection)
    files, open_ones = versions.file_states(connection), _conflicts(connection)
    return {
        key: PromptState(key, number, key in gone, named.get(key, {}), files.get(key), open_ones.get(key))
        for key, number in connection.execute(numbers.order_by(prompt_version.c.key))
    }


def _conflicts(connection: Connection) -> dict[str, PromptConflict]:
    return {row.key: PromptConflict(**row._asdict()) for row in connection.execute(select(prompt_conflict))}
