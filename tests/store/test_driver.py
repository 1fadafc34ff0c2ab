"""Which SQLite the store uses."""

from __future__ import annotations

import sqlite3
import sys
from types import ModuleType
from typing import Any

import pytest

from herding.store import driver
from herding.store.engine import parsed, prepare_file, write_engine


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


def test_a_statement_is_prepared_once_however_many_others_there_are(url: str) -> None:
    prepared = list[object]()

    def asked(*what: object) -> int:
        prepared.append(what)
        return 0  # SQLITE_OK

    prepare_file(parsed(url))
    with write_engine(parsed(url)).connect() as connection:
        raw: Any = connection.connection.driver_connection
        raw.set_authorizer(asked)
        for number in range(300):
            connection.exec_driver_sql(f"SELECT {number}")
        for lap in range(3):
            if lap == 2:
                prepared.clear()
            connection.exec_driver_sql("SELECT 'at the start of a request'")
            connection.exec_driver_sql("SELECT 'at its end'")
        assert not prepared
        connection.exec_driver_sql("SELECT 'never before'")
        assert prepared
