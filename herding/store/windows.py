"""Sums over sliding windows of the ledger, kept in memory so that no request adds up a whole window."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import bindparam, func, select

from herding.store.batch import Batch
from herding.store.rows import Row
from herding.store.tables import ledger

LAG = 1_000
"""How far, in milliseconds, a sum may reach back behind its window while all that it holds is allowed anyway."""

MOST_ACCOUNTS = 10_000
"""Accounts whose sums are kept."""

_KEPT = "herding ledger"
_MINE = ledger.c.principal == bindparam("holder")
_LATEST = select(func.max(ledger.c.at)).where(_MINE)
_BETWEEN = select(func.count(), func.coalesce(func.sum(ledger.c.tokens), 0)).where(
    _MINE, ledger.c.at > bindparam("after"), ledger.c.at <= bindparam("until")
)
_ENTRY = select(ledger.c.principal, ledger.c.at, ledger.c.tokens)


class _Entry(NamedTuple):
    account: str
    at: int
    tokens: int


@dataclass(slots=True)
class Sum:
    """The requests and their tokens that were entered after `begin`."""

    begin: int
    requests: int
    tokens: int


class Windows:
    """What one transaction knows of the ledger.

    On SQLite it is true for the next transaction as well, unless another connection wrote in between, which SQLite
    tells. On PostgreSQL every transaction begins anew: other processes may have entered something, and only the
    locks that a transaction holds keep them from it. A sum is made by one look at the ledger, and then moved along:
    what is entered is added, what leaves the window is looked up and subtracted.
    """

    def __init__(self, batch: Batch, version: int | None) -> None:
        self._batch = self._born = batch
        self._version = version
        self._latest: dict[str, int] = {}
        self._sums: dict[str, dict[int, Sum]] = {}
        self._running: dict[str, _Entry] = {}

    @classmethod
    def of(cls, batch: Batch) -> Windows:
        """Those of a transaction; whatever ends a connection, such as a failed commit, ends them too."""
        info = batch.connection.info
        kept: Windows | None = info.get(_KEPT)
        if kept is not None and kept._batch is batch:
            return kept
        version = _version(batch)
        if kept is None or version is None or version != kept._version:
            kept = info[_KEPT] = cls(batch, version)
        kept._batch = batch
        return kept

    def has(self, request_id: str) -> bool:
        """Whether a request is entered already: by a commit whose answer was lost."""
        if request_id in self._running:
            return True
        return self._born is self._batch and self._find(request_id) is not None

    def now(self, account: str, clocked: int) -> int:
        """The clock, or the account's latest entry where that is later: a clock that goes back frees nothing."""
        if account not in self._latest:
            if len(self._latest) >= MOST_ACCOUNTS:  # all are looked up again as they come
                self._latest.clear()
                self._sums.clear()
            latest = self._batch.written().execute(_LATEST, {"holder": account}).scalar_one()
            self._latest[account] = latest or 0
        return max(clocked, self._latest[account])

    def sum(self, account: str, interval: int, now: int, *, exact: bool = True) -> Sum:
        """What an account used in the `interval` that ends now; it may be more, `LAG` longer, if not `exact`."""
        begin, mine = now - interval, self._sums.setdefault(account, {})
        found = mine.get(interval)
        if found is None:
            found = mine[interval] = Sum(begin, *self._between(account, begin, now))
        elif exact or not 0 <= begin - found.begin <= LAG:
            self._move(found, account, begin)
        return found

    def enter(self, entry: Row) -> None:
        """An entry is about to be written."""
        account, at, tokens = made = _Entry(entry["principal"], entry["at"], entry["tokens"])
        self._running[entry["request_id"]] = made
        self._latest[account] = at
        self._add(made, 1, tokens)

    def settle(self, request_id: str, used: int) -> None:
        """The tokens that were reserved are about to be replaced by those that were used."""
        found = self._running.pop(request_id, None) or self._elsewhere(request_id)
        if found:
            self._add(found, 0, used - found.tokens)

    def take_back(self, request_id: str) -> None:
        """An entry is about to be deleted."""
        found = self._running.pop(request_id, None) or self._elsewhere(request_id)
        if found:
            self._add(found, -1, -found.tokens)
            self._latest.pop(found.account, None)

    def _add(self, entry: _Entry, requests: int, tokens: int) -> None:
        for found in self._sums.get(entry.account, {}).values():
            if entry.at > found.begin:
                found.requests += requests
                found.tokens += tokens

    def _move(self, found: Sum, account: str, begin: int) -> None:
        """Let `found` begin at another time."""
        first, last = sorted((found.begin, begin))
        requests, tokens = self._between(account, first, last)
        sign = 1 if begin < found.begin else -1
        found.begin, found.requests, found.tokens = (
            begin,
            found.requests + sign * requests,
            found.tokens + sign * tokens,
        )

    def _between(self, account: str, after: int, until: int) -> tuple[int, int]:
        between = {"holder": account, "after": after, "until": until}
        requests, tokens = self._batch.written().execute(_BETWEEN, between).one()
        return requests, int(tokens)

    def _elsewhere(self, request_id: str) -> _Entry | None:
        """An entry that was not made here; it only matters where there is a sum that may hold it."""
        return self._find(request_id) if self._sums else None

    def _find(self, request_id: str) -> _Entry | None:
        found = self._batch.written().execute(_ENTRY.where(ledger.c.request_id == request_id)).first()
        return _Entry(*found) if found else None


def _version(batch: Batch) -> int | None:
    """A number that changes when another connection has written; None where no database tells."""
    if batch.connection.dialect.name != "sqlite":
        return None
    with closing(batch.connection.connection.cursor()) as cursor:
        cursor.execute("PRAGMA data_version")
        return int(cursor.fetchall()[0][0])
