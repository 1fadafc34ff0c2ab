"""Limits: the requests, tokens and money of an account, added up over sliding windows.

An entry at `t` counts from `t` until just before `t` plus the interval: the window is `at > now - interval`. `now` is
the clock or the latest entry of the account, whichever is later: a clock that goes back frees nothing. If it goes back
by more than `LARGEST_STEP`, the entries of the time to come count from now on: else a clock that was wrong by a month
would use up all limits for a month.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from sqlalchemy import ColumnElement, Connection, Executable, bindparam, case, delete, func, select

from herding.errors import LimitError
from herding.store.rows import Row, storable
from herding.store.tables import ledger, request
from herding.store.windows import LATEST, OF_HOLDER, Entry, Sums, Windows, amount, forget
from herding.store.writer import Batch, Rows
from herding.values import MAX_INTERVAL_HOURS, Limit, LimitUse

HOUR = 3_600_000
"""Milliseconds, the unit of all times here."""

LONGEST = MAX_INTERVAL_HOURS * HOUR
"""The longest interval of a limit in milliseconds; younger entries are never pruned."""

LARGEST_STEP = 24 * HOUR
"""Milliseconds by which a clock that goes back may lengthen the wait of a caller at a limit."""

PRUNE_CHUNK = 500
"""Entries that one transaction deletes."""

_AMOUNT: dict[str, ColumnElement[int]] = {
    "request": ledger.c.requests,
    "token": ledger.c.tokens,
    "cost": ledger.c.cost,
}
"""The amount that an entry takes of a limit, by the limit's type."""


def _uses(amount: ColumnElement[int]) -> Executable:
    """Select the sum and the oldest entry of a window."""
    columns = (func.coalesce(func.sum(amount), 0), func.min(case((amount > 0, ledger.c.at))))
    return select(*columns).where(OF_HOLDER, ledger.c.at > bindparam("begin"))


_USES = {kind: _uses(amount) for kind, amount in _AMOUNT.items()}
_AMOUNTS = {
    kind: select(ledger.c.at, amount).where(OF_HOLDER, ledger.c.at > bindparam("begin")).order_by(ledger.c.at)
    for kind, amount in _AMOUNT.items()
}
"""The entries of a window, oldest first."""


@lru_cache(maxsize=1_000)
def lock_number(name: str) -> int:
    """Return a number of 64 bits (signed) for a name, to lock in a database that locks numbers."""
    return int.from_bytes(hashlib.sha256(storable(name).encode()).digest()[:8], signed=True)


def reserve(batch: Batch, row: Row, entry: Entry, limits: Sequence[Limit]) -> Sums:
    """Enter a request with its first row, if all limits allow it. Return the sums of its account. Raises LimitError.

    `entry.at` is the clock. An entry is never earlier than the account's latest one: a clock that goes back frees
    nothing.
    """
    account, request_id, clocked = entry.account, row["id"], entry.at
    windows = Windows.of(batch)
    if windows.contains(request_id):  # entered by a commit whose acknowledgement was lost
        return windows.sums(account)
    now = windows.now(account, clocked)
    if now > clocked + LARGEST_STEP:
        now = windows.move_back(account, clocked)
    entry = entry._replace(at=now)
    refusals = [error for limit in limits if (error := _too_large(limit, entry))]
    refusals = refusals or [error for limit in limits if (error := _refusal(batch, windows, entry, limit, clocked))]
    if refusals:
        raise max(refusals, key=lambda error: error.retry_after)
    windows.enter(request_id, entry)
    batch.add({"reserve": [_row(request_id, entry)], "begin": [row]})
    return windows.sums(account)


def settle(batch: Batch, rows: Rows) -> tuple[str, Sums] | None:
    """Write the rows of a request that ended; reserved tokens and money are replaced by those that were used.

    Return its account with the sums, None where it has no entry or no sums are known.
    """
    windows, account = Windows.of(batch), None
    for row in rows["settle"]:
        account = windows.settle(row["settled_id"], row["called"], row["used"], row["spent"])
    batch.add(rows)
    return (account, windows.sums(account)) if account is not None else None


def cancel(batch: Batch, request_id: str) -> None:
    """Delete an entry, and the request's row if it is still running."""
    request_id = storable(request_id)
    Windows.of(batch).cancel(request_id)
    connection = batch.flush()
    connection.execute(delete(ledger).where(ledger.c.request_id == request_id))
    connection.execute(delete(request).where(request.c.id == request_id, request.c.status == "running"))


