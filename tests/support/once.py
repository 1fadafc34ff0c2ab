"""What is the same for all apps of a process and takes long to make: made once for all tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from unittest.mock import patch

from sqlalchemy import Dialect, UpdateBase

from herding import main
from herding.plugins import Plugins
from herding.store import store, writer
from herding.store.writer import RowWriter


@contextmanager
def made_once() -> Iterator[None]:
    """Let apps share the plugins that were found and the statements that were compiled.

    Both stay as they are once they are made. A test that installs plugins replaces `load_plugins` itself.
    """
    find, writers = cache(main.load_plugins), {}

    def load_plugins(off: Sequence[str] = ()) -> Plugins:
        return find(tuple(off))

    def row_writer(statement: UpdateBase, dialect: Dialect) -> RowWriter:
        key = statement, dialect.name
        if key not in writers:
            writers[key] = RowWriter(statement, dialect)
        return writers[key]

    with (
        patch.object(main, "load_plugins", load_plugins),
        patch.object(store, "_statements", cache(store._statements)),
        patch.object(writer, "RowWriter", row_writer),
    ):
        yield
