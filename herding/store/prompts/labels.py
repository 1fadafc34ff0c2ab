"""Labels of prompts and their moves.

The moves of a label are a stack. Undoing takes the top move off and sets the label to where it was before. Nothing is
deleted: undoing is a move of its own, which names the one that it undoes.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select

from herding.errors import NotFoundError, UserError
from herding.store.prompts import versions
from herding.store.prompts.tables import prompt_label, prompt_label_move
from herding.store.rows import storable
from herding.store.tables import upsert
from herding.values import LabelMove

_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,31}")

_move = prompt_label_move.c


def check(label: str) -> None:
    """Raise UserError for a text that cannot be a label."""
    if not _LABEL.fullmatch(label):
        raise UserError("A label has at most 32 of a-z, 0-9, - and _, and begins with a letter.", param="label")


def move(
    connection: Connection, *, key: str, label: str, number: int | None, author: str, message: str, at: int
) -> LabelMove:
    """Set a label to a version, or remove it with None; return the last move if it is there already.

    Raises UserError for an invalid label and NotFoundError for an unknown version or label.
    """
    check(label)
    key, author, message = storable(key), storable(author), storable(message)
    now = current(connection, key).get(label)
    if number is None and now is None:
        raise NotFoundError(f"The prompt '{key[:64]}' has no label '{label}'.", param="label")
    if number is not None and versions.find(connection, key, number) is None:
        raise NotFoundError(f"There is no version {number} of the prompt '{key[:64]}'.", param="number")
    if number == now:
        return _last(connection, key, label)
    return _write(connection, LabelMove(0, key, label, number, now, author, message, at))


def undo(connection: Connection, *, key: str, label: str, author: str, at: int) -> LabelMove:
    """Undo the newest move that is neither undone nor an undo itself. Raises NotFoundError if none is left."""
    key, label, author = storable(key), storable(label), storable(author)
    undo_move = prompt_label_move.alias()
    undone = select(undo_move.c.id).where(undo_move.c.undoes == _move.id).exists()
    found = connection.execute(_newest_first(key, label).where(_move.undoes.is_(None), ~undone).limit(1)).first()
    if not found:
        raise NotFoundError(f"The label '{label[:64]}' of '{key[:64]}' has no move to undo.", param="label")
    return _write(connection, LabelMove(0, key, label, found.previous, found.number, author, "", at, undoes=found.id))


def current(connection: Connection, key: str) -> dict[str, int]:
    """Return the versions of a prompt's labels."""
    query = select(prompt_label.c.label, prompt_label.c.number).where(prompt_label.c.key == storable(key))
    return {label: number for label, number in connection.execute(query.order_by(prompt_label.c.label))}


def by_prompt(connection: Connection) -> dict[str, dict[str, int]]:
    """Return the labels of all prompts that have any."""
    columns = (prompt_label.c.key, prompt_label.c.label, prompt_label.c.number)
    found: dict[str, dict[str, int]] = {}
    for key, label, number in connection.execute(select(*columns).order_by(*columns)):
        found.setdefault(key, {})[label] = number
    return found


def moves(connection: Connection, key: str, label: str | None, *, limit: int) -> tuple[LabelMove, ...]:
    """Return the moves of one label or of all labels of a prompt, newest first."""
    return tuple(_to_move(row) for row in connection.execute(_newest_first(storable(key), label).limit(limit)))


def _newest_first(key: str, label: str | None) -> Select[Any]:
    query = select(prompt_label_move).where(_move.key == key).order_by(_move.id.desc())
    return query if label is None else query.where(_move.label == storable(label))


def _write(connection: Connection, made: LabelMove) -> LabelMove:
    """Set the label and append the move; return it as stored, with its id."""
    if made.number is None:
        here = (prompt_label.c.key == made.key, prompt_label.c.label == made.label)
        connection.execute(delete(prompt_label).where(*here))
    else:
        row = {name: getattr(made, name) for name in ("key", "label", "number", "author", "at")}
        connection.execute(upsert(connection.dialect.name, prompt_label), row)
    row = {name: value for name, value in asdict(made).items() if name != "id"}
    connection.execute(insert(prompt_label_move), row)
    return _last(connection, made.key, made.label)


def _last(connection: Connection, key: str, label: str) -> LabelMove:
    return _to_move(connection.execute(_newest_first(key, label).limit(1)).one())


def _to_move(found: Any) -> LabelMove:
    return LabelMove(**found._asdict())
