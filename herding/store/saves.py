"""A version of a prompt with its label and with what its file holds: a task of the writer, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from herding.store import labels, versions
from herding.values import NewVersion, PromptVersion


def save(new: NewVersion) -> Callable[[Connection], PromptVersion]:
    """A task that writes a version as `versions.save` does, and what goes with it."""
    entry: Any = {"key": new.key, "author": new.author, "message": new.message, "at": new.at}
    kept = versions.save(content=new.content, source=new.source, base=new.base, **entry)

    def task(connection: Connection) -> PromptVersion:
        made = kept(connection)
        if new.label:
            labels.move(label=new.label, number=made.number, **entry)(connection)
        if new.file:
            versions.agree([replace(new.file, number=made.number)])(connection)
        return made

    return task
