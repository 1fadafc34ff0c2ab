"""Sums of requests: counts, tokens, money and times, by user, token, prompt, model, node and day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, literal_column, select

from herding.errors import UserError
from herding.store.database import Reader
from herding.store.history import conditions
from herding.store.tables import request
from herding.values import GroupName, HistoryFilter, UsageGroup, UsageSum
from herding.values.durations import DAY_MS

MAX_GROUPS = 10_000
"""Groups that one query returns."""

_SUCCEEDED = request.c.status == "succeeded"
_COLUMNS: dict[GroupName, ColumnElement[Any]] = {
    "user": request.c.principal,
    "token": request.c.token,
    "prompt": request.c.prompt,
    "kind": request.c.kind,
    "model": request.c.model,
    "node": request.c.node,
    "status": request.c.status,
    "day": request.c.created_at - request.c.created_at % literal_column(str(DAY_MS)),
}
"""The expression of each name that requests are grouped by."""


class UsageStore:
    """The part of the store that adds up requests."""

    _reader: Reader

    async def usage_sums(self, where: HistoryFilter, by: Sequence[GroupName]) -> tuple[UsageGroup, ...]:
        """Return the sums of the matching requests by group, in the order of the groups' keys; running ones count.

        Without names there is one group, with an empty key. Raises UserError above 10,000 groups.
        """
        found = await self._reader.run(lambda c: _groups(c, where, tuple(by)))
        if len(found) > MAX_GROUPS:
            raise UserError(f"More than {MAX_GROUPS:,} groups. Choose a shorter period or fewer groups.", param="from")
        return tuple(found)


def _groups(connection: Connection, where: HistoryFilter, by: tuple[GroupName, ...]) -> list[UsageGroup]:
    rows = connection.execute(_query(where, by)).all()
    groups = [UsageGroup(tuple(row[: len(by)]), _sums(row)) for row in rows]
    return sorted(groups, key=lambda group: [(part is not None, part) for part in group.key])


def _query(where: HistoryFilter, by: tuple[GroupName, ...]) -> Select[Any]:
    names = [_COLUMNS[name].label(f"by_{name}") for name in by]
    sums = (
        func.count().label("requests"),
        func.count(case((_SUCCEEDED, 1))).label("succeeded"),
        func.count(case((request.c.status.in_(("failed", "partial")), 1))).label("failed"),
        func.coalesce(func.sum(request.c.input_tokens), 0).label("input_tokens"),
        func.coalesce(func.sum(request.c.output_tokens), 0).label("output_tokens"),
        func.sum(request.c.cost).label("cost"),
        func.count(request.c.cost).label("priced"),
        func.avg(case((_SUCCEEDED, request.c.total_ms))).label("mean_ms"),
        func.avg(case((_SUCCEEDED, request.c.first_token_ms))).label("mean_first_token_ms"),
    )
    return select(*names, *sums).where(*conditions(where)).group_by(*names).limit(MAX_GROUPS + 1)


def _sums(row: Row[Any]) -> UsageSum:
    """Return the sums of a row; PostgreSQL adds up integers as decimals."""
    return UsageSum(
        requests=row.requests,
        succeeded=row.succeeded,
        failed=row.failed,
        input_tokens=int(row.input_tokens),
        output_tokens=int(row.output_tokens),
        cost=None if row.cost is None else int(row.cost),
        priced=row.priced,
        mean_ms=row.mean_ms,
        mean_first_token_ms=row.mean_first_token_ms,
    )
