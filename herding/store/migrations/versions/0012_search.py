"""Texts for the search, and the queue of requests whose texts are still to be added."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Create the tables, and queue all requests: the app adds their texts while it runs."""
    op.create_table(
        "search_text",
        sa.Column("doc", sa.Integer().with_variant(sa.BigInteger(), "postgresql"), autoincrement=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("doc", name="pk_search_text"),
        sa.UniqueConstraint("request_id", name="uq_search_text_request_id"),
        sa.ForeignKeyConstraint(["request_id"], ["request.id"], name="fk_search_text_request_id", ondelete="CASCADE"),
    )
    op.create_table(
        "search_queue",
        sa.Column("request_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name="pk_search_queue"),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO search_queue (request_id) SELECT id FROM request")


def downgrade() -> None:
    """Drop the index and the tables."""
    for table in ("search_terms", "search_index"):
        op.execute(f"DROP TABLE IF EXISTS {table}")
    op.drop_table("search_queue")
    op.drop_table("search_text")
