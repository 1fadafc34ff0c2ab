"""What the insights ask of the store: tries of models on a prompt, counts by model, and resets of what was learned."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Connection, Select, Subquery, delete, desc, func, insert, select
from sqlmodel import Field

from herding.store.reader import Reader
from herding.store.rows import storable
from herding.store.tables import Base, attempt, request, score
from herding.store.writer import Writer
from herding.values import TELLING, ModelStats, Reset, Tried


class LearningResetRow(Base, table=True):
    """The last time that what was learned of the models of a prompt was forgotten, and by whom."""

    __tablename__ = "learning_reset"
    __table_args__ = ({"sqlite_with_rowid": False},)

    prompt: str = Field(primary_key=True)
    at: int = Field(sa_type=BigInteger)
    by: str


learning_reset = Base.metadata.tables["learning_reset"]


class InsightStore:
    """The part of the store that tells how models did. What is written is durable when a method returns."""

    _writer: Writer
    _reader: Reader

    async def reset_learning(self, reset: Reset) -> None:
        """Remembers a reset in the place of the one before."""
        row = {"prompt": storable(reset.prompt), "at": reset.at, "by": storable(reset.by)}

        def task(connection: Connection) -> None:
            connection.execute(delete(learning_reset).where(learning_reset.c.prompt == row["prompt"]))
            connection.execute(insert(learning_reset), row)

        await self._writer.call(task)

    async def learning_resets(self) -> dict[str, Reset]:
        """The last reset of every prompt that was reset, by its key."""
        return await self._reader.run(_resets)

    async def tries(self, prompt: str, *, since: int, limit: int) -> tuple[int, list[Tried]]:
        """How many requests of a prompt ended since an instant (Unix ms), and the tries of the newest `limit` of them.

        Oldest first. Requests that people stopped are not counted: they say nothing of a model.
        """
        return await self._reader.run(lambda c: (_count(c, prompt, since), _tries(c, prompt, since, limit)))

    async def model_stats(self, *, since: int) -> dict[str, ModelStats]:
        """What every model did with the tries that began at `since` (Unix ms) or later, by its id."""
        return await self._reader.run(lambda c: _model_stats(c, since))


def _resets(connection: Connection) -> dict[str, Reset]:
    return {row.prompt: Reset(row.prompt, row.at, row.by) for row in connection.execute(select(learning_reset))}


def _of(what: Select[Any], prompt: str, since: int) -> Select[Any]:
    """Those columns of the requests that count; the index over the newest requests holds what is asked for."""
    columns = request.c
    return what.where(columns.created_at >= since, columns.prompt == storable(prompt), columns.status.in_(TELLING))


def _count(connection: Connection, prompt: str, since: int) -> int:
    query = _of(select(func.count()).select_from(request), prompt, since)
    return int(connection.execute(query).scalar_one())


def _tries(connection: Connection, prompt: str, since: int, limit: int) -> list[Tried]:
    newest = _of(select(request.c.id), prompt, since).order_by(desc(request.c.created_at), desc(request.c.id))
    ids = newest.limit(limit).subquery()
    stars = {row.request_id: tuple(row[1:]) for row in connection.execute(_stars(ids))}
    return [
        Tried(
            version=row.version,
            edited=row.edited,
            model=row.model,
            at=row.created_at,
            ok=row.error_type is None,
            checks_passed=None if row.error_type else row.checks_passed,
            total_ms=row.total_ms,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            stars=(0, 0, 0) if row.error_type else stars.get(row.id, (0, 0, 0)),
        )
        for row in connection.execute(_rows(ids))
    ]


def _rows(ids: Subquery) -> Select[Any]:
    asked = (request.c.id, request.c.version, request.c.edited, request.c.created_at, request.c.checks_passed)
    tokens = (request.c.input_tokens, request.c.output_tokens)
    tried = (attempt.c.model, attempt.c.error_type, attempt.c.total_ms)
    whole = ids.join(request, request.c.id == ids.c.id).join(attempt, attempt.c.request_id == ids.c.id)
    ordered = (request.c.created_at, request.c.id, attempt.c.number)
    return select(*asked, *tokens, *tried).select_from(whole).order_by(*ordered)


def _stars(ids: Subquery) -> Select[Any]:
    """How often each request was rated, the sum of its stars and that of their squares."""
    sums = (func.count(), func.sum(score.c.stars), func.sum(score.c.stars * score.c.stars))
    whole = ids.join(score, score.c.request_id == ids.c.id)
    return select(score.c.request_id, *sums).select_from(whole).group_by(score.c.request_id)


def _model_stats(connection: Connection, since: int) -> dict[str, ModelStats]:
    counts = (func.count().label("total"), func.count(attempt.c.error_type).label("errors"))
    query = select(attempt.c.model, *counts).where(attempt.c.started_at >= since).group_by(attempt.c.model)
    rows = connection.execute(query).all()
    whole = sum(row.total for row in rows)
    return {row.model: ModelStats.counted(row.total, row.errors, whole) for row in rows}
