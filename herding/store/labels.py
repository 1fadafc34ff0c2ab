"""Labels of prompts and their moves: tasks of the writer, and reads.

The moves of a label are a stack. A move puts itself on top; taking back takes the top one off and sets the label to
where it was before. Nothing is deleted: taking back is a move of its own, which names the one that it undoes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select

from herding.errors import NotFoundError, UserError
from herding.store import versions
from herding.store.inserts import upsert
from herding.store.prompt_tables import prompt_label, prompt_label_move
from herding.store.rows import storable
from herding.values import LabelMove

_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,31}")

_move = prompt_label_move.c
_newest_first = select(prompt_label_move).order_by(_move.id.desc())


def move(
    *, key: str, label: str, number: int | None, author: str, message: str, at: int
) -> Callable[[Connection], LabelMove]:
    """A task that sets a label to a version, or takes it away with None; where it is there already, nothing changes.

    Raises UserError at once for a label that is no word, NotFoundError where there is no such version or label.
    """
    if not _LABEL.fullmatch(label):
        raise UserError(
            "A label is a word of at most 32 of a-z, 0-9, - and _ that begins with a letter.", param="label"
        )
    key, author, message = storable(key), storable(author), storable(message)

    def task(connection: Connection) -> LabelMove:
        now = current(connection, key).get(label)
        if number is None and now is None:
            raise _no_label(key, label)
        if number is not None and versions.one(connection, key, number) is None:
            raise NotFoundError(f"There is no version {number} of the prompt '{key[:64]}'.", param="number")
        if number == now:
            return _newest(connection, key, label)
        return _write(connection, LabelMove(0, key, label, number, now, author, message, at))

    return task


def take_back(*, key: str, label: str, author: str, at: int) -> Callable[[Connection], LabelMove]:
    """A task that takes the newest move back that is neither taken back nor a taking back itself; or NotFoundError."""
    key, label, author = storable(key), storable(label), storable(author)
    undoing = prompt_label_move.alias()
    taken_back = select(undoing.c.id).where(undoing.c.undoes == _move.id).exists()
    top = _of(key, label).where(_move.undoes.is_(None), ~taken_back).limit(1)

    def task(connection: Connection) -> LabelMove:
        found = connection.execute(top).first()
        if not found:
            raise NotFoundError(f"No move of '{label[:64]}' of '{key[:64]}' is left to take back.", param="label")
        made = LabelMove(0, key, label, found.previous, found.number, author, "", at, undoes=found.id)
        return _write(connection, made)

    return task


def current(connection: Connection, key: str) -> dict[str, int]:
    """The labels of a prompt with the versions that they stand for."""
    mine = select(prompt_label.c.label, prompt_label.c.number).where(prompt_label.c.key == storable(key))
    return {label: number for label, number in connection.execute(mine.order_by(prompt_label.c.label))}


def all_of_them(connection: Connection) -> dict[str, dict[str, int]]:
    """The labels of all prompts that have one."""
    columns = (prompt_label.c.key, prompt_label.c.label, prompt_label.c.number)
    found: dict[str, dict[str, int]] = {}
    for key, label, number in connection.execute(select(*columns).order_by(*columns)):
        found.setdefault(key, {})[label] = number
    return found


def moves(connection: Connection, key: str, label: str | None, *, limit: int) -> tuple[LabelMove, ...]:
    """The moves of one label or of all labels of a prompt, newest first."""
    return tuple(_to_move(found) for found in connection.execute(_of(storable(key), label).limit(limit)))


def _of(key: str, label: str | None) -> Select[Any]:
    query = _newest_first.where(_move.key == key)
    return query if label is None else query.where(_move.label == storable(label))


def _write(connection: Connection, made: LabelMove) -> LabelMove:
    """Sets the label and appends the move; gives it as it is stored, with its id."""
    if made.number is None:
        here = (prompt_label.c.key == made.key, prompt_label.c.label == made.label)
        connection.execute(delete(prompt_label).where(*here))
    else:
        row = {name: getattr(made, name) for name in ("key", "label", "number", "author", "at")}
        connection.execute(upsert(connection.dialect.name, prompt_label), row)
    row = {name: value for name, value in asdict(made).items() if name != "id"}
    connection.execute(insert(prompt_label_move), row)
    return _newest(connection, made.key, made.label)


def _newest(connection: Connection, key: str, label: str) -> LabelMove:
    """The last move, which went where the label is now."""
    return _to_move(connection.execute(_of(key, label).limit(1)).one())


def _to_move(found: Any) -> LabelMove:
    return LabelMove(**found._asdict())


def _no_label(key: str, label: str) -> NotFoundError:
    return NotFoundError(f"The prompt '{key[:64]}' has no label '{label}'.", param="label")
