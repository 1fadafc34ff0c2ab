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
from herding.store.batch import Batch, Look, Rows
from herding.store.rows import Row, storable
from herding.store.tables import ledger, request
from herding.store.windows import Sum, Windows
from herding.values import MAX_INTERVAL_HOURS, Limit, LimitUse

HOUR = 3_600_000
"""In milliseconds, as all times here."""

LONGEST = MAX_INTERVAL_HOURS * HOUR
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


_USES = {kind: _uses(amount) for kind, amount in _AMOUNT.items()}
_AMOUNTS = {
    kind: select(ledger.c.at, amount).where(_MINE, ledger.c.at > bindparam("begin")).order_by(ledger.c.at)
    for kind, amount in _AMOUNT.items()
}
"""The entries of a window, oldest first."""


def key(principal: str) -> int:
    """A number of 64 bits (signed) that stands for a principal where a database locks numbers."""
    return int.from_bytes(hashlib.sha256(storable(principal).encode()).digest()[:8], signed=True)


def reserve(running: Row, *, account: str, limits: Sequence[Limit], tokens: int, clock: Clock) -> Look:
    """Enters a request where all limits of `account` allow it, with its first row; raises LimitError where not."""
    account, tokens = storable(account), max(0, tokens)

    def look(batch: Batch) -> None:
        windows = Windows.of(batch)
        if windows.has(running["id"]):
            return
        clocked = clock()
        now = windows.now(account, clocked)
        entry = {"request_id": running["id"], "principal": account, "at": now, "tokens": tokens, "settled": False}
        refusals = _hopeless(entry, limits) or [_refusal(batch, windows, entry, limit, clocked) for limit in limits]
        if worst := max(filter(None, refusals), key=lambda error: error.retry_after, default=None):
            raise worst
        windows.enter(entry)
        batch.add({"reserve": [entry], "begin": [running]})

    return look


def finish(rows: Rows) -> Look:
    """Writes the `rows` of a request that ended; what it had reserved becomes what it used."""

    def look(batch: Batch) -> None:
        for row in rows["settle"]:
            Windows.of(batch).settle(row["settled_id"], row["used"])
        batch.add(rows)

    return look


def take_back(request_id: str) -> Look:
    """Deletes an entry, and the request's row where that did not get further than its start."""
    request_id = storable(request_id)

    def look(batch: Batch) -> None:
        Windows.of(batch).take_back(request_id)
        connection = batch.written()
        connection.execute(delete(ledger).where(ledger.c.request_id == request_id))
        connection.execute(delete(request).where(request.c.id == request_id, request.c.status == "running"))

    return look


def usage(connection: Connection, principal: str, limits: Sequence[Limit], clock: Clock) -> tuple[LimitUse, ...]:
    """How much of each limit is used now."""
    principal = storable(principal)
    now = _now(connection, principal, clock())
    return tuple(_use(connection, principal, limit, now) for limit in limits)


def principals(connection: Connection, *, before: int) -> list[str]:
    """Who has entries before an instant (Unix milliseconds)."""
    return list(connection.execute(select(ledger.c.principal).where(ledger.c.at < before).distinct()).scalars())


def prune(principal: str, before: int) -> Callable[[Connection], int]:
    """A task that deletes some of a principal's entries before an instant (Unix milliseconds), and says how many.

    They are older than any window.
    """
    old = select(ledger.c.request_id).where(ledger.c.principal == principal, ledger.c.at < before).limit(PRUNED)

    def task(connection: Connection) -> int:
        return connection.execute(delete(ledger).where(ledger.c.request_id.in_(old))).rowcount

    return task


def _now(connection: Connection, principal: str, clocked: int) -> int:
    latest: int | None = connection.execute(_LATEST, {"holder": principal}).scalar_one()
    return clocked if latest is None else max(clocked, latest)


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


def _refusal(batch: Batch, windows: Windows, entry: Row, limit: Limit, clocked: int) -> LimitError | None:
    """Why a limit does not allow an entry, None where it does."""
    account, now, wanted = entry["principal"], entry["at"], _wanted(entry, limit)
    if _used(windows.sum(account, _interval(limit), now, exact=False), limit) + wanted <= limit.limit:
        return None
    used = _used(windows.sum(account, _interval(limit), now), limit)
    excess = used + wanted - limit.limit
    if excess <= 0:
        return None
    return _used_up(limit, used, wanted, _freed_at(batch.written(), account, limit, now, excess) - clocked)


def _used(found: Sum, limit: Limit) -> int:
    return found.requests if limit.type == "request" else found.tokens


def _freed_at(connection: Connection, principal: str, limit: Limit, now: int, excess: int) -> int:
    """When so many of the oldest entries have left the window that `excess` is gone."""
    window, freed = _window(principal, limit, now), 0
    with connection.execute(_AMOUNTS[limit.type], window, execution_options={"stream_results": True}) as entries:
        leaving = (at for at, amount in entries if (freed := freed + amount) >= excess)
        return int(next(leaving)) + _interval(limit)


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
