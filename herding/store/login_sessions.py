"""Sessions of browsers that logged in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, update

from herding.store.database import Reader
from herding.store.rows import storable
from herding.store.tables import login_session
from herding.store.writer import Writer
from herding.values import LoginSession

MAX_SESSIONS = 50
"""The most sessions of one principal; the oldest end first."""


class LoginSessionStore:
    """The part of the store that keeps sessions. What is written is durable when a method returns."""

    _writer: Writer
    _reader: Reader

    async def add_session(self, session: LoginSession) -> None:
        """Add a session. Deletes expired ones, and the principal's oldest above the maximum."""
        await self._writer.call(lambda c: _add(c, session))

    async def session_of(self, digest: str) -> LoginSession | None:
        """Return the session with a digest, also an expired one."""
        query = select(login_session).where(login_session.c.digest == storable(digest))
        found = await self._reader.run(lambda c: c.execute(query).first())
        return LoginSession(**found._asdict()) if found else None

    async def sessions_of(self, principal: str) -> tuple[LoginSession, ...]:
        """Return the sessions of a principal, the newest first."""
        query = select(login_session).where(login_session.c.principal == storable(principal))
        query = query.order_by(login_session.c.created_at.desc(), login_session.c.digest)
        rows = await self._reader.run(lambda c: c.execute(query).all())
        return tuple(LoginSession(**row._asdict()) for row in rows)

    async def end_sessions(
        self, *, digest: str | None = None, principal: str | None = None, token: str | None = None
    ) -> int:
        """Delete the session with a digest, or those of a principal or token, and return their number."""
        given = {"digest": digest, "principal": principal, "token": token}
        wanted: list[ColumnElement[bool]] = [
            login_session.c[name] == storable(value) for name, value in given.items() if value is not None
        ]
        if not wanted:
            raise ValueError("name the sessions to end")
        return await self._writer.call(lambda c: c.execute(delete(login_session).where(*wanted)).rowcount)

    async def record_session_use(self, used: Mapping[str, int]) -> None:
        """Note when sessions were last used, by digest; ignores those that ended."""
        if not used:
            return
        change = update(login_session).where(login_session.c.digest == bindparam("the_digest"))
        rows = [{"the_digest": storable(digest), "at": at} for digest, at in sorted(used.items())]
        await self._writer.call(lambda c: c.execute(change.values(seen_at=bindparam("at")), rows).rowcount)


def _add(connection: Connection, session: LoginSession) -> None:
    columns = login_session.c
    connection.execute(delete(login_session).where(columns.expires_at <= session.created_at))
    own = columns.principal == storable(session.principal)
    newest = select(columns.digest).where(own).order_by(columns.created_at.desc(), columns.digest)
    found: Sequence[str] = connection.execute(newest).scalars().all()
    if excess := found[MAX_SESSIONS - 1 :]:
        connection.execute(delete(login_session).where(columns.digest.in_(excess)))
    row = {name: storable(value) if isinstance(value, str) else value for name, value in asdict(session).items()}
    connection.execute(insert(login_session), row)
