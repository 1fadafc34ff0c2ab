"""What the writer does: bulk statements for requests, and tasks for all that needs to look before it writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import Connection, Executable, Table, bindparam, delete, or_, select, update

from herding.errors import NotFoundError, UserError
from herding.store import drafts
from herding.store.inserts import insert_into, upsert
from herding.store.rows import Row, storable
from herding.store.tables import attempt, comment, ledger, request, score, token
from herding.values import Score


def statements(dialect: str) -> dict[str, Executable]:
    """The bulk statements by name, in the order in which a batch runs them.

    `begin` never touches a row that is there, for its `finish` may have come first; `finish` and `attempt` overwrite.
    `settle` and `touch` change what is there.
    """
    return {
        "reserve": insert_into(dialect, ledger).on_conflict_do_nothing(),
        "begin": insert_into(dialect, request).on_conflict_do_nothing(),
        "finish": upsert(dialect, request),
        "attempt": upsert(dialect, attempt),
        "settle": _settle(),
        "touch": _touch(),
        **drafts.statements(dialect),
    }


def lock(connection: Connection, keys: Iterable[int]) -> None:
    """Keeps other processes from what the numbers stand for until the transaction ends; SQLite has one writer anyway.

    Everybody takes the numbers in the same order, and before anything else: nobody waits in a circle.
    """
    if connection.dialect.name == "postgresql":
        for key in sorted(set(keys)):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({key:d})")


def rate(*, request_id: str, principal: str, stars: int | None, at: int) -> Callable[[Connection], Score]:
    """A task that sets or clears the stars; raises UserError at once for anything but 1 to 5."""
    if stars is not None and (isinstance(stars, bool) or not isinstance(stars, int) or not 1 <= stars <= 5):
        raise UserError("Stars are a whole number from 1 to 5.", param="stars")
    return _opinion(score, request_id, principal, None if stars is None else {"stars": stars}, at)


def remark(*, request_id: str, principal: str, text: str, at: int) -> Callable[[Connection], Score]:
    """A task that sets the comment; a blank one clears it."""
    return _opinion(comment, request_id, principal, {"text": storable(text)} if text.strip() else None, at)


def interrupt_running(connection: Connection) -> int:
    """Marks what still ran when the app died; returns how many."""
    message = "The app stopped while this request ran. Send it again."
    change = update(request).where(request.c.status == "running")
    values = {"status": "interrupted", "finish_reason": "error", "error_type": "interrupted", "error": message}
    return connection.execute(change.values(**values)).rowcount


def probe(connection: Connection) -> None:
    """Writes one page that changes nothing, to learn whether the database takes it."""
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")


def _opinion(
    table: Table, request_id: str, principal: str, values: Row | None, at: int
) -> Callable[[Connection], Score]:
    """A task that writes (or with None deletes) the row of one principal on one request and gives the whole score."""
    request_id, principal = storable(request_id), storable(principal)
    key = {"request_id": request_id, "principal": principal}

    def task(connection: Connection) -> Score:
        if not connection.execute(select(request.c.id).where(request.c.id == request_id)).first():
            raise NotFoundError(f"There is no request '{request_id[:64]}'.", param="request_id")
        if values is None:
            connection.execute(delete(table).filter_by(**key))
        else:
            connection.execute(upsert(connection.dialect.name, table), [{**key, **values, "updated_at": at}])
        return Score(request_id, principal, _stars(connection, key), _text(connection, key), at)

    return task


def _stars(connection: Connection, key: Row) -> int | None:
    return connection.execute(select(score.c.stars).filter_by(**key)).scalar()


def _text(connection: Connection, key: Row) -> str | None:
    return connection.execute(select(comment.c.text).filter_by(**key)).scalar()


def _settle() -> Executable:
    """Replaces the tokens that were reserved by those that were used."""
    entry = ledger.c.request_id == bindparam("settled_id")
    return update(ledger).where(entry).values(tokens=bindparam("used"), settled=True)


def _touch() -> Executable:
    """Notes when a token was used last; never moves it back."""
    before = or_(token.c.last_used_at.is_(None), token.c.last_used_at < bindparam("used_at"))
    return update(token).where(token.c.id == bindparam("token_id"), before).values(last_used_at=bindparam("used_at"))
