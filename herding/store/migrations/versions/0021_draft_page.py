"""Which open page saved a draft last, so that no other page overwrites it unseen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the column; earlier drafts are of no known page."""
    op.add_column("draft", sa.Column("page", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("draft", "page")
