"""The rows of one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, cast

from sqlalchemy import ClauseElement, Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler

from herding.store.rows import Row

Rows = Mapping[str, Sequence[Row]]
"""Rows by the name of the statement that writes them."""


class Bulk:
    """A statement for many rows of the same columns, compiled at first use.

    What SQLAlchemy would do for every run and every row of it costs more than what the database does.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._text = ""
        self._fixed: Row = {}
        self._binds: list[tuple[str, Callable[[Any], Any] | None]] = []
        self._by_place = True

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Write the rows."""
        if not self._text:
            self._compile(connection.dialect, rows[0])
        with closing(connection.connection.cursor()) as cursor:
            cursor.executemany(self._text, [self._values(row) for row in rows])

    def _compile(self, dialect: Dialect, row: Row) -> None:
        compiled = cast(
            SQLCompiler, cast(ClauseElement, self._statement).compile(dialect=dialect, column_keys=list(row))
        )
        types = {name: bind.type.dialect_impl(dialect) for name, bind in compiled.binds.items()}
        self._by_place = compiled.positiontup is not None
        self._binds = [(name, types[name].bind_processor(dialect)) for name in compiled.positiontup or types]
        self._fixed = {name: value for name, value in compiled.params.items() if name not in row}
        self._text = str(compiled)

    def _values(self, row: Row) -> Any:
        """The values of a row as the driver takes them."""
        given = self._fixed | row
        values = [process(given[name]) if process else given[name] for name, process in self._binds]
        return tuple(values) if self._by_place else {name: values[n] for n, (name, _) in enumerate(self._binds)}


class Batch:
    """Holds rows back, so that those of many jobs are written by one statement each.

    `statements` are bulk inserts and updates by name, parents before children: the order in which they run.
    """

    def __init__(self, connection: Connection, statements: Mapping[str, Bulk]) -> None:
        self.connection = connection
        self._statements = statements
        self._held: dict[str, list[Row]] = {}

    def add(self, rows: Rows) -> None:
        """Hold rows back."""
        for name, more in rows.items():
            self._held.setdefault(name, []).extend(more)

    def written(self) -> Connection:
        """The connection for whoever must look into the database: all that was held back is there by now."""
        if self._held:
            held, self._held = self._held, {}
            for name, statement in self._statements.items():
                if rows := held.get(name):
                    statement.run(self.connection, rows)
        return self.connection


Look = Callable[[Batch], None]
"""Looks at what is there, and adds rows; where it raises an error of ours before that, nothing is written."""
