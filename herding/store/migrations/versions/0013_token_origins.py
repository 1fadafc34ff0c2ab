"""Add the origins of the web pages that may use a token."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the column; earlier tokens have none of their own."""
    op.add_column("token", sa.Column("origins", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("token", "origins")
