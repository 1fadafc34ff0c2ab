"""The room that limits surely have left, known without asking the database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from herding.store.windows import Entry, Sum, Sums, amount
from herding.values import Limit

MOST_WAITING = 0.05
"""Share of a limit that entries may take that are not committed yet: what a crash of the app can make it forget."""

MAX_ACCOUNTS = 10_000
"""Accounts that are remembered."""


@dataclass(slots=True)
class _Use:
    """The use of one account: with its latest commit, and queued to be entered since."""

    committed: Sums = field(default_factory=dict)
    waiting: Sum = field(default_factory=lambda: Sum(0, 0, 0, 0))
    entries: int = 0


class Headroom:
    """Tells which requests surely fit into the limits of their account, where one process enters all requests.

    Jobs of an account are committed in the order in which they are queued, and each tells the sums as of its own
    place. Until the next one tells, no more is used than these sums and all that was queued behind: entries only leave
    their windows, and the end of a request is told, too. Not thread-safe: it lives on the event loop.
    """

    def __init__(self) -> None:
        self._uses: dict[str, _Use] = {}

    def fits(self, entry: Entry, limits: Sequence[Limit]) -> bool:
        """Return whether an entry is within all limits for sure; if not, only the ledger can tell."""
        use = self._uses.get(entry.account)
        if use is None:
            return False
        for limit in limits:
            committed = use.committed.get(limit.interval_ms)
            if committed is None:
                return False
            queued = amount(use.waiting, limit) + amount(entry, limit)
            if queued > limit.limit * MOST_WAITING or amount(committed, limit) + queued > limit.limit:
                return False
        return True

    def enter(self, entry: Entry, entered: asyncio.Future[Sums]) -> None:
        """Count an entry that was queued; `entered` has the sums of its account once it is committed."""
        use = self._uses.get(entry.account)
        if use is None:
            if len(self._uses) >= MAX_ACCOUNTS:
                self._uses = {account: use for account, use in self._uses.items() if use.entries}
            use = self._uses[entry.account] = _Use()
        use.entries += 1
        use.waiting.add(entry.request, entry.token, entry.cost)
        entered.add_done_callback(partial(self._entered, use, entry))

    def settle(self, finished: asyncio.Future[tuple[str, Sums] | None]) -> None:
        """Take over the sums of an account with the end of one of its requests, which is committed."""
        if finished.cancelled() or finished.exception() or not (result := finished.result()):
            return
        account, sums = result
        if use := self._uses.get(account):
            use.committed = sums

    def _entered(self, use: _Use, entry: Entry, entered: asyncio.Future[Sums]) -> None:
        use.entries -= 1
        use.waiting.add(entry.request, entry.token, entry.cost, sign=-1)
        if not entered.cancelled() and entered.exception() is None:
            use.committed = entered.result()
