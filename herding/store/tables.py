"""The tables. Instants are integer Unix milliseconds, spans are milliseconds, ids are text of 32 hex digits.

Small columns come first in `request`: SQLite reads a row from its start, and a long text spills into pages of its own.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, CheckConstraint, Index, MetaData, Text
from sqlmodel import Field, SQLModel

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name, so that later migrations can alter it on SQLite too."""


class Base(SQLModel):
    """What all tables of the store share: one catalogue with fixed names."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMING)


class RequestRow(Base, table=True):
    """One request: the flattened `Outcome` without its attempts.

    Both indexes hold every column that the history filters by. They are appended to in order of time, which is cheap,
    and a count over any combination of filters reads an index and never the long rows.
    """

    __tablename__ = "request"
    __table_args__ = (
        Index("ix_request_newest", "created_at", "id", "principal", "prompt", "model", "node", "status"),
        Index("ix_request_principal", "principal", "created_at", "id", "prompt", "model", "node", "status"),
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
    contract_ok: bool | None
    contract_reason: str | None = Field(sa_type=Text)
    policy: str | None
    reason: str | None = Field(sa_type=Text)
    error_type: str | None
    error: str | None = Field(sa_type=Text)
    parameters: dict[str, Any] = Field(sa_type=JSON)
    variables: dict[str, Any] = Field(sa_type=JSON)
    input: str = Field(sa_type=Text)
    answer: str = Field(sa_type=Text)


class AttemptRow(Base, table=True):
    """One try of one node for a request. The index holds all that node statistics read."""

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


class PromptVersionRow(Base, table=True):
    """A numbered version of a prompt; never changed once written. `sha256` is of `content`, in hex."""

    __tablename__ = "prompt_version"

    key: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    sha256: str
    content: str = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)


request = Base.metadata.tables["request"]
attempt = Base.metadata.tables["attempt"]
score = Base.metadata.tables["score"]
comment = Base.metadata.tables["comment"]
prompt_version = Base.metadata.tables["prompt_version"]
