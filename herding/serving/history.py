"""The history of requests, as far as a principal may see it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Collection

from herding.access.operations import RATE
from herding.access.roles import only_own, owner_filter, require
from herding.errors import NotFoundError
from herding.store import Facets, Store
from herding.values import (
    Entry,
    HistoryCount,
    HistoryFilter,
    HistoryPosition,
    HistorySlice,
    HistorySort,
    Outcome,
    Page,
    Principal,
    ReviewQueue,
)

MAX_PAGE = 200

MAX_NEWER = 100
"""New requests that are counted at most."""

REVIEWED = 1_000
"""Responses that the queue of a review holds at most."""


class History:
    """Looks up requests: all of them for principals with that right, else only the principal's own.

    Every method raises AccessError without the right to read the history.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, where: HistoryFilter, who: Principal, *, offset: int = 0, limit: int = 25) -> Page:
        """Return a page of the matching requests, newest first; `limit` is at most 200."""
        where = _restricted(where, who)
        return await self._store.history(
            where, viewer=who.id, offset=max(0, offset), limit=max(1, min(limit, MAX_PAGE))
        )

    async def slice(
        self,
        where: HistoryFilter,
        who: Principal,
        *,
        sort: HistorySort | None = None,
        after: HistoryPosition | None = None,
        limit: int = 25,
    ) -> HistorySlice:
        """Return the next matching requests in an order, newest first without one; `limit` is at most 200."""
        return await self._store.slice(
            _restricted(where, who),
            viewer=who.id,
            sort=sort or HistorySort(),
            after=after,
            limit=max(1, min(limit, MAX_PAGE)),
        )

    async def count(self, where: HistoryFilter, who: Principal) -> HistoryCount:
        """Return the number of the matching requests."""
        return await self._store.count(_restricted(where, who))

    async def newer(self, where: HistoryFilter, than: tuple[int, str] | None, who: Principal) -> int:
        """Return the number of matching requests that arrived after the instant and id of one, at most 100."""
        return await self._store.newer(_restricted(where, who), than=than, limit=MAX_NEWER)

    def export(self, where: HistoryFilter, who: Principal) -> AsyncIterator[Entry]:
        """Yield all matching requests, newest first."""
        return self._store.export(_restricted(where, who), viewer=who.id)

    async def entry(self, request_id: str, who: Principal) -> Entry:
        """Return one request. Raises NotFoundError, also for requests of others."""
        entry = await self._store.entry(request_id, viewer=who.id, owner=owner_filter(who))
        if entry is None:
            raise NotFoundError("Request not found.", param="request_id")
        return entry

    async def chat(self, request_id: str, who: Principal) -> tuple[Outcome, ...]:
        """Return the latest requests of the chat that a request is part of, newest first, at most 200.

        A request without a session is all of its chat. Raises NotFoundError, also for requests of others.
        """
        outcome = (await self.entry(request_id, who)).outcome
        if not outcome.session_id:
            return (outcome,)
        where = HistoryFilter(principal=outcome.principal, session_id=outcome.session_id)
        page = await self._store.history(where, viewer=who.id, offset=0, limit=MAX_PAGE)
        return tuple(entry.outcome for entry in page.entries)

    async def review(
        self, where: HistoryFilter, who: Principal, *, sample: bool = False, skip: Collection[str] = ()
    ) -> ReviewQueue:
        """Return the next response that `who` may see and has not rated: the newest one, or a random one.

        The queue holds the newest responses that match, at most 1,000. Those in `skip` are left out. Raises
        AccessError without the right to rate, too.
        """
        require(who, RATE)
        found = await self._store.unrated(_restricted(where, who), viewer=who.id, limit=REVIEWED)
        ids = [request_id for request_id in found if request_id not in skip]
        if not ids:
            return ReviewQueue(None, 0)
        chosen = secrets.choice(ids) if sample else ids[0]
        return ReviewQueue(await self.entry(chosen, who), len(ids), more=len(found) >= REVIEWED)

    async def facets(self, who: Principal) -> Facets:
        """Return the values that occur in the visible history."""
        return await self._store.facets(principal=owner_filter(who))


def _restricted(where: HistoryFilter, who: Principal) -> HistoryFilter:
    """Return `where`, restricted to the requests that `who` may see."""
    return only_own(where, who, owner_filter(who))
