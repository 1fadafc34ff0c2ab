"""Users and their tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, bindparam, case, insert, or_, select, update

from herding.errors import NotFoundError, UserError
from herding.store.database import Reader
from herding.store.rows import Row, storable
from herding.store.tables import account, token
from herding.store.writer import Writer
from herding.values import Limit, Token, User

_USER_COLUMNS = ("id", "name", "role", "opt_out", "disabled", "created_at")
_TOKEN_COLUMNS = ("id", "name", "created_at", "created_by", "expires_at", "revoked_at", "last_used_at", "role")
"""Fields that are columns of the same name."""

_PUBLIC = tuple(column for column in token.columns if column.name != "digest")


class AccountStore:
    """The part of the store that keeps users and tokens. What is written is durable when a method returns."""

    _writer: Writer
    _reader: Reader

    async def add_user(self, user: User) -> None:
        """Add a user. Raises UserError if the id is taken."""
        await self._writer.call(lambda c: _add_user(c, user))

    async def update_user(self, user: User) -> None:
        """Change everything of a user but id and time of creation. Raises NotFoundError."""
        row = _user_row(user)
        values = {name: value for name, value in row.items() if name not in ("id", "created_at")}
        change = update(account).where(account.c.id == row["id"]).values(**values)
        if not await self._writer.call(lambda c: c.execute(change).rowcount):
            raise _no_user(user.id)

    async def user(self, user_id: str) -> User | None:
        """Return one user."""
        query = select(account).where(account.c.id == storable(user_id))
        found = await self._reader.run(lambda c: c.execute(query).first())
        return _to_user(found._asdict()) if found else None

    async def users(self) -> tuple[User, ...]:
        """Return all users, by id."""
        rows = await self._reader.run(lambda c: c.execute(select(account).order_by(account.c.id)).all())
        return tuple(_to_user(row._asdict()) for row in rows)

    async def add_token(self, token: Token, digest: bytes) -> None:
        """Add a token with the keyed hash of its secret. Raises UserError if the id is taken, NotFoundError."""
        await self._writer.call(lambda c: _add_token(c, token, digest))

    async def tokens(self, user_id: str | None) -> tuple[Token, ...]:
        """Return the tokens of one user, or of all with None, oldest first."""
        query = select(*_PUBLIC).order_by(token.c.created_at, token.c.id)
        if user_id is not None:
            query = query.where(token.c.account_id == storable(user_id))
        rows = await self._reader.run(lambda c: c.execute(query).all())
        return tuple(_to_token(row._asdict()) for row in rows)

    async def token_origins(self, now: int) -> frozenset[str]:
        """Return the origins of all tokens that are valid at an instant (Unix milliseconds)."""
        is_valid = token.c.revoked_at.is_(None) & or_(token.c.expires_at.is_(None), token.c.expires_at > now)
        query = select(token.c.origins).where(token.c.origins.is_not(None), is_valid)
        found = await self._reader.run(lambda c: c.execute(query).scalars().all())
        return frozenset(origin for origins in found for origin in origins or ())

    async def credentials(self, token_id: str) -> tuple[Token, bytes, User] | None:
        """Return a token, the keyed hash of its secret and its user; None for an unknown token.

        The caller checks hash, expiry and `disabled`.
        """
        return await self._reader.run(lambda c: _credentials(c, token_id))

    async def revoke_token(self, token_id: str, at: int) -> None:
        """Revoke a token; the first time counts. Raises NotFoundError."""
        await self._end_token(token_id, "revoked_at", at)

    async def expire_token(self, token_id: str, at: int) -> None:
        """Let a token expire at an instant, unless it expires earlier. Raises NotFoundError."""
        await self._end_token(token_id, "expires_at", at)

    async def record_token_use(self, used: Mapping[str, int]) -> None:
        """Note when tokens were last used, by id; never moves a time back and ignores unknown ids."""
        if not used:
            return
        earlier = or_(token.c.last_used_at.is_(None), token.c.last_used_at < bindparam("at"))
        change = update(token).where(token.c.id == bindparam("token"), earlier).values(last_used_at=bindparam("at"))
        # All processes lock the rows in the same order.
        rows = [{"token": storable(token_id), "at": at} for token_id, at in sorted(used.items())]
        await self._writer.call(lambda c: c.execute(change, rows).rowcount)

    async def _end_token(self, token_id: str, column: str, at: int) -> None:
        """Set an end of a token, unless it has an earlier one."""
        now = token.c[column]
        value = case((or_(now.is_(None), now > at), at), else_=now)
        change = update(token).where(token.c.id == storable(token_id)).values({column: value})
        if not await self._writer.call(lambda c: c.execute(change).rowcount):
            raise NotFoundError("Token not found.", param="token")


def _add_user(connection: Connection, user: User) -> None:
    row = _user_row(user)
    if _exists(connection, account, row["id"]):
        raise UserError(f"There is a user '{user.id[:64]}' already. Choose another id.", param="id")
    connection.execute(insert(account), row)


def _add_token(connection: Connection, added: Token, digest: bytes) -> None:
    row = _token_row(added) | {"digest": digest}
    if not _exists(connection, account, row["account_id"]):
        raise _no_user(added.user)
    if _exists(connection, token, row["id"]):
        raise UserError("There is a token with this id already. Make another one.", param="id")
    connection.execute(insert(token), row)


def _credentials(connection: Connection, token_id: str) -> tuple[Token, bytes, User] | None:
    """Read what a login needs by two primary keys in one statement."""
    query = select(account, *(column.label(f"token_{column.name}") for column in token.columns))
    query = query.join_from(token, account).where(token.c.id == storable(token_id))
    found = connection.execute(query).first()
    if found is None:
        return None
    row = found._asdict()
    of_token = {column.name: row[f"token_{column.name}"] for column in token.columns}
    return _to_token(of_token), bytes(of_token["digest"]), _to_user(row)


def _exists(connection: Connection, table: Any, key: str) -> bool:
    return connection.execute(select(table.c.id).where(table.c.id == key)).first() is not None


def _no_user(user_id: str) -> NotFoundError:
    return NotFoundError(f"There is no user '{user_id[:64]}'.", param="user")


def _user_row(user: User) -> Row:
    row = {name: storable(getattr(user, name)) for name in _USER_COLUMNS}
    return row | {"limits": [asdict(limit) for limit in user.limits]}


def _to_user(row: Mapping[str, Any]) -> User:
    limits = tuple(Limit(**limit) for limit in row["limits"])
    return User(limits=limits, **{name: row[name] for name in _USER_COLUMNS})


def _token_row(found: Token) -> Row:
    row = {name: storable(getattr(found, name)) for name in _TOKEN_COLUMNS}
    return row | {"account_id": storable(found.user), "origins": list(found.origins) or None}


def _to_token(row: Mapping[str, Any]) -> Token:
    origins = tuple(row["origins"] or ())
    return Token(user=row["account_id"], origins=origins, **{name: row[name] for name in _TOKEN_COLUMNS})
