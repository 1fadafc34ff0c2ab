"""Users with their tokens, the ledger of limits, and the way to a session's requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Creates the new tables and the new index."""
    _account()
    _token()
    _ledger()
    _session_index()


def downgrade() -> None:
    """Drops the index and the tables, children first."""
    op.drop_index("ix_request_session", "request")
    for table in ("ledger", "token", "account"):
        op.drop_table(table)


def _account() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("limits", sa.JSON(), nullable=False),
        sa.Column("opt_out", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
    )


def _token() -> None:
    op.create_table(
        "token",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_token"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_token_account_id"),
    )
    op.create_index("ix_token_account_id", "token", ["account_id"])


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name="pk_ledger"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_ledger_principal", "ledger", ["principal", "at", "tokens"])


def _session_index() -> None:
    """Requests outside of a session are left out."""
    within = sa.text("session_id IS NOT NULL")
    columns = ["principal", "session_id", "created_at", "id", "status"]
    op.create_index("ix_request_session", "request", columns, sqlite_where=within, postgresql_where=within)
