"""The rows of one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from operator import itemgetter
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
        self._names: tuple[str, ...] = ()
        self._pick: Callable[[Row], tuple[Any, ...]] = itemgetter("")
        self._processed: list[tuple[int, Callable[[Any], Any]]] = []
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
        self._names = tuple(compiled.positiontup or types)
        self._pick = itemgetter(*self._names)
        processors = [types[name].bind_processor(dialect) for name in self._names]
        self._processed = [(place, process) for place, process in enumerate(processors) if process]
        self._fixed = {name: value for name, value in compiled.params.items() if name not in row}
        self._text = str(compiled)

    def _values(self, row: Row) -> Any:
        """The values of a row as the driver takes them."""
        values = list(self._pick(self._fixed | row if self._fixed else row))
        for place, process in self._processed:
            values[place] = process(values[place])
        return values if self._by_place else dict(zip(self._names, values, strict=True))


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
