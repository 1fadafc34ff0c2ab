"""What the registry asks of the store: the nodes that were added at run time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import BigInteger, Connection, LargeBinary, Text, delete, insert, select, update
from sqlmodel import Field

from herding.errors import ConflictError, NotFoundError
from herding.store.reader import Reader
from herding.store.rows import Row, storable
from herding.store.tables import Base
from herding.store.writer import Writer
from herding.values import NodeRecord

Task = Callable[[Connection], None]


class NodeRow(Base, table=True):
    """A node that was added at run time. `config` is JSON; `sealed` are its secrets, encrypted."""

    __tablename__ = "node"

    name: str = Field(primary_key=True)
    kind: str
    config: str = Field(sa_type=Text)
    sealed: bytes | None = Field(sa_type=LargeBinary)
    origin: str
    owner: str
    added_by: str
    at: int = Field(sa_type=BigInteger)


node = Base.metadata.tables["node"]

_SAME = ("name", "kind", "origin", "owner", "added_by", "at")
"""Fields that are columns of the same name."""


class NodeStore:
    """The part of the store that keeps nodes. What is written is durable when a method returns."""

    _writer: Writer
    _reader: Reader

    async def add_node(self, record: NodeRecord) -> None:
        """Adds a node. Raises ConflictError where the name is taken."""
        await self._writer.call(_add(record))

    async def change_node(self, record: NodeRecord) -> None:
        """Changes everything of a node but its name. Raises NotFoundError."""
        await self._writer.call(_change(record))

    async def drop_node(self, name: str) -> None:
        """Forgets a node and its secrets. Raises NotFoundError."""
        await self._writer.call(_drop(name))

    async def kept_nodes(self) -> tuple[NodeRecord, ...]:
        """All nodes, by the time of their coming."""
        return await self._reader.run(_all)


def _add(record: NodeRecord) -> Task:
    row = _row(record)

    def task(connection: Connection) -> None:
        if connection.execute(select(node.c.name).where(node.c.name == row["name"])).first():
            raise ConflictError(f"There is a node '{record.name}' already. Choose another name.", param="name")
        connection.execute(insert(node), row)

    return task


def _change(record: NodeRecord) -> Task:
    row = _row(record)
    change = update(node).where(node.c.name == row["name"]).values(**row)

    def task(connection: Connection) -> None:
        if not connection.execute(change).rowcount:
            raise _gone(record.name)

    return task


def _drop(name: str) -> Task:
    def task(connection: Connection) -> None:
        if not connection.execute(delete(node).where(node.c.name == storable(name))).rowcount:
            raise _gone(name)

    return task


def _all(connection: Connection) -> tuple[NodeRecord, ...]:
    query = select(node).order_by(node.c.at, node.c.name)
    return tuple(_record(row._asdict()) for row in connection.execute(query))


def _gone(name: str) -> NotFoundError:
    return NotFoundError(f"There is no node '{name[:64]}' that was added at run time.", param="node")


def _row(record: NodeRecord) -> Row:
    same = {name: storable(getattr(record, name)) for name in _SAME}
    return same | {"config": json.dumps(dict(record.config)), "sealed": record.sealed}


def _record(row: Mapping[str, Any]) -> NodeRecord:
    sealed = bytes(row["sealed"]) if row["sealed"] is not None else None
    return NodeRecord(config=json.loads(row["config"]), sealed=sealed, **{name: row[name] for name in _SAME})
