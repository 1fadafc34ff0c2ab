"""Limits: what a principal reserved and used, added up over sliding windows.

What was entered at `t` counts from `t` on and no longer counts at `t` plus the interval: the window is `at > now -
interval`, so any interval that includes one of its two ends holds what the limit allows and no more. `now` is the
clock or the principal's latest entry, whichever is later: a clock that goes back frees nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, Connection, Executable, bindparam, case, delete, func, literal, select

from herding.errors import LimitError
from herding.store.rows import Row, storable
from herding.store.tables import ledger, request
from herding.values import Limit, LimitUse

HOUR = 3_600_000

LONGEST = 31 * 24 * HOUR
"""The longest interval of a limit, in milliseconds; younger entries are never pruned."""

PRUNED = 500
"""Entries that one task deletes."""

Clock = Callable[[], int]


_MINE = ledger.c.principal == bindparam("holder")
_LATEST = select(func.max(ledger.c.at)).where(_MINE)
_AMOUNT: dict[str, ColumnElement[int]] = {"request": literal(1), "token": ledger.c.tokens}
"""What an entry takes of a limit."""


def _uses(amount: ColumnElement[int]) -> Executable:
    """Sum and oldest entry of a window."""
    columns = (func.coalesce(func.sum(amount), 0), func.min(case((amount > 0, ledger.c.at))))
    return select(*columns).where(_MINE, ledger.c.at > bindparam("begin"))


def _frees(amount: ColumnElement[int]) -> Executable:
    """The entry of a window that takes the excess with it when it leaves after those before it."""
    added = func.sum(amount).over(order_by=ledger.c.at, rows=(None, 0)).label("added")
    window = select(ledger.c.at, added).where(_MINE, ledger.c.at > bindparam("begin")).subquery()
    return select(func.min(window.c.at)).where(window.c.added >= bindparam("excess"))


_USES = {kind: _uses(amount) for kind, amount in _AMOUNT.items()}
_FREES = {kind: _frees(amount) for kind, amount in _AMOUNT.items()}


def row(running: Row, account: str, tokens: int, now: int) -> Row:
    """The row for the statement `reserve`; `running` is the request's first row, `account` whose limits it uses up."""
    return {
        "request_id": running["id"],
        "principal": storable(account),
        "holder": storable(account),
        "tokens": max(0, tokens),
        "settled": False,
        "now": now,
    }


def instant(dialect: str) -> ColumnElement[int]:
    """When an entry is made, from the parameters `now` and `holder`: never before the holder's latest entry."""
    now = bindparam("now", type_=ledger.c.at.type)
    later = func.greatest if dialect == "postgresql" else func.max
    return later(now, func.coalesce(_LATEST.scalar_subquery(), now), type_=ledger.c.at.type)


def key(principal: str) -> int:
    """A number of 64 bits (signed) that stands for a principal where a database locks numbers."""
    return int.from_bytes(hashlib.sha256(storable(principal).encode()).digest()[:8], signed=True)


def reserve(
    running: Row, *, account: str, limits: Sequence[Limit], tokens: int, clock: Clock, enter: Sequence[Executable]
) -> Callable[[Connection], None]:
    """A task that enters a request where all limits allow it; raises LimitError where one does not.

    `enter` are the statements that write the entry and the request's first row. It refuses before it writes.
    """

    def task(connection: Connection) -> None:
        clocked = clock()
        entry = row(running, account, tokens, clocked)
        now = _now(connection, entry["principal"], clocked)
        refusals = _hopeless(entry, limits) or [_refusal(connection, entry, limit, now, clocked) for limit in limits]
        if worst := max(filter(None, refusals), key=lambda error: error.retry_after, default=None):
            if _is_entered(connection, entry["request_id"]):  # by a commit whose answer was lost
                return
            raise worst
        for statement, values in zip(enter, (entry, running), strict=True):
            connection.execute(statement, [values])

    return task


def take_back(request_id: str) -> Callable[[Connection], None]:
    """A task that deletes an entry, and the request's row where that did not get further than its start."""
    request_id = storable(request_id)

    def task(connection: Connection) -> None:
        connection.execute(delete(ledger).where(ledger.c.request_id == request_id))
        connection.execute(delete(request).where(request.c.id == request_id, request.c.status == "running"))

    return task


