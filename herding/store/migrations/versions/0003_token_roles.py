"""Tokens that can do less than their user."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds the role of a token; those that exist go on with their user's."""
    op.add_column("token", sa.Column("role", sa.String()))


def downgrade() -> None:
    """Drops it: a token with a role of its own would become stronger, so it goes as well."""
    op.execute("DELETE FROM token WHERE role IS NOT NULL")
    op.drop_column("token", "role")