def usage(
    connection: Connection, principal: str, limits: Sequence[Limit], clock: Callable[[], int]
) -> tuple[LimitUse, ...]:
    """Return the use of each limit now."""
    principal = storable(principal)
    now = _now(connection, principal, clock())
    return tuple(_use(connection, principal, limit, now) for limit in limits)


def principals(connection: Connection, *, before: int) -> list[str]:
    """Return the accounts that have entries before an instant (Unix milliseconds)."""
    return list(connection.execute(select(ledger.c.principal).where(ledger.c.at < before).distinct()).scalars())


def prune(connection: Connection, principal: str, before: int) -> int:
    """Delete up to PRUNE_CHUNK of a principal's entries before an instant (Unix milliseconds); return their number."""
    entries = select(ledger.c.request_id).where(ledger.c.principal == principal, ledger.c.at < before)
    forget(connection)  # a sum that begins before that would keep what is deleted
    return connection.execute(delete(ledger).where(ledger.c.request_id.in_(entries.limit(PRUNE_CHUNK)))).rowcount


def _now(connection: Connection, principal: str, clocked: int) -> int:
    latest: int | None = connection.execute(LATEST, {"holder": principal}).scalar_one()
    return clocked if latest is None else max(clocked, latest)


def _window(principal: str, limit: Limit, now: int) -> Row:
    """Return the parameters of a statement about a window."""
    return {"holder": principal, "begin": now - limit.interval_ms}


def _use(connection: Connection, principal: str, limit: Limit, now: int) -> LimitUse:
    used, oldest = connection.execute(_USES[limit.type], _window(principal, limit, now)).one()
    return LimitUse(limit, int(used), None if oldest is None else oldest + limit.interval_ms)


def _row(request_id: str, entry: Entry) -> Row:
    """Return the row of an entry whose request runs."""
    return {
        "request_id": request_id,
        "principal": entry.account,
        "at": entry.at,
        "tokens": entry.token,
        "settled": False,
        "cost": entry.cost,
        "requests": entry.request,
    }


def _refusal(batch: Batch, windows: Windows, entry: Entry, limit: Limit, clocked: int) -> LimitError | None:
    """Return the error of a limit that does not allow an entry, else None."""
    account, now, wanted, interval = entry.account, entry.at, amount(entry, limit), limit.interval_ms
    if amount(windows.sum(account, interval, now, exact=False), limit) + wanted <= limit.limit:
        return None
    used = amount(windows.sum(account, interval, now), limit)
    excess = used + wanted - limit.limit
    if excess <= 0:
        return None
    return _exhausted(limit, used, wanted, _freed_at(batch.flush(), account, limit, now, excess) - clocked)


def _freed_at(connection: Connection, principal: str, limit: Limit, now: int, excess: int) -> int:
    """Return when enough of the oldest entries have left the window to free `excess`."""
    window, freed = _window(principal, limit, now), 0
    with connection.execute(_AMOUNTS[limit.type], window, execution_options={"stream_results": True}) as entries:
        leaving = (at for at, size in entries if (freed := freed + size) >= excess)
        return int(next(leaving)) + limit.interval_ms


def _exhausted(limit: Limit, used: int, wanted: int, wait_ms: int) -> LimitError:
    needs = f", and this request may take {limit.in_words(wanted)}" if limit.type != "request" else ""
    seconds, number = wait_ms / 1000, limit.in_words(used).partition(" ")[0]
    message = f"Limit reached: {number} of {_describe(limit)} used{needs}. Try again in {_duration(seconds)}."
    return LimitError(message, retry_after=seconds)


def _too_large(limit: Limit, entry: Entry) -> LimitError | None:
    """Return the error of a limit that an entry alone exceeds, so that waiting does not help; else None."""
    wanted = amount(entry, limit)
    if wanted <= limit.limit:
        return None
    number = limit.in_words(wanted).partition(" ")[0]
    message = f"This request alone is larger than the limit: it may take {number} of {_describe(limit)}."
    advice = "Ask for a higher limit." if limit.type == "request" else "Shorten it, or lower max_tokens."
    return LimitError(f"{message} {advice}", retry_after=limit.interval_ms / 1000)


def _describe(limit: Limit) -> str:
    return f"{limit.in_words(limit.limit)} in {_duration(limit.interval_ms / 1000)}"


def _duration(seconds: float) -> str:
    """Return a time in words, rounded up in its unit."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * size or seconds == size:
            return _plural(math.ceil(seconds / size * 10) / 10, unit)
    return _plural(math.ceil(seconds), "second")


def _plural(number: float, unit: str) -> str:
    return f"{number:g} {unit}{'' if number == 1 else 's'}"
