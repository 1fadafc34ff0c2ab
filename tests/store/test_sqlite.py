"""Which SQLite the store uses."""

from __future__ import annotations

import sqlite3
import sys
from types import ModuleType
from typing import Any

import pytest

from herding.store import sqlite
from herding.store.database import parse_url, prepare_file, write_engine
from herding.store.sqlite import find_network_mount, journal_mode


def another(version: tuple[int, int, int]) -> ModuleType:
    module = ModuleType("pysqlite3.dbapi2")
    module.sqlite_version_info = version  # type: ignore[attr-defined]
    return module


def test_the_newer_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    newer, older = another((4, 0, 0)), another((3, 7, 0))
    monkeypatch.setitem(sys.modules, "pysqlite3", ModuleType("pysqlite3"))
    monkeypatch.setitem(sys.modules, "pysqlite3.dbapi2", newer)
    assert sqlite.newest_driver() is newer
    monkeypatch.setitem(sys.modules, "pysqlite3.dbapi2", older)
    assert sqlite.newest_driver() is sqlite3


def test_pythons_own_does_where_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysqlite3", None)
    monkeypatch.delitem(sys.modules, "pysqlite3.dbapi2", raising=False)
    assert sqlite.newest_driver() is sqlite3


@pytest.mark.sqlite
def test_a_statement_is_prepared_once_however_many_others_there_are(url: str) -> None:
    prepared = list[object]()

    def asked(*what: object) -> int:
        prepared.append(what)
        return 0  # SQLITE_OK

    prepare_file(parse_url(url))
    with write_engine(parse_url(url)).connect() as connection:
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


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 7, 0), "persist"),
        ((3, 40, 1), "persist"),
        ((3, 44, 5), "persist"),
        ((3, 44, 6), "wal"),
        ((3, 44, 9), "wal"),
        ((3, 45, 0), "persist"),
        ((3, 46, 9), "persist"),
        ((3, 50, 6), "persist"),
        ((3, 50, 7), "wal"),
        ((3, 51, 0), "persist"),
        ((3, 51, 2), "persist"),
        ((3, 51, 3), "wal"),
        ((3, 52, 0), "wal"),
        ((4, 0, 0), "wal"),
    ],
)
def test_only_a_fixed_sqlite_gets_a_write_ahead_log(version: tuple[int, int, int], mode: str) -> None:
    assert journal_mode(version, network=False) == mode


def test_a_network_file_system_gets_none() -> None:
    assert journal_mode((3, 53, 4), network=True) == "persist"


MOUNTS = r"""
overlay / overlay rw,relatime 0 0
proc /proc proc rw 0 0
/dev/sda1 /data ext4 rw 0 0
server:/export /data/shared nfs4 rw 0 0
/dev/sdb1 /data/shared/local xfs rw 0 0
//nas/share /mnt/my\040share cifs rw 0 0
bucket /bucket fuse.gcsfuse rw 0 0
/dev/sdc1 /usb fuseblk rw 0 0
/dev/sdd1 /later ext4 rw 0 0
host:/x /later nfs rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/x.db", None),
        ("/data/x.db", None),
        ("/data/sharedish/x.db", None),
        ("/data/shared/x.db", "nfs4"),
        ("/data/shared/local/x.db", None),
        ("/mnt/my share/deep/x.db", "cifs"),
        ("/bucket/x.db", "fuse.gcsfuse"),
        ("/usb/x.db", None),
        ("/later/x.db", "nfs"),
    ],
)
def test_the_innermost_and_latest_mount_counts(path: str, kind: str | None) -> None:
    assert find_network_mount(path, MOUNTS) == kind


def test_no_mounts_no_warning() -> None:
    assert find_network_mount("/x.db", "") is None
