"""Sums over sliding windows of the ledger, cached so that no request adds up a whole window."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select, update

from herding.store.tables import ledger
from herding.store.writer import Batch
from herding.values import Limit

LAG = 1_000
"""Milliseconds that a cached sum may begin before its window, as long as even that larger sum is within the limit."""

MAX_ACCOUNTS = 10_000
"""Accounts with cached sums."""

_CACHE_KEY = "herding ledger windows"
OF_HOLDER = ledger.c.principal == bindparam("holder")
LATEST = select(func.max(ledger.c.at)).where(OF_HOLDER)
_BETWEEN = select(
    func.coalesce(func.sum(ledger.c.requests), 0),
    func.coalesce(func.sum(ledger.c.tokens), 0),
    func.coalesce(func.sum(ledger.c.cost), 0),
).where(OF_HOLDER, ledger.c.at > bindparam("after"), ledger.c.at <= bindparam("until"))
_ENTRY = select(ledger.c.principal, ledger.c.at, ledger.c.requests, ledger.c.tokens, ledger.c.cost)


class Entry(NamedTuple):
    """The amounts that a request takes of each type of limit, and the instant from which it counts."""

    account: str
    at: int
    request: int
    token: int
    cost: int


@dataclass(slots=True)
class Sum:
    """The sums of the entries after `begin`: requests, tokens, and cost in nano-dollars."""

    begin: int
    request: int
    token: int
    cost: int

    def add(self, requests: int, tokens: int, cost: int, sign: int = 1) -> None:
        """Add (`sign` 1) or subtract (-1) amounts."""
        self.request += sign * requests
        self.token += sign * tokens
        self.cost += sign * cost


Sums = Mapping[int, Sum]
"""The use of an account by interval in milliseconds."""


def amount(of: Entry | Sum, limit: Limit) -> int:
    """Return the amount that an entry takes of a limit, or that a sum of entries takes."""
    found: int = getattr(of, limit.type)
    return found


def forget(connection: Connection) -> None:
    """Drop the cache of a connection that deletes entries other than those of a request."""
    connection.info.pop(_CACHE_KEY, None)


class Windows:
    """A cache of the ledger for the transactions of one connection.

    On SQLite it stays valid for the next transaction, unless another connection wrote in between, which SQLite
    reports. On PostgreSQL every transaction begins with an empty cache, since other processes write too. A sum is read
    once and then kept up to date: new entries are added, entries that leave the window are read and subtracted.
    """

    def __init__(self, batch: Batch, version: int | None) -> None:
        self._batch = self._born = batch
        self._version = version
        self._latest: dict[str, int] = {}
        self._sums: dict[str, dict[int, Sum]] = {}
        self._running: dict[str, Entry] = {}

    @classmethod
    def of(cls, batch: Batch) -> Windows:
        """Return the cache for a batch. It lives in the connection, which a failed commit closes."""
        info = batch.connection.info
        windows: Windows | None = info.get(_CACHE_KEY)
        if windows is not None and windows._batch is batch:
            return windows
        version = _version(batch)
        if windows is None or version is None or version != windows._version:
            windows = info[_CACHE_KEY] = cls(batch, version)
        windows._batch = batch
        return windows

    def contains(self, request_id: str) -> bool:
        """Return whether a request is entered already."""
        if request_id in self._running:
            return True
        return self._born is self._batch and self._find(request_id) is not None

    def now(self, account: str, clocked: int) -> int:
        """Return the clock, or the account's latest entry if that is later."""
        if account not in self._latest:
            if len(self._latest) >= MAX_ACCOUNTS:  # accounts are read again when they return
                self._latest.clear()
                self._sums.clear()
            latest = self._batch.flush().execute(LATEST, {"holder": account}).scalar_one()
            self._latest[account] = latest or 0
        return max(clocked, self._latest[account])

    def move_back(self, account: str, clocked: int) -> int:
        """Let the entries of an account that are later than the clock count from now on; return the clock."""
        self._sums.pop(account, None)
        connection = self._batch.flush()
        connection.execute(
            update(ledger).where(ledger.c.principal == account, ledger.c.at > clocked).values(at=clocked)
        )
        self._latest[account] = clocked
        for request_id, entry in self._running.items():
            if entry.account == account and entry.at > clocked:
                self._running[request_id] = entry._replace(at=clocked)
        return clocked

    def sum(self, account: str, interval: int, now: int, *, exact: bool = True) -> Sum:
        """Return the use of an account in the last `interval`; if not `exact`, the window may be LAG longer."""
        begin, mine = now - interval, self._sums.setdefault(account, {})
        found = mine.get(interval)
        if found is None:
            found = mine[interval] = Sum(begin, *self._between(account, begin, now))
        elif exact or not 0 <= begin - found.begin <= LAG:
            self._move(found, account, begin)
        return found

    def sums(self, account: str) -> Sums:
        """Return a copy of the cached sums of an account. None of them is less than the use of its interval."""
        mine = self._sums.get(account, {})
        return {interval: Sum(found.begin, found.request, found.token, found.cost) for interval, found in mine.items()}

    def enter(self, request_id: str, entry: Entry) -> None:
        """Add an entry that is about to be written."""
        self._running[request_id] = entry
        self._latest[entry.account] = entry.at
        self._add(entry, entry.request, entry.token, entry.cost)

    def settle(self, request_id: str, called: int, used: int, spent: int) -> str | None:
        """Replace the reserved requests, tokens and nano-dollars of an entry by those that were used.

        Return the account, None where there is no entry or no sum that may include it.
        """
        found = self._running.pop(request_id, None) or self._find_foreign(request_id)
        if found is None:
            return None
        self._add(found, called - found.request, used - found.token, spent - found.cost)
        return found.account

    def cancel(self, request_id: str) -> None:
        """Subtract an entry that is about to be deleted."""
        found = self._running.pop(request_id, None) or self._find_foreign(request_id)
        if found:
            self._add(found, -found.request, -found.token, -found.cost)
            self._latest.pop(found.account, None)

    def _add(self, entry: Entry, requests: int, tokens: int, cost: int) -> None:
        for found in self._sums.get(entry.account, {}).values():
            if entry.at > found.begin:
                found.add(requests, tokens, cost)

    def _move(self, found: Sum, account: str, begin: int) -> None:
        """Move the begin of a sum."""
        first, last = sorted((found.begin, begin))
        found.add(*self._between(account, first, last), sign=1 if begin < found.begin else -1)
        found.begin = begin

    def _between(self, account: str, after: int, until: int) -> tuple[int, int, int]:
        between = {"holder": account, "after": after, "until": until}
        requests, tokens, cost = self._batch.flush().execute(_BETWEEN, between).one()
        return int(requests), int(tokens), int(cost)

    def _find_foreign(self, request_id: str) -> Entry | None:
        """Read an entry that another process made; it matters only if there are sums that may include it."""
        return self._find(request_id) if self._sums else None

    def _find(self, request_id: str) -> Entry | None:
        found = self._batch.flush().execute(_ENTRY.where(ledger.c.request_id == request_id)).first()
        return Entry(*found) if found else None


def _version(batch: Batch) -> int | None:
    """Return a number that changes when another connection has written; None if the database has none."""
    if batch.connection.dialect.name != "sqlite":
        return None
    with closing(batch.connection.connection.cursor()) as cursor:
        cursor.execute("PRAGMA data_version")
        return int(cursor.fetchall()[0][0])
