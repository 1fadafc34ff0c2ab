"""Rename the columns of the results of checks."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"

_RENAMED = {"contract_ok": "checks_passed", "contract_reason": "check_failure"}


def upgrade() -> None:
    """Rename the columns; their data stays."""
    for old, new in _RENAMED.items():
        op.alter_column("request", old, new_column_name=new)


def downgrade() -> None:
    """Give the columns their old names."""
    for old, new in _RENAMED.items():
        op.alter_column("request", new, new_column_name=old)
