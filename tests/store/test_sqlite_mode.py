"""Which journal a SQLite may use, and where its file is."""

from __future__ import annotations

import pytest

from herding.store.sqlite_mode import journal_mode, network_filesystem


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
    assert network_filesystem(path, MOUNTS) == kind


def test_no_mounts_no_warning() -> None:
    assert network_filesystem("/x.db", "") is None
