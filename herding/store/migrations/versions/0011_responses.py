"""Add what a response has besides its text: reasoning, tool calls, further choices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column; earlier responses are only text."""
    op.add_column("request", sa.Column("response", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("request", "response")
