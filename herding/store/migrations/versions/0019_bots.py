"""The messages that bots accepted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "bot_message",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("server", sa.String(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("place", sa.String(), nullable=True),
        sa.Column("replies", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_bot_message"),
    )
    op.create_index("ix_bot_message_state", "bot_message", ["state", "leased_until"])
    op.create_table(
        "bot_position",
        sa.Column("bot", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bot", name="pk_bot_position"),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("bot_position")
    op.drop_table("bot_message")
