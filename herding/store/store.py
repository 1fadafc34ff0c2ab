"""The store's one door: everything the orchestrator asks of the database."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import URL, Connection

from herding.errors import HerdingError
from herding.store import queries, statistics, writes
from herding.store.engine import is_sqlite, parsed, prepare_file, read_engine, schema_engine, write_engine
from herding.store.gate import journal_mode
from herding.store.migrate import migrate
from herding.store.queries import Facets, Key, Window
from herding.store.reader import Reader
from herding.store.rows import attempt_rows, request_row
from herding.store.turns import NoTurns, Turns
from herding.store.writer import Writer
from herding.values import Entry, HistoryFilter, NodeStats, Outcome, Page, PromptStats, Score

SEARCHED = 5_000
"""Requests that one read transaction looks through for a text; on a rollback journal, reads hold up commits."""

_log = logging.getLogger(__name__)


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """Whether the database takes rows now. `database` names it with its version; `problem` says what to do."""

    writable: bool
    database: str
    journal_mode: str | None
    checked_at: int
    problem: str | None = None


class Store:
    """Remembers requests with their attempts, scores and comments, and the versions of prompts.

    All methods raise StoreError when the database does not take or give the data; nothing is then half written, and
    the store works again when the trouble is over.
    """

    def __init__(self, *, url: URL, writer: Writer, reader: Reader, clock: Callable[[], int]) -> None:
        self._url = url
        self._writer = writer
        self._reader = reader
        self._clock = clock

    @classmethod
    async def open(cls, url: str, *, clock: Callable[[], int] = now_ms) -> Store:
        """Creates or migrates the database, marks what still ran as interrupted, and starts the writer.

        Raises ConfigError for a URL or schema that is not ours, StoreError for a database that is damaged or away.
        """
        found = parsed(url)
        turns = _turns(found)
        reader = Reader(read_engine(found), turns)
        try:
            await reader.aside(lambda: _prepare(found))
        except BaseException:
            reader.close()
            raise
        engine = write_engine(found)
        writer = Writer(engine, writes.statements(engine.dialect.name), turns)
        store = cls(url=found, writer=writer, reader=reader, clock=clock)
        await store._interrupt_running()
        return store

    async def close(self) -> None:
        """Writes all that is queued and closes the database; what comes later raises StoreError."""
        if not self._reader.closed:
            await self._reader.aside(self._writer.close)
            await asyncio.to_thread(self._reader.close)

    async def begin(self, outcome: Outcome) -> None:
        """Queues a row for a request that starts to run, and returns before it is durable.

        `finish` writes the whole row whatever becomes of this one, so trouble is only logged.
        """
        self._writer.put({"begin": [request_row(outcome)]}).add_done_callback(_log_trouble)

    async def finish(self, outcome: Outcome) -> None:
        """Writes the outcome with its attempts in one transaction; returns when it is durable.

        The row lands even if the caller is cancelled while it waits.
        """
        await self._writer.put({"finish": [request_row(outcome)], "attempt": attempt_rows(outcome)})

    async def rate(self, *, request_id: str, principal: str, stars: int | None, at: int) -> Score:
        """Sets the stars (1-5) of a principal on a request, or clears them with None.

        Raises UserError for other numbers, NotFoundError where there is no such request.
        """
        task = writes.rate(request_id=request_id, principal=principal, stars=stars, at=at)
        return await self._writer.call(task)

    async def comment(self, *, request_id: str, principal: str, text: str, at: int) -> Score:
        """Sets the comment of a principal on a request; a blank one clears it. Raises NotFoundError."""
        task = writes.remark(request_id=request_id, principal=principal, text=text, at=at)
        return await self._writer.call(task)

    async def entry(self, request_id: str, *, viewer: str, owner: str | None) -> Entry | None:
        """One request with the viewer's stars and comment; None if there is none, or not one of `owner`'s."""
        return await self._reader.run(lambda c: queries.find(c, request_id, viewer=viewer, owner=owner))

    async def history(self, where: HistoryFilter, *, viewer: str, offset: int, limit: int) -> Page:
        """A page of the history, newest first, with the exact total.

        Filters are answered from an index; a text is looked for in every request that fits the other filters.
        """
        offset, limit = max(0, offset), max(0, limit)
        if not where.text:
            return await self._reader.run(lambda c: queries.page(c, where, viewer=viewer, offset=offset, limit=limit))
        return await self._search(where, viewer=viewer, offset=offset, limit=limit)

    async def export(self, where: HistoryFilter, *, viewer: str) -> AsyncIterator[Entry]:
        """All fitting entries, newest first, in short reads: no transaction is open while the consumer works.

        What is written meanwhile is newer than the first entry and does not appear.
        """
        async for found in self._windows(where, viewer=viewer, size=queries.CHUNK):
            for entry in await self._load(found.keys, viewer=viewer):
                yield entry

    async def facets(self, *, principal: str | None) -> Facets:
        """The prompts, models and nodes that occur in all requests, or in those of one principal."""
        return await self._reader.run(lambda c: queries.facets(c, principal=principal))

    async def prompt_stats(self) -> dict[str, PromptStats]:
        """Uses and stars by prompt key."""
        return await self._reader.run(statistics.prompt_stats)

    async def node_stats(self, *, since: int) -> dict[str, NodeStats]:
        """What every node did since an instant (Unix milliseconds), by node name."""
        return await self._reader.run(lambda c: statistics.node_stats(c, since=since))

    async def prompt_version(self, *, key: str, content: str, at: int) -> int:
        """The number of a prompt's content: the newest one's where nothing changed, else a new one, from 1."""
        return await self._writer.call(writes.add_version(key=key, content=content, at=at))

    async def check(self) -> StoreStatus:
        """Whether a row could be written now, tried out with a small write; does not raise."""
        mode, problem = None, None
        try:
            mode = await self._reader.run(_journal_mode)
            await self._writer.call(writes.probe)
        except HerdingError as error:
            problem = error.message
        return StoreStatus(
            writable=problem is None,
            database=f"SQLite {sqlite3.sqlite_version}" if is_sqlite(self._url) else self._url.get_backend_name(),
            journal_mode=mode,
            checked_at=self._clock(),
            problem=problem,
        )

    async def _interrupt_running(self) -> None:
        try:
            count = await self._writer.call(writes.interrupt_running)
        except BaseException:
            await self.close()
            raise
        if count:
            _log.warning("%s requests still ran when the app stopped; they are marked as interrupted.", count)

    async def _search(self, where: HistoryFilter, *, viewer: str, offset: int, limit: int) -> Page:
        total, wanted = 0, list[Key]()
        async for found in self._windows(where, viewer=viewer, size=SEARCHED):
            first = max(0, offset - total)
            wanted += found.keys[first : first + limit - len(wanted)]
            total += len(found.keys)
        return Page(tuple(await self._load(wanted, viewer=viewer)), total)

    async def _windows(self, where: HistoryFilter, *, viewer: str, size: int) -> AsyncIterator[Window]:
        found = Window([], None)
        while True:
            query = partial(queries.window, where=where, viewer=viewer, before=found.end, size=size)
            found = await self._reader.run(query)
            yield found
            if found.end is None:
                return

    async def _load(self, keys: Sequence[Key], *, viewer: str) -> list[Entry]:
        return await self._reader.run(lambda c: queries.load(c, [key.id for key in keys], viewer=viewer))


def _turns(url: URL) -> Turns:
    """Reads and commits meet on a rollback journal only."""
    meet = is_sqlite(url) and journal_mode(sqlite3.sqlite_version_info[:3]) != "wal"
    return Turns() if meet else NoTurns()


def _prepare(url: URL) -> None:
    """Blocking: the file, and its schema."""
    if is_sqlite(url):
        prepare_file(url)
    engine = schema_engine(url)
    try:
        migrate(engine)
    finally:
        engine.dispose()


def _journal_mode(connection: Connection) -> str | None:
    """WAL is a setting of the file; the kind of rollback journal is one of each connection, and the writer's counts."""
    if connection.dialect.name != "sqlite":
        return None
    found = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
    return found if found == "wal" else journal_mode(sqlite3.sqlite_version_info[:3])


def _log_trouble(future: asyncio.Future[None]) -> None:
    if not future.cancelled() and (error := future.exception()):
        _log.warning("A request's first row was not written: %s", error)
