"""Nodes that were added at run time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from herding.errors import ConflictError, NotFoundError
from herding.store.database import Reader
from herding.store.rows import Row, storable
from herding.store.tables import node
from herding.store.writer import Writer
from herding.values import NodeRecord

_COLUMNS = ("name", "kind", "origin", "owner", "added_by", "at")
"""Fields that are columns of the same name."""


class NodeStore:
    """The part of the store that keeps nodes. What is written is durable when a method returns."""

    _writer: Writer
    _reader: Reader

    async def add_node(self, record: NodeRecord) -> None:
        """Add a node. Raises ConflictError if the name is taken."""
        await self._writer.call(lambda c: _add(c, record))

    async def update_node(self, record: NodeRecord) -> None:
        """Change everything of a node but its name. Raises NotFoundError."""
        row = _to_row(record)
        change = update(node).where(node.c.name == row["name"]).values(**row)
        if not await self._writer.call(lambda c: c.execute(change).rowcount):
            raise _not_found(record.name)

    async def delete_node(self, name: str) -> None:
        """Delete a node and its secrets. Raises NotFoundError."""
        statement = delete(node).where(node.c.name == storable(name))
        if not await self._writer.call(lambda c: c.execute(statement).rowcount):
            raise _not_found(name)

    async def nodes(self) -> tuple[NodeRecord, ...]:
        """Return all nodes, oldest first."""
        query = select(node).order_by(node.c.at, node.c.name)
        return await self._reader.run(lambda c: tuple(_to_record(row._asdict()) for row in c.execute(query)))


def _add(connection: Connection, record: NodeRecord) -> None:
    row = _to_row(record)
    if connection.execute(select(node.c.name).where(node.c.name == row["name"])).first():
        raise ConflictError(f"There is a node '{record.name}' already. Choose another name.", param="name")
    connection.execute(insert(node), row)


def _not_found(name: str) -> NotFoundError:
    return NotFoundError(f"There is no node '{name[:64]}' that was added at run time.", param="node")


def _to_row(record: NodeRecord) -> Row:
    row = {name: storable(getattr(record, name)) for name in _COLUMNS}
    return row | {"config": json.dumps(dict(record.config)), "sealed": record.sealed}


def _to_record(row: Mapping[str, Any]) -> NodeRecord:
    sealed = bytes(row["sealed"]) if row["sealed"] is not None else None
    return NodeRecord(config=json.loads(row["config"]), sealed=sealed, **{name: row[name] for name in _COLUMNS})