def usage(connection: Connection, principal: str, limits: Sequence[Limit], clock: Clock) -> tuple[LimitUse, ...]:
    """How much of each limit is used now."""
    principal = storable(principal)
    now = _now(connection, principal, clock())
    return tuple(_use(connection, principal, limit, now) for limit in limits)


def principals(connection: Connection, *, before: int) -> list[str]:
    """Who has entries before an instant (Unix milliseconds)."""
    return list(connection.execute(select(ledger.c.principal).where(ledger.c.at < before).distinct()).scalars())


def prune(principal: str, before: int) -> Callable[[Connection], int]:
    """A task that deletes some of a principal's entries before an instant (Unix milliseconds), and says how many."""
    old = select(ledger.c.request_id).where(ledger.c.principal == principal, ledger.c.at < before).limit(PRUNED)

    def task(connection: Connection) -> int:
        return connection.execute(delete(ledger).where(ledger.c.request_id.in_(old))).rowcount

    return task


def _now(connection: Connection, principal: str, clocked: int) -> int:
    latest: int | None = connection.execute(_LATEST, {"holder": principal}).scalar_one()
    return clocked if latest is None else max(clocked, latest)


def _is_entered(connection: Connection, request_id: str) -> bool:
    found = select(ledger.c.request_id).where(ledger.c.request_id == request_id)
    return connection.execute(found).first() is not None


def _interval(limit: Limit) -> int:
    """Milliseconds."""
    return max(1, round(limit.interval_hours * HOUR))


def _window(principal: str, limit: Limit, now: int) -> Row:
    """The parameters of a statement about a window."""
    return {"holder": principal, "begin": now - _interval(limit)}


def _use(connection: Connection, principal: str, limit: Limit, now: int) -> LimitUse:
    used, oldest = connection.execute(_USES[limit.type], _window(principal, limit, now)).one()
    return LimitUse(limit, int(used), None if oldest is None else oldest + _interval(limit))


def _hopeless(entry: Row, limits: Sequence[Limit]) -> list[LimitError | None]:
    """Why no waiting will do: limits that the entry alone is larger than."""
    return [_too_large(limit, wanted) for limit in limits if (wanted := _wanted(entry, limit)) > limit.limit]


def _wanted(entry: Row, limit: Limit) -> int:
    """What an entry would take of a limit."""
    return 1 if limit.type == "request" else int(entry["tokens"])


def _refusal(connection: Connection, entry: Row, limit: Limit, now: int, clocked: int) -> LimitError | None:
    """Why a limit does not allow an entry, None where it does."""
    wanted = _wanted(entry, limit)
    used = _use(connection, entry["principal"], limit, now).used
    excess = used + wanted - limit.limit
    if excess <= 0:
        return None
    return _used_up(limit, used, wanted, _freed_at(connection, entry["principal"], limit, now, excess) - clocked)


def _freed_at(connection: Connection, principal: str, limit: Limit, now: int, excess: int) -> int:
    """When so many of the oldest entries have left the window that `excess` is gone."""
    window = _window(principal, limit, now) | {"excess": excess}
    return int(connection.execute(_FREES[limit.type], window).scalar_one()) + _interval(limit)


def _used_up(limit: Limit, used: int, wanted: int, wait_ms: int) -> LimitError:
    needs = f", and this request may take {wanted:,} tokens" if limit.type == "token" else ""
    seconds = wait_ms / 1000
    message = f"Of {_named(limit)}, {used:,} are used{needs}. Try again in {_span(seconds)}."
    return LimitError(message, retry_after=seconds)


def _too_large(limit: Limit, wanted: int) -> LimitError:
    """Waiting does not help: the interval is as good as any time."""
    message = f"This request alone is larger than the limit: it may take {wanted:,} of {_named(limit)}."
    advice = "Ask for a higher limit." if limit.type == "request" else "Shorten it, or lower max_tokens."
    return LimitError(f"{message} {advice}", retry_after=_interval(limit) / 1000)


def _named(limit: Limit) -> str:
    return f"{limit.limit:,} {limit.type}s in {_span(_interval(limit) / 1000)}"


def _span(seconds: float) -> str:
    """A time in words, rounded up in its unit."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * size or seconds == size:
            return _counted(math.ceil(seconds / size * 10) / 10, unit)
    return _counted(math.ceil(seconds), "second")


def _counted(number: float, unit: str) -> str:
    return f"{number:g} {unit}{'' if number == 1 else 's'}"
