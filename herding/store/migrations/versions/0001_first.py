"""Requests with their attempts, scores, comments, and the versions of prompts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates all tables."""
    _request()
    _attempt()
    _score()
    _comment()
    _prompt_version()


def downgrade() -> None:
    """Drops all tables, children first."""
    for table in ("prompt_version", "comment", "score", "attempt", "request"):
        op.drop_table(table)


def _request() -> None:
    op.create_table(
        "request",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("prompt", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("variant", sa.String()),
        sa.Column("edited", sa.Boolean(), nullable=False),
        sa.Column("session_id", sa.String()),
        sa.Column("model", sa.String()),
        sa.Column("node", sa.String()),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("finish_reason", sa.String()),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("usage_source", sa.String(), nullable=False),
        sa.Column("queued_ms", sa.Float(), nullable=False),
        sa.Column("first_token_ms", sa.Float()),
        sa.Column("total_ms", sa.Float(), nullable=False),
        sa.Column("contract_ok", sa.Boolean()),
        sa.Column("contract_reason", sa.Text()),
        sa.Column("policy", sa.String()),
        sa.Column("reason", sa.Text()),
        sa.Column("error_type", sa.String()),
        sa.Column("error", sa.Text()),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("variables", sa.JSON(), nullable=False),
        sa.Column("input", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_request"),
    )
    filters = ["prompt", "model", "node", "status"]
    op.create_index("ix_request_newest", "request", ["created_at", "id", "principal", *filters])
    op.create_index("ix_request_principal", "request", ["principal", "created_at", "id", *filters])


def _attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("total_ms", sa.Float(), nullable=False),
        sa.Column("error_type", sa.String()),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("request_id", "number", name="pk_attempt"),
        _belongs_to_request("attempt"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_attempt_started", "attempt", ["started_at", "node", "total_ms", "error_type"])


def _score() -> None:
    op.create_table(
        "score",
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("stars", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "principal", name="pk_score"),
        sa.CheckConstraint("stars BETWEEN 1 AND 5", name="ck_score_stars"),
        _belongs_to_request("score"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_score_principal", "score", ["principal", "stars", "request_id"])


def _comment() -> None:
    op.create_table(
        "comment",
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "principal", name="pk_comment"),
        _belongs_to_request("comment"),
        sqlite_with_rowid=False,
    )


def _prompt_version() -> None:
    op.create_table(
        "prompt_version",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "number", name="pk_prompt_version"),
    )


def _belongs_to_request(table: str) -> sa.ForeignKeyConstraint:
    """A child row goes when its request goes."""
    return sa.ForeignKeyConstraint(["request_id"], ["request.id"], name=f"fk_{table}_request_id", ondelete="CASCADE")
