"""Which SQLite the store uses."""

from __future__ import annotations

import sqlite3
import sys
from types import ModuleType

import pytest

from herding.store import driver


def another(version: tuple[int, int, int]) -> ModuleType:
    module = ModuleType("pysqlite3.dbapi2")
    module.sqlite_version_info = version  # type: ignore[attr-defined]
    return module


def test_the_newer_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    newer, older = another((4, 0, 0)), another((3, 7, 0))
    monkeypatch.setitem(sys.modules, "pysqlite3", ModuleType("pysqlite3"))
    monkeypatch.setitem(sys.modules, "pysqlite3.dbapi2", newer)
    assert driver.newest() is newer
    monkeypatch.setitem(sys.modules, "pysqlite3.dbapi2", older)
    assert driver.newest() is sqlite3


def test_pythons_own_does_where_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysqlite3", None)
    monkeypatch.delitem(sys.modules, "pysqlite3.dbapi2", raising=False)
    assert driver.newest() is sqlite3
