"""Add the process that a running request is in, and an index of running requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_RUNNING = sa.text("status = 'running'")


def upgrade() -> None:
    """Add the column, which is null for requests of earlier versions: their app has ended."""
    op.add_column("request", sa.Column("process", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_request_running", "request", ["process", "id"], sqlite_where=_RUNNING, postgresql_where=_RUNNING
    )


def downgrade() -> None:
    """Remove the index and the column."""
    op.drop_index("ix_request_running", "request")
    op.drop_column("request", "process")
