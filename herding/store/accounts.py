"""What is asked of the store about users and their tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, case, insert, or_, select, update

from herding.errors import NotFoundError, UserError
from herding.store.reader import Reader
from herding.store.rows import Row, storable
from herding.store.tables import account, token
from herding.store.writer import Writer
from herding.values import Limit, Token, User

Task = Callable[[Connection], None]

_SAME_OF_USER = ("id", "name", "role", "opt_out", "disabled", "created_at")
_SAME_OF_TOKEN = ("id", "name", "created_at", "created_by", "expires_at", "revoked_at", "last_used_at", "role")
"""Fields that are columns of the same name."""

_PUBLIC = tuple(column for column in token.columns if column.name != "digest")


class AccountStore:
    """The part of the store that keeps users and tokens. What is written is durable when a method returns."""

    _writer: Writer
    _reader: Reader

    async def add_user(self, user: User) -> None:
        """Adds a user. Raises UserError where the id is taken."""
        await self._writer.call(_add_user(user))

    async def change_user(self, user: User) -> None:
        """Changes everything of a user but id and time of creation. Raises NotFoundError."""
        await self._writer.call(_change_user(user))

    async def user(self, user_id: str) -> User | None:
        """One user, None where there is none."""
        return await self._reader.run(lambda c: _user(c, user_id))

    async def users(self) -> tuple[User, ...]:
        """All users, by id."""
        return await self._reader.run(_users)

    async def add_token(self, token: Token, digest: bytes) -> None:
        """Adds a token with the keyed hash of its secret. Raises UserError where the id is taken, NotFoundError."""
        await self._writer.call(_add_token(token, digest))

    async def tokens(self, user_id: str | None) -> tuple[Token, ...]:
        """The tokens of one user, or of all with None, oldest first."""
        return await self._reader.run(lambda c: _tokens(c, user_id))

    async def credentials(self, token_id: str) -> tuple[Token, bytes, User] | None:
        """A token, the keyed hash of its secret and its user; None where there is no such token.

        Whether they are still good is not looked at: the caller compares hash, ends and `disabled`.
        """
        return await self._reader.run(lambda c: _credentials(c, token_id))

    async def revoke(self, token_id: str, at: int) -> None:
        """Ends a token at once; the first time counts. Raises NotFoundError."""
        await self._writer.call(_end(token_id, "revoked_at", at))

    async def expire(self, token_id: str, at: int) -> None:
        """Lets a token end at an instant, which never lengthens its life. Raises NotFoundError."""
        await self._writer.call(_end(token_id, "expires_at", at))

    async def touched(self, used: Mapping[str, int]) -> None:
        """Notes when tokens were used last, by id, in one write; never moves one back. Unknown ids are ignored."""
        if used:
            await self._writer.put({"touch": _touches(used)})


def _add_user(user: User) -> Task:
    """A task that adds a user; raises UserError where the id is taken."""
    row = _user_row(user)

    def task(connection: Connection) -> None:
        if _exists(connection, account, row["id"]):
            raise UserError(f"There is a user '{user.id[:64]}' already. Choose another id.", param="id")
        connection.execute(insert(account), row)

    return task


def _change_user(user: User) -> Task:
    """A task that changes everything of a user but id and time of creation; raises NotFoundError."""
    row = _user_row(user)
    values = {name: value for name, value in row.items() if name not in ("id", "created_at")}
    change = update(account).where(account.c.id == row["id"]).values(**values)

    def task(connection: Connection) -> None:
        if not connection.execute(change).rowcount:
            raise _no_user(user.id)

    return task


def _add_token(found: Token, digest: bytes) -> Task:
    """A task that adds a token; raises UserError where the id is taken, NotFoundError without its user."""
    row = _token_row(found) | {"digest": digest}

    def task(connection: Connection) -> None:
        if not _exists(connection, account, row["account_id"]):
            raise _no_user(found.user)
        if _exists(connection, token, row["id"]):
            raise UserError("There is a token with this id already. Make another one.", param="id")
        connection.execute(insert(token), row)

    return task


def _touches(used: Mapping[str, int]) -> list[Row]:
    """Rows for the statement `touch`, in an order that all processes share, so that none waits for another in turn."""
    return [{"token_id": storable(token_id), "used_at": at} for token_id, at in sorted(used.items())]


def _user(connection: Connection, user_id: str) -> User | None:
    """One user."""
    found = connection.execute(select(account).where(account.c.id == storable(user_id))).first()
    return _to_user(found._asdict()) if found else None


def _users(connection: Connection) -> tuple[User, ...]:
    """All users by id."""
    return tuple(_to_user(row._asdict()) for row in connection.execute(select(account).order_by(account.c.id)))


def _tokens(connection: Connection, user_id: str | None) -> tuple[Token, ...]:
    """The tokens of one user or of all, oldest first."""
    query = select(*_PUBLIC).order_by(token.c.created_at, token.c.id)
    if user_id is not None:
        query = query.where(token.c.account_id == storable(user_id))
    return tuple(_to_token(row._asdict()) for row in connection.execute(query))


def _credentials(connection: Connection, token_id: str) -> tuple[Token, bytes, User] | None:
    """What a login needs, found by two primary keys in one statement."""
    query = select(account, *(column.label(f"token_{column.name}") for column in token.columns))
    query = query.join_from(token, account).where(token.c.id == storable(token_id))
    found = connection.execute(query).first()
    if found is None:
        return None
    row = found._asdict()
    of_token = {column.name: row[f"token_{column.name}"] for column in token.columns}
    return _to_token(of_token), bytes(of_token["digest"]), _to_user(row)


def _end(token_id: str, column: str, at: int) -> Task:
    """A task that sets an end of a token, unless it has an earlier one; raises NotFoundError."""
    now = token.c[column]
    value = case((or_(now.is_(None), now > at), at), else_=now)
    change = update(token).where(token.c.id == storable(token_id)).values({column: value})

    def task(connection: Connection) -> None:
        if not connection.execute(change).rowcount:
            raise NotFoundError("There is no such token.", param="token")

    return task


def _exists(connection: Connection, table: Any, key: str) -> bool:
    return connection.execute(select(table.c.id).where(table.c.id == key)).first() is not None


def _no_user(user_id: str) -> NotFoundError:
    return NotFoundError(f"There is no user '{user_id[:64]}'.", param="user")


def _user_row(user: User) -> Row:
    row = {name: storable(getattr(user, name)) for name in _SAME_OF_USER}
    return row | {"limits": [asdict(limit) for limit in user.limits]}


def _to_user(row: Mapping[str, Any]) -> User:
    limits = tuple(Limit(**limit) for limit in row["limits"])
    return User(limits=limits, **{name: row[name] for name in _SAME_OF_USER})


def _token_row(found: Token) -> Row:
    return {name: storable(getattr(found, name)) for name in _SAME_OF_TOKEN} | {"account_id": storable(found.user)}


def _to_token(row: Mapping[str, Any]) -> Token:
    return Token(user=row["account_id"], **{name: row[name] for name in _SAME_OF_TOKEN})
