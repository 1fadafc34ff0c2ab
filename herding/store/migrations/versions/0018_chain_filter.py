"""Let the index of the history hold the chain of a request, which the history is filtered by."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"

_NEWEST = ["created_at", "id", "principal", "prompt", "model", "node", "status"]
_STATISTICS = ["kind", "token", "input_tokens", "output_tokens", "cost", "first_token_ms", "total_ms", "version"]


def upgrade() -> None:
    """Add the column to the index."""
    _replace_index([*_NEWEST, *_STATISTICS, "parent"])


def downgrade() -> None:
    """Remove the column from the index."""
    _replace_index([*_NEWEST, *_STATISTICS])


def _replace_index(columns: list[str]) -> None:
    op.drop_index("ix_request_newest", table_name="request")
    op.create_index("ix_request_newest", "request", columns)
