"""Feedback: stars and comments on requests, and preferences between two responses."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, select

from herding.errors import NotFoundError, UserError
from herding.store.database import Reader
from herding.store.rows import Row, storable
from herding.store.search_index import enqueue
from herding.store.tables import comment, preference, request, score, upsert
from herding.store.writer import Writer
from herding.values import Preference, Score


class ScoreStore:
    """The part of the store that keeps feedback. What is written is durable when a method returns."""

    _writer: Writer
    _reader: Reader

    async def rate(self, *, request_id: str, principal: str, stars: int | None, at: int) -> Score:
        """Set the stars (1-5) of a principal on a request, or clear them with None.

        Raises UserError for other numbers and NotFoundError for an unknown request.
        """
        if stars is not None and (isinstance(stars, bool) or not isinstance(stars, int) or not 1 <= stars <= 5):
            raise UserError("Stars are a whole number from 1 to 5.", param="stars")
        key = {"request_id": storable(request_id), "principal": storable(principal)}
        values = None if stars is None else {"stars": stars}
        return await self._writer.call(lambda c: _save(c, score, key, values, at))

    async def comment(self, *, request_id: str, principal: str, text: str, at: int) -> Score:
        """Set the comment of a principal on a request; a blank text clears it. Raises NotFoundError."""
        key = {"request_id": storable(request_id), "principal": storable(principal)}
        values = {"text": storable(text)} if text.strip() else None
        return await self._writer.call(lambda c: _save(c, comment, key, values, at))

    async def save_preference(self, chosen: Preference) -> None:
        """Save a preference, replacing an earlier one. Raises NotFoundError for an unknown request."""
        await self._writer.call(lambda c: _save_preference(c, chosen))

    async def delete_preference(self, one: str, other: str, principal: str) -> None:
        """Delete the preference of a principal between two responses, if there is one."""
        statement = delete(preference).where(*_pair(one, other, principal))
        await self._writer.call(lambda c: c.execute(statement).rowcount)

    async def preference(self, one: str, other: str, principal: str) -> Preference | None:
        """Return the preference of a principal between two responses, in either order."""
        statement = select(preference).where(*_pair(one, other, principal))
        found = await self._reader.run(lambda c: c.execute(statement).first())
        if found is None:
            return None
        worse = found.first_id if found.better_id == found.second_id else found.second_id
        equal = found.better_id is None
        return Preference(found.better_id or found.first_id, worse, found.principal, equal=equal, at=found.at)


def _save(connection: Connection, table: Table, key: Row, values: Row | None, at: int) -> Score:
    """Write the row of one principal on one request, or delete it with None; return stars and comment."""
    if not connection.execute(select(request.c.id).where(request.c.id == key["request_id"])).first():
        raise NotFoundError(f"There is no request '{key['request_id'][:64]}'.", param="request_id")
    if values is None:
        connection.execute(delete(table).filter_by(**key))
    else:
        connection.execute(upsert(connection.dialect.name, table), [{**key, **values, "updated_at": at}])
    if table is comment:  # comments are searched too
        connection.execute(enqueue(connection.dialect.name), {"request_id": key["request_id"]})
    stars: int | None = connection.execute(select(score.c.stars).filter_by(**key)).scalar()
    text: str | None = connection.execute(select(comment.c.text).filter_by(**key)).scalar()
    return Score(key["request_id"], key["principal"], stars, text, at)


def _save_preference(connection: Connection, chosen: Preference) -> None:
    better, worse = storable(chosen.better), storable(chosen.worse)
    first, second = sorted((better, worse))
    if len(connection.execute(select(request.c.id).where(request.c.id.in_((first, second)))).all()) < 2:
        raise NotFoundError("Request not found.", param="better")
    row: dict[str, Any] = {
        "first_id": first,
        "second_id": second,
        "principal": storable(chosen.principal),
        "better_id": None if chosen.equal else better,
        "at": chosen.at,
    }
    connection.execute(upsert(connection.dialect.name, preference), [row])


def _pair(one: str, other: str, principal: str) -> tuple[ColumnElement[bool], ...]:
    first, second = sorted((storable(one), storable(other)))
    ids = preference.c.first_id == first, preference.c.second_id == second
    return (*ids, preference.c.principal == storable(principal))
