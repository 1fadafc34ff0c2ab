"""The kind, token and cost of requests, and the money of limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_NEWEST = ["created_at", "id", "principal", "prompt", "model", "node", "status"]
_STATISTICS = ["kind", "token", "input_tokens", "output_tokens", "cost", "first_token_ms", "total_ms"]
_LEDGER = ["principal", "at", "tokens"]


def upgrade() -> None:
    """Add the columns, name the kinds of requests without a prompt, and let the indexes hold what is added up."""
    op.add_column("request", sa.Column("kind", sa.String(), nullable=False, server_default="prompt"))
    op.add_column("request", sa.Column("token", sa.String()))
    op.add_column("request", sa.Column("cost", sa.BigInteger()))
    op.add_column("ledger", sa.Column("cost", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(
        """UPDATE request SET kind = CASE
            WHEN input LIKE '["%' THEN 'embeddings'
            WHEN input LIKE '[{%' OR input = '' THEN 'chat'
            ELSE 'completion' END
        WHERE prompt = ''"""
    )
    _replace_index("ix_request_newest", "request", [*_NEWEST, *_STATISTICS])
    _replace_index("ix_ledger_principal", "ledger", [*_LEDGER, "cost"])


def downgrade() -> None:
    """Drop the columns."""
    _replace_index("ix_request_newest", "request", _NEWEST)
    _replace_index("ix_ledger_principal", "ledger", _LEDGER)
    op.drop_column("ledger", "cost")
    for column in ("cost", "token", "kind"):
        op.drop_column("request", column)


def _replace_index(name: str, table: str, columns: list[str]) -> None:
    op.drop_index(name, table_name=table)
    op.create_index(name, table, columns)
