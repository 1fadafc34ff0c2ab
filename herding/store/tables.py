"""The tables. Instants are integer Unix milliseconds, spans are milliseconds, ids are text of 32 hex digits.

Small columns come first in `request`: SQLite reads a row from its start, and a long text spills into pages of its own.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    UpdateBase,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, SQLModel

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name, so that later migrations can alter it on SQLite too."""

row_id = Integer().with_variant(BigInteger(), "postgresql")
"""64 bits on both databases. On SQLite only INTEGER is the number of the row itself."""

_WITHIN = text("session_id IS NOT NULL")
_IS_STEP = text("parent IS NOT NULL")
IS_RUNNING = text("status = 'running'")
"""The condition of the index of running requests, in the words by which a database recognizes it."""


LONGEST_LEASE = 24 * 3_600_000
"""Milliseconds for which work may be leased or postponed at most."""


class Base(SQLModel):
    """The base of all tables, with named constraints."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMING)


class RequestRow(Base, table=True):
    """One request: the flattened `Outcome` without its attempts.

    The first two indexes hold every column that the history filters by. They are appended to in order of time, which
    is cheap, and a count over any combination of filters reads an index and never the long rows. The first one also
    holds what statistics add up.

    `kind` is that of the request (a prompt, a chat, ...). `token` is the public part of the access token that was used.
    `cost` is in nano-dollars, null if it is unknown. `response` is null for a response that is only text. `process` is
    the number of the process that a running request is in (`presence`), null on SQLite and once the request has ended.
    `parent` is the request of the chain that a request is a step of, and `step` the name of that step.
    """

    __tablename__ = "request"
    __table_args__ = (
        Index(
            "ix_request_newest",
            *("created_at", "id", "principal", "prompt", "model", "node", "status"),
            *(
                "kind",
                "token",
                "input_tokens",
                "output_tokens",
                "cost",
                "first_token_ms",
                "total_ms",
                "version",
                "parent",
            ),
        ),
        Index("ix_request_principal", "principal", "created_at", "id", "prompt", "model", "node", "status"),
        Index(
            "ix_request_session",
            *("principal", "session_id", "created_at", "id", "status"),
            sqlite_where=_WITHIN,
            postgresql_where=_WITHIN,
        ),
        Index("ix_request_running", "process", "id", sqlite_where=IS_RUNNING, postgresql_where=IS_RUNNING),
        Index("ix_request_parent", "parent", "id", "prompt", sqlite_where=_IS_STEP, postgresql_where=_IS_STEP),
    )

    id: str = Field(primary_key=True)
    principal: str
    prompt: str
    created_at: int = Field(sa_type=BigInteger)
    version: int
    variant: str | None
    edited: bool
    session_id: str | None
    model: str | None
    node: str | None
    status: str
    finish_reason: str | None
    input_tokens: int = Field(sa_type=BigInteger)
    output_tokens: int = Field(sa_type=BigInteger)
    usage_source: str
    queued_ms: float
    first_token_ms: float | None
    total_ms: float
    checks_passed: bool | None
    check_failure: str | None = Field(sa_type=Text)
    policy: str | None
    reason: str | None = Field(sa_type=Text)
    error_type: str | None
    error: str | None = Field(sa_type=Text)
    parameters: dict[str, Any] = Field(sa_type=JSON)
    variables: dict[str, Any] = Field(sa_type=JSON)
    input: str = Field(sa_type=Text)
    answer: str = Field(sa_type=Text)
    response: dict[str, Any] | None = Field(sa_type=JSON)
    kind: str = Field(sa_column_kwargs={"server_default": "prompt"})
    token: str | None
    cost: int | None = Field(sa_type=BigInteger)
    process: int | None = Field(sa_type=BigInteger)
    parent: str | None
    step: str | None


class AttemptRow(Base, table=True):
    """One attempt of a request on a node. The index holds all that node statistics read."""

    __tablename__ = "attempt"
    __table_args__ = (
        Index("ix_attempt_started", "started_at", "node", "total_ms", "error_type"),
        {"sqlite_with_rowid": False},
    )

    request_id: str = Field(primary_key=True, foreign_key="request.id", ondelete="CASCADE")
    number: int = Field(primary_key=True)
    node: str
    model: str
    started_at: int = Field(sa_type=BigInteger)
    total_ms: float
    error_type: str | None
    error: str | None = Field(sa_type=Text)


class ScoreRow(Base, table=True):
    """The stars of one principal on one request, 1 to 5; no row means not rated."""

    __tablename__ = "score"
    __table_args__ = (
        CheckConstraint("stars BETWEEN 1 AND 5", name="stars"),
        Index("ix_score_principal", "principal", "stars", "request_id"),
        {"sqlite_with_rowid": False},
    )

    request_id: str = Field(primary_key=True, foreign_key="request.id", ondelete="CASCADE")
    principal: str = Field(primary_key=True)
    stars: int
    updated_at: int = Field(sa_type=BigInteger)


class CommentRow(Base, table=True):
    """The comment of one principal on one request; no row means no comment."""

    __tablename__ = "comment"
    __table_args__ = ({"sqlite_with_rowid": False},)

    request_id: str = Field(primary_key=True, foreign_key="request.id", ondelete="CASCADE")
    principal: str = Field(primary_key=True)
    text: str = Field(sa_type=Text)
    updated_at: int = Field(sa_type=BigInteger)


class AccountRow(Base, table=True):
    """A user; `user` itself is a word of SQL."""

    __tablename__ = "account"

    id: str = Field(primary_key=True)
    name: str
    role: str
    limits: list[dict[str, Any]] = Field(sa_type=JSON)
    opt_out: bool
    disabled: bool
    created_at: int = Field(sa_type=BigInteger)


class TokenRow(Base, table=True):
    """An access token. `id` is its public part; `digest` is a keyed hash of the secret part, which is not stored.

    `role` is null if the token has the role of its user.
    """

    __tablename__ = "token"
    __table_args__ = (Index("ix_token_account_id", "account_id"),)

    id: str = Field(primary_key=True)
    account_id: str = Field(foreign_key="account.id")
    name: str
    digest: bytes = Field(sa_type=LargeBinary)
    created_at: int = Field(sa_type=BigInteger)
    created_by: str
    expires_at: int | None = Field(sa_type=BigInteger)
    revoked_at: int | None = Field(sa_type=BigInteger)
    last_used_at: int | None = Field(sa_type=BigInteger)
    role: str | None
    origins: list[str] | None = Field(sa_type=JSON(none_as_null=True))


class LoginSessionRow(Base, table=True):
    """A browser that logged in. `digest` is the SHA-256 of the id in its cookie, in hex.

    `token` is the id of the token that it logged in with; for the operator's token it is a digest of that.
    """

    __tablename__ = "login_session"
    __table_args__ = (
        Index("ix_login_session_principal", "principal", "created_at"),
        {"sqlite_with_rowid": False},
    )

    digest: str = Field(primary_key=True)
    principal: str
    token: str
    created_at: int = Field(sa_type=BigInteger)
    seen_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)


class LedgerRow(Base, table=True):
    """The use of a principal's limits by one request: reserved tokens and money, replaced by the used ones at its end.

    It is independent of the request's row, which may be deleted while its use still counts. An index holds all that
    adding up a window reads. `requests` is 1, or for a chain the number of its steps' calls.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        Index("ix_ledger_principal", "principal", "at", "tokens", "cost", "requests"),
        {"sqlite_with_rowid": False},
    )

    request_id: str = Field(primary_key=True)
    principal: str
    at: int = Field(sa_type=BigInteger)
    tokens: int = Field(sa_type=BigInteger)
    settled: bool
    cost: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    requests: int = Field(sa_column_kwargs={"server_default": "1"})


