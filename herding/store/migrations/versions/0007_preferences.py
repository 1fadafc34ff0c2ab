"""Which of two answers people find better."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "preference",
        sa.Column("first_id", sa.String(), nullable=False),
        sa.Column("second_id", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("better_id", sa.String(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("first_id < second_id", name="ck_preference_ordered"),
        sa.CheckConstraint("better_id IN (first_id, second_id)", name="ck_preference_of_the_pair"),
        sa.ForeignKeyConstraint(["first_id"], ["request.id"], name="fk_preference_first_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["second_id"], ["request.id"], name="fk_preference_second_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("first_id", "second_id", "principal", name="pk_preference"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_preference_second_id", "preference", ["second_id"])


def downgrade() -> None:
    """Drops it."""
    op.drop_table("preference")
