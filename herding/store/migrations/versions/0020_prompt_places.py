"""Prompt files by the directory that holds them: apps on one database may have directories of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the columns; what was known before belongs to the first directory that is opened."""
    op.add_column("prompt_conflict", _place())
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("prompt_file", _place())
        op.drop_constraint("pk_prompt_file", "prompt_file", type_="primary")
        op.create_primary_key("pk_prompt_file", "prompt_file", ["key", "place"])
    else:
        _replace_files(_place(), key=("key", "place"))


def downgrade() -> None:
    """Drop the columns, and what is known of all directories but one."""
    op.drop_column("prompt_conflict", "place")
    op.execute(
        "DELETE FROM prompt_file WHERE place <> (SELECT min(place) FROM prompt_file AS other "
        "WHERE other.key = prompt_file.key)"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("pk_prompt_file", "prompt_file", type_="primary")
        op.drop_column("prompt_file", "place")
        op.create_primary_key("pk_prompt_file", "prompt_file", ["key"])
    else:
        _replace_files(key=("key",))


def _place() -> sa.Column[str]:
    return sa.Column("place", sa.String(), nullable=False, server_default="")


def _replace_files(*more: sa.Column[str], key: tuple[str, ...]) -> None:
    """Write the table anew, since SQLite can't change a primary key."""
    op.create_table(
        "prompt_file_new",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        *more,
        sa.PrimaryKeyConstraint(*key, name="pk_prompt_file"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO prompt_file_new (key, number, digest, at, file) "
        "SELECT key, number, digest, at, file FROM prompt_file"
    )
    op.drop_table("prompt_file")
    op.rename_table("prompt_file_new", "prompt_file")