class NodeRow(Base, table=True):
    """A node that was added at run time. `config` is JSON; `sealed` holds its secrets, encrypted."""

    __tablename__ = "node"

    name: str = Field(primary_key=True)
    kind: str
    config: str = Field(sa_type=Text)
    sealed: bytes | None = Field(sa_type=LargeBinary)
    origin: str
    owner: str
    added_by: str
    at: int = Field(sa_type=BigInteger)


class LearningResetRow(Base, table=True):
    """The last reset of the routing data of a prompt, and who reset it."""

    __tablename__ = "learning_reset"
    __table_args__ = ({"sqlite_with_rowid": False},)

    prompt: str = Field(primary_key=True)
    at: int = Field(sa_type=BigInteger)
    by: str


class PreferenceRow(Base, table=True):
    """A principal's preference between two responses; a null `better_id` means that they are equal.

    `first_id` is the smaller of the two ids, so that each pair has one row.
    """

    __tablename__ = "preference"
    __table_args__ = (
        CheckConstraint("first_id < second_id", name="ordered"),
        CheckConstraint("better_id IN (first_id, second_id)", name="of_the_pair"),
        Index("ix_preference_second_id", "second_id"),
        {"sqlite_with_rowid": False},
    )

    first_id: str = Field(primary_key=True, foreign_key="request.id", ondelete="CASCADE")
    second_id: str = Field(primary_key=True, foreign_key="request.id", ondelete="CASCADE")
    principal: str = Field(primary_key=True)
    better_id: str | None
    at: int = Field(sa_type=BigInteger)


