"""Inserts that know what to do where the row is there already; both dialects write them alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Executable, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_into(dialect: str, table: Table) -> Any:
    """An insert that can say what happens on a conflict."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def upsert(dialect: str, table: Table) -> Executable:
    """An insert that overwrites the row with the same key."""
    made = insert_into(dialect, table)
    keys = [column.name for column in table.primary_key]
    changed = {column.name: made.excluded[column.name] for column in table.columns if column.name not in keys}
    statement: Executable = made.on_conflict_do_update(index_elements=keys, set_=changed)
    return statement
