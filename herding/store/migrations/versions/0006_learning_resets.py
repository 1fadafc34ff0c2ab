"""When what was learned of the models of a prompt was forgotten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "learning_reset",
        sa.Column("prompt", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("prompt", name="pk_learning_reset"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drops it; what came before the resets counts again."""
    op.drop_table("learning_reset")
