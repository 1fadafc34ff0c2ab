"""Sums of requests: counts, tokens, money and times, by user, token, prompt, model, node and day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, case, func, literal_column, select

from herding.errors import UserError
from herding.store.database import Reader
from herding.store.history import conditions
from herding.store.tables import request
from herding.values import GroupName, HistoryFilter, UsageGroup, UsageSum
from herding.values.durations import DAY_MS, HOUR_MS, MINUTE_MS

MAX_GROUPS = 10_000
"""Groups that one query returns."""

_SUCCEEDED = request.c.status == "succeeded"
_COLUMNS: dict[GroupName, ColumnElement[Any]] = {
    # Not the plain column: SQLite would then go by the index in its order, which has not all that is added up.
    "user": request.c.principal.concat(literal_column("''")),
    "token": request.c.token,
    "prompt": request.c.prompt,
    "kind": request.c.kind,
    "model": request.c.model,
    "node": request.c.node,
    "status": request.c.status,
    "day": request.c.created_at - request.c.created_at % literal_column(str(DAY_MS)),
    "hour": request.c.created_at - request.c.created_at % literal_column(str(HOUR_MS)),
    "minute": request.c.created_at - request.c.created_at % literal_column(str(MINUTE_MS)),
}
"""The expression of each name that requests are grouped by."""


class GroupedUsage(NamedTuple):
    """The sums of some requests, all together and by group."""

    total: UsageSum
    groups: tuple[UsageGroup, ...]


class UsageStore:
    """The part of the store that adds up requests."""

    _reader: Reader

    async def usage_sums(self, where: HistoryFilter, by: Sequence[GroupName]) -> GroupedUsage:
        """Return the sums of the matching requests, all together and by group; running ones count.

        A chain is counted by its steps; the request of the chain itself only where the filter asks for that kind.

        Groups are in the order of their keys. Without names there is none. Raises UserError above 10,000 groups.
        """
        names = tuple(by)
        rows = await self._reader.run(lambda c: c.execute(_query(where, names)).all())
        if len(rows) > MAX_GROUPS:
            raise UserError(f"More than {MAX_GROUPS:,} groups. Choose a shorter period or fewer groups.", param="from")
        sums = [row[len(names) :] for row in rows]
        total = _to_sum([_add(column) for column in zip(*sums, strict=True)]) if sums else UsageSum()
        groups = [UsageGroup(tuple(row[: len(names)]), _to_sum(row[len(names) :])) for row in rows] if names else []
        ordered = sorted(groups, key=lambda group: [(part is not None, part) for part in group.key])
        return GroupedUsage(total, tuple(ordered))


def _query(where: HistoryFilter, by: tuple[GroupName, ...]) -> Select[Any]:
    names = [_COLUMNS[name].label(f"by_{name}") for name in by]
    sums = (
        func.count(),
        func.count(case((_SUCCEEDED, 1))),
        func.count(case((request.c.status.in_(("failed", "partial")), 1))),
        func.sum(request.c.input_tokens),
        func.sum(request.c.output_tokens),
        func.sum(request.c.cost),
        func.count(request.c.cost),
        func.sum(case((_SUCCEEDED, request.c.total_ms))),
        func.sum(case((_SUCCEEDED, request.c.first_token_ms))),
        func.count(case((_SUCCEEDED, request.c.first_token_ms))),
    )
    fitting = conditions(where)
    if where.kind is None and where.parent is None:
        fitting.append(request.c.kind != "chain")
    return select(*names, *sums).where(*fitting).group_by(*names).limit(MAX_GROUPS + 1)


def _add(values: Sequence[Any]) -> Any:
    """Return the sum of the values that are known; None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _to_sum(row: Sequence[Any]) -> UsageSum:
    """Return the sums of a row; PostgreSQL adds up integers as decimals."""
    requests, succeeded, failed, read, written, cost, priced, total_ms, first_ms, timed = row
    return UsageSum(
        requests=requests,
        succeeded=succeeded,
        failed=failed,
        input_tokens=int(read or 0),
        output_tokens=int(written or 0),
        cost=None if cost is None else int(cost),
        priced=priced,
        mean_ms=total_ms / succeeded if succeeded else None,
        mean_first_token_ms=first_ms / timed if timed else None,
    )
