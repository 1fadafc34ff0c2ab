"""Which of two answers somebody finds better: one verdict a principal and pair, changeable."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ColumnElement, Connection, Index, Row, delete, select
from sqlmodel import Field

from herding.errors import NotFoundError
from herding.store.inserts import upsert
from herding.store.reader import Reader
from herding.store.rows import storable
from herding.store.tables import Base, request
from herding.store.writer import Writer
from herding.values import Preference


class PreferenceRow(Base, table=True):
    """What one principal says of two answers; no `better_id` means that they are equal.

    `first_id` is the smaller id of the two, so that a pair has one row, whichever way round it is asked for.
    """

    __tablename__ = "preference"
    __table_args__ = (
        CheckConstraint("first_id < second_id", name="ordered"),
        CheckConstraint("better_id IN (first_id, second_id)", name="of_the_pair"),
        Index("ix_preference_second_id", "second_id"),
        {"sqlite_with_rowid": False},
    )

    first_id: str = Field(primary_key=True, foreign_key="request.id", ondelete="CASCADE")
    second_id: str = Field(primary_key=True, foreign_key="request.id", ondelete="CASCADE")
    principal: str = Field(primary_key=True)
    better_id: str | None
    at: int = Field(sa_type=BigInteger)


preference = Base.metadata.tables["preference"]


class PreferenceStore:
    """The part of the store that keeps preferences. What is written is durable when a method returns."""

    _writer: Writer
    _reader: Reader

    async def prefer(self, said: Preference) -> None:
        """Keeps a preference in the place of the one before. Raises NotFoundError where there is no such request."""
        better, worse = storable(said.better), storable(said.worse)
        first, second = sorted((better, worse))
        chosen = None if said.equal else better
        row = {"first_id": first, "second_id": second, "principal": storable(said.principal)}

        def task(connection: Connection) -> None:
            ids = (first, second)
            if len(connection.execute(select(request.c.id).where(request.c.id.in_(ids))).all()) < len(ids):
                raise NotFoundError("There is no such request.", param="better")
            values = {**row, "better_id": chosen, "at": said.at}
            connection.execute(upsert(connection.dialect.name, preference), [values])

        await self._writer.call(task)

    async def forget_preference(self, one: str, other: str, principal: str) -> None:
        """Deletes what a principal said of two answers; nothing need be there."""
        statement = delete(preference).where(*_pair(one, other, principal))
        await self._writer.call(lambda c: c.execute(statement).rowcount)

    async def preference(self, one: str, other: str, principal: str) -> Preference | None:
        """What a principal said of two answers, in either order; None where nothing."""
        statement = select(preference).where(*_pair(one, other, principal))
        return await self._reader.run(lambda c: _found(c.execute(statement).first()))


def _pair(one: str, other: str, principal: str) -> tuple[ColumnElement[bool], ...]:
    first, second = sorted((storable(one), storable(other)))
    ids = preference.c.first_id == first, preference.c.second_id == second
    return (*ids, preference.c.principal == storable(principal))


def _found(row: Row[Any] | None) -> Preference | None:
    if row is None:
        return None
    worse = row.first_id if row.better_id == row.second_id else row.second_id
    return Preference(row.better_id or row.first_id, worse, row.principal, equal=row.better_id is None, at=row.at)
