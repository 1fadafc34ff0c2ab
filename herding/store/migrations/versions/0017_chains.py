"""Add the chain that a request is a step of, and the number of requests that an entry of the limits counts for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_IS_STEP = sa.text("parent IS NOT NULL")
_ENTRY = ["principal", "at", "tokens", "cost"]


def upgrade() -> None:
    """Add the columns with their index; the index of the limits gets the number of requests."""
    op.add_column("request", sa.Column("parent", sa.String(), nullable=True))
    op.add_column("request", sa.Column("step", sa.String(), nullable=True))
    op.create_index(
        "ix_request_parent", "request", ["parent", "id", "prompt"], sqlite_where=_IS_STEP, postgresql_where=_IS_STEP
    )
    op.add_column("ledger", sa.Column("requests", sa.Integer(), nullable=False, server_default="1"))
    op.drop_index("ix_ledger_principal", "ledger")
    op.create_index("ix_ledger_principal", "ledger", [*_ENTRY, "requests"])


def downgrade() -> None:
    """Remove the columns and their index."""
    op.drop_index("ix_ledger_principal", "ledger")
    op.drop_column("ledger", "requests")
    op.create_index("ix_ledger_principal", "ledger", _ENTRY)
    op.drop_index("ix_request_parent", "request")
    op.drop_column("request", "step")
    op.drop_column("request", "parent")
