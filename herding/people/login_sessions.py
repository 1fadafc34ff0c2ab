"""Sessions of browsers that logged in: stored, so that they can be ended before their cookie expires."""

from __future__ import annotations

from collections.abc import Callable

from herding.access.sessions import Session
from herding.errors import StoreError
from herding.store import Store
from herding.values import LoginSession

CACHE_SECONDS = 2.0
"""The time a session is trusted without asking the database. An end by another process takes that long."""

MAX_CACHED = 10_000
SEEN_EVERY_MS = 60_000
"""The precision of the time of last use, which saves writes."""


class LoginSessions:
    """Opens, finds and ends sessions. `clock` is in Unix milliseconds, `monotonic` in seconds."""

    def __init__(self, *, store: Store, clock: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._store, self._clock, self._monotonic = store, clock, monotonic
        self._cache: dict[str, tuple[LoginSession, float]] = {}
        self._ends = 0
        self._used: dict[str, int] = {}

    async def open(self, session: Session, *, principal: str, token: str) -> None:
        """Store a new session of a principal who logged in with a token."""
        now = self._clock()
        expires_at = now + session.max_age * 1000
        await self._store.add_session(LoginSession(session.digest, principal, token, now, now, expires_at))

    async def find(self, digest: str) -> LoginSession | None:
        """Return a session; None if it ended or expired."""
        found, read_at = self._cache.get(digest, (None, 0.0))
        if found is None or self._monotonic() - read_at > CACHE_SECONDS:
            ends = self._ends
            found = await self._store.session_of(digest)
            if found is None:
                self._cache.pop(digest, None)
                return None
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            if ends == self._ends:  # else it may have ended while it was read
                self._cache[digest] = (found, self._monotonic())
        now = self._clock()
        if found.expires_at <= now:
            return None
        if now - max(found.seen_at, self._used.get(digest, 0)) >= SEEN_EVERY_MS:
            self._used[digest] = now
        return found

    async def end(self, *, digest: str | None = None, principal: str | None = None, token: str | None = None) -> int:
        """End a session, or those of a principal or token, at once. Return their number."""
        count = await self._store.end_sessions(digest=digest, principal=principal, token=token)
        self._ends += 1
        self._cache.clear()
        return count

    async def flush(self) -> None:
        """Store the times of last use. After an error of the database they are stored with the next call."""
        used, self._used = self._used, {}
        try:
            await self._store.record_session_use(used)
        except StoreError:
            self._used = used | self._used