class SearchTextRow(Base, table=True):
    """The texts of a request in the form that the search reads: case folded, one after the other.

    `doc` grows with the minute of `created_at`, so that the newest are found first. The index of the texts
    (`search_index.prepare`) is no table of ours: not every database can have it.
    """

    __tablename__ = "search_text"
    __table_args__ = (UniqueConstraint("request_id"),)

    doc: int = Field(primary_key=True, sa_type=row_id, sa_column_kwargs={"autoincrement": False})
    request_id: str = Field(foreign_key="request.id", ondelete="CASCADE")
    text: str = Field(sa_type=Text)


class SearchQueueRow(Base, table=True):
    """A request whose texts were written or changed, until they are in `search_text`."""

    __tablename__ = "search_queue"
    __table_args__ = ({"sqlite_with_rowid": False},)

    request_id: str = Field(primary_key=True)


class BotMessageRow(Base, table=True):
    """A message that a bot accepted, without its text. Only the process with the lease works on it."""

    __tablename__ = "bot_message"
    __table_args__ = (Index("ix_bot_message_state", "state", "leased_until"),)

    id: str = Field(primary_key=True)
    kind: str
    author: str
    channel: str
    server: str | None
    received_at: int = Field(sa_type=BigInteger)
    leased_until: int = Field(sa_type=BigInteger)
    state: str
    request_id: str | None
    place: str | None
    replies: list[str] = Field(sa_type=JSON)


class BotPositionRow(Base, table=True):
    """Up to which message of its platform a bot has seen everything."""

    __tablename__ = "bot_position"

    bot: str = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)


request = Base.metadata.tables["request"]
attempt = Base.metadata.tables["attempt"]
score = Base.metadata.tables["score"]
comment = Base.metadata.tables["comment"]
account = Base.metadata.tables["account"]
token = Base.metadata.tables["token"]
login_session = Base.metadata.tables["login_session"]
ledger = Base.metadata.tables["ledger"]
node = Base.metadata.tables["node"]
learning_reset = Base.metadata.tables["learning_reset"]
preference = Base.metadata.tables["preference"]
search_text = Base.metadata.tables["search_text"]
search_queue = Base.metadata.tables["search_queue"]
bot_message = Base.metadata.tables["bot_message"]
bot_position = Base.metadata.tables["bot_position"]


def insert_into(dialect: str, table: Table) -> Any:
    """Return an insert that accepts an ON CONFLICT clause."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def lease_ended(until: ColumnElement[int], now: int) -> ColumnElement[bool]:
    """Return the condition that a lease has ended, or was made while the clock was wrong: none lasts a day."""
    return (until <= now) | (until > now + LONGEST_LEASE)


def upsert(dialect: str, table: Table) -> UpdateBase:
    """Return an insert that overwrites the row with the same primary key."""
    statement = insert_into(dialect, table)
    keys = [column.name for column in table.primary_key]
    values = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    result: UpdateBase = statement.on_conflict_do_update(index_elements=keys, set_=values)
    return result
