"""Who made a version of a prompt and why, labels with their moves, drafts, and what the prompt files hold."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the columns, with what is known of the versions that exist, and creates the new tables."""
    for column in ("author", "message", "source"):
        kind = sa.Text() if column == "message" else sa.String()
        known = "file" if column == "source" else ""
        op.add_column("prompt_version", sa.Column(column, kind, nullable=False, server_default=known))
    _prompt_retired()
    _prompt_label()
    _prompt_label_move()
    _prompt_file()
    _prompt_conflict()
    _draft()
    _draft_step()


def downgrade() -> None:
    """Drops the tables and the columns; versions and their contents stay."""
    for table in ("draft_step", "draft", "prompt_conflict", "prompt_file"):
        op.drop_table(table)
    for table in ("prompt_label_move", "prompt_label", "prompt_retired"):
        op.drop_table(table)
    for column in ("source", "message", "author"):
        op.drop_column("prompt_version", column)


def _prompt_retired() -> None:
    op.create_table(
        "prompt_retired",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_prompt_retired"),
        sqlite_with_rowid=False,
    )


def _prompt_label() -> None:
    op.create_table(
        "prompt_label",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "label", name="pk_prompt_label"),
        sa.ForeignKeyConstraint(
            ["key", "number"], ["prompt_version.key", "prompt_version.number"], name="fk_prompt_label_key"
        ),
        sqlite_with_rowid=False,
    )


def _prompt_label_move() -> None:
    op.create_table(
        "prompt_label_move",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("number", sa.Integer()),
        sa.Column("previous", sa.Integer()),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("undoes", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_prompt_label_move"),
    )
    op.create_index("ix_prompt_label_move_key", "prompt_label_move", ["key", "label", "id"])
    op.create_index("ix_prompt_label_move_undoes", "prompt_label_move", ["undoes"])


def _prompt_file() -> None:
    op.create_table(
        "prompt_file",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_prompt_file"),
        sqlite_with_rowid=False,
    )
    op.execute(  # versions came from files only, so that one whose file is gone was deleted
        "INSERT INTO prompt_file (key, number, digest, at, file) "
        "SELECT key, max(number), '', max(created_at), '' FROM prompt_version GROUP BY key"
    )


def _prompt_conflict() -> None:
    op.create_table(
        "prompt_conflict",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("ours", sa.Integer(), nullable=False),
        sa.Column("theirs", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_prompt_conflict"),
        sqlite_with_rowid=False,
    )


def _draft() -> None:
    op.create_table(
        "draft",
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("principal", "key", name="pk_draft"),
    )
    op.create_index("ix_draft_key", "draft", ["key", "updated_at", "principal"])


def _draft_step() -> None:
    op.create_table(
        "draft_step",
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("principal", "key", "seq", name="pk_draft_step"),
    )
