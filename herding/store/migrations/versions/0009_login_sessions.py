"""The sessions of browsers that logged in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the table. Browsers that are logged in must log in again."""
    op.create_table(
        "login_session",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_login_session"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_login_session_principal", "login_session", ["principal", "created_at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("login_session")
