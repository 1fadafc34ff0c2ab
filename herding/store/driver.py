"""The SQLite library that the store uses, for all its connections.

Nothing else in the process may open a database of the store: two libraries know nothing of each other's locks, and
where one of them closes the file, the system drops the locks that the other one has on it.
"""

from __future__ import annotations

import sqlite3
from importlib import import_module
from types import ModuleType


def newest() -> ModuleType:
    """The driver with the newer SQLite: Python's own, or pysqlite3, which has wheels for some systems only."""
    try:
        other = import_module("pysqlite3.dbapi2")
    except ImportError:
        return sqlite3
    return max(sqlite3, other, key=lambda module: module.sqlite_version_info)


SQLITE = newest()
"""A module as PEP 249 describes it."""
