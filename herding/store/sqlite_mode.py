"""What may be done with this SQLite and this disk: pure functions."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

Version = tuple[int, int, int]

ROLLBACK = "persist"
"""The rollback journal to use. With `synchronous=FULL` it keeps a commit through a power cut, which `delete` does not
(the directory is not synced), and it commits three times as often a second as `truncate`."""

_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|smb3|ncpfs|afs|9p|ceph|glusterfs|lustre|gfs2?|ocfs2|davfs2?|beegfs|orangefs|fuse|fuse\..+"
)
"""Kinds of file system that are reached through a network, or through a program that may do anything."""


def journal_mode(version: Version, *, network: bool) -> str:
    """`wal` where several connections may use it safely, else a rollback journal.

    WAL needs memory that all its users share, so one computer, not a `network` file system. Before 3.51.3 (and 3.50.7
    and 3.44.6 of the older lines) a checkpoint that meets a commit of another connection can corrupt the file
    (https://sqlite.org/wal.html).
    """
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51, 0) or (3, 44, 6) <= version < (3, 45, 0)
    return "wal" if fixed and not network else ROLLBACK


def network_filesystem(path: str, mounts: str) -> str | None:
    """The kind of network file system that the absolute `path` is on, or None; `mounts` as in `/proc/mounts`."""
    found, kind = PurePosixPath("/"), ""
    for line in mounts.splitlines():
        parts = line.split(" ")
        if len(parts) < 3:
            continue
        place = PurePosixPath(_unescaped(parts[1]))
        # a later line covers an earlier one at the same place
        if PurePosixPath(path).is_relative_to(place) and len(place.parts) >= len(found.parts):
            found, kind = place, parts[2]
    return kind if _NETWORK.fullmatch(kind) else None


def _unescaped(text: str) -> str:
    """The kernel writes space, tab, newline and backslash as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
