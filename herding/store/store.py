"""The store: everything that the rest of Herding asks of the database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from filelock import FileLock
from sqlalchemy import URL, UpdateBase, bindparam, true, update
from sqlalchemy.exc import SQLAlchemyError

from herding.errors import HerdingError, StoreError
from herding.store import database, erase, ledger, presence, search_index, sqlite, tables
from herding.store.accounts import AccountStore
from herding.store.bots import BotStore
from herding.store.collections import words
from herding.store.collections.store import CollectionStore
from herding.store.collections.vectors import NumpySearch, VectorSearch, VectorStore, choose
from herding.store.database import Reader, is_sqlite, parse_url, to_store_error
from herding.store.headroom import Headroom
from herding.store.history import HistoryStore
from herding.store.login_sessions import LoginSessionStore
from herding.store.migrate import migrate
from herding.store.nodes import NodeStore
from herding.store.presence import Presence
from herding.store.prompts import files
from herding.store.prompts.store import PromptStore
from herding.store.rows import Row, attempt_rows, request_row, storable, usage_row
from herding.store.scores import ScoreStore
from herding.store.statistics import StatisticsStore
from herding.store.tables import insert_into, upsert
from herding.store.usage import UsageStore
from herding.store.windows import Entry
from herding.store.writer import Rows, Writer
from herding.values import Limit, LimitUse, Outcome

LATE_ROWS = 1_000
"""Requests that ended while the database failed, which are kept to be written later."""

LATE_CHARACTERS = 64_000_000
"""Characters of input and response that these may have together; later ones are kept without their texts."""

_log = logging.getLogger(__name__)


def now_ms() -> int:
    """Return the time in Unix milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """The status of the database. `database` is its name and version; `problem` says what to do if it takes no rows."""

    writable: bool
    database: str
    journal_mode: str | None
    checked_at: int
    problem: str | None = None


class Store(
    PromptStore,
    HistoryStore,
    AccountStore,
    LoginSessionStore,
    NodeStore,
    StatisticsStore,
    UsageStore,
    ScoreStore,
    CollectionStore,
    BotStore,
):
    """Keeps requests with attempts and feedback, prompts, users, tokens, nodes, and the use of limits.

    All methods raise StoreError if the database fails; nothing is then half written, and the store works again once
    the cause is removed.
    """

    def __init__(
        self,
        *,
        url: URL,
        writer: Writer,
        reader: Reader,
        clock: Callable[[], int],
        lock: FileLock | None = None,
        presence: Presence | None = None,
        vectors: VectorSearch | None = None,
    ) -> None:
        super().__init__(writer=writer, reader=reader)
        self._vectors = vectors or NumpySearch()
        self._url = url
        self._clock = clock
        self._lock = lock
        self._presence = presence
        self._headroom = Headroom() if lock else None  # with the lock, no other process enters requests
        self._late: dict[str, dict[str, list[Row]]] = {}

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        clock: Callable[[], int] = now_ms,
        beside_app: bool = False,
        vector_store: VectorStore = "auto",
        place: str = "",
    ) -> Store:
        """Create or migrate the database, mark requests whose app has ended as interrupted, and start the writer.

        `beside_app` is for a tool that runs beside the app on SQLite, whose requests are left alone. `vector_store` is
        what compares vectors, the best of the database by default. `place` is the ID of the directory of prompts.
        Raises ConfigError for an invalid URL, a newer schema or an SQLite file that another app uses, StoreError for a
        damaged or unreachable database.
        """
        parsed = parse_url(url)
        lock = None if beside_app or not is_sqlite(parsed) else await asyncio.to_thread(database.lock_file, parsed)
        try:
            mode, vectors = await asyncio.to_thread(_prepare, parsed, vector_store)
        except BaseException:
            if lock:
                lock.release()
            raise
        # Only with a rollback journal do reads and commits exclude each other. SQLite's own locks make the loser poll.
        file_lock = threading.Lock() if mode == sqlite.ROLLBACK else contextlib.nullcontext()
        engine = database.write_engine(parsed)
        writer = Writer(engine, statements=_statements(engine.dialect.name), file_lock=file_lock)
        store = cls(
            url=parsed,
            writer=writer,
            reader=Reader(database.read_engine(parsed), file_lock),
            clock=clock,
            lock=lock,
            presence=None if is_sqlite(parsed) else Presence(parsed),
            vectors=vectors,
        )
        try:
            if store._presence:
                await asyncio.to_thread(store._presence.begin)
            if not beside_app:
                await store._interrupt_orphans()
            if place:
                store.place = place
                store.place_is_new = await store._writer.call(lambda c: files.enter(c, place, clock()))
            if lock:  # no other process indexes
                await store.release_documents()
        except BaseException:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        """Write everything that is queued and close the database; later calls raise StoreError."""
        if not self._reader.closed:
            with contextlib.suppress(StoreError):
                await self.finish_late()
            await asyncio.to_thread(self._writer.close)
            await asyncio.to_thread(self._reader.close)
            if self._presence:
                await asyncio.to_thread(self._presence.close)
            if self._lock:
                self._lock.release()

    async def admit(
        self,
        outcome: Outcome,
        *,
        limits: Sequence[Limit],
        tokens: int,
        cost: int = 0,
        requests: int = 1,
        account: str | None = None,
    ) -> asyncio.Future[Any]:
        """Enter a starting request into the limits of `account` (default: its principal), with its first row.

        `tokens`, `cost` (nano-dollars) and `requests` (more than one for a chain) are the most that the request may
        use; they count until `finish` replaces them, for good if the app dies. The future is done when the entry is
        committed: it survives a crash of the app then. Since no response was sent yet, it does not wait for a disk
        sync, so a power cut may undo it.

        A request that surely fits is admitted before that. Near a limit, and while the database fails, this waits for
        the commit: a response that cannot be recorded would be paid in vain. If the caller is cancelled while it
        waits, nothing stays.

        Raises LimitError if a limit is used up.
        """
        row, payer = self._first_row(outcome), storable(account or outcome.principal)
        entry = Entry(payer, self._clock(), max(1, requests), max(0, tokens), max(0, cost))
        headroom, failing = self._headroom, self._writer.failing
        fits = not limits or (headroom is not None and not failing and headroom.fits(entry, limits))
        wait = failing or not fits
        entered = self._writer.add(
            lambda batch: ledger.reserve(batch, row, entry, () if fits else limits),
            locks=[ledger.lock_number(payer)] if limits else (),
            durable=False,
            awaited=wait,
        )
        if headroom:
            headroom.enter(entry, entered)
        return await self._begun(entered, row["id"], wait=wait)

    async def begin_step(self, outcome: Outcome) -> asyncio.Future[Any]:
        """Write the first row of a step of a chain, as `admit` does; the limits have the entry of the whole chain."""
        row, wait = self._first_row(outcome), self._writer.failing
        begun = self._writer.add(lambda batch: batch.add({"begin": [row]}), durable=False, awaited=wait)
        return await self._begun(begun, row["id"], wait=wait)

    async def _begun(self, begun: asyncio.Future[Any], request_id: str, *, wait: bool) -> asyncio.Future[Any]:
        """Return the future of a request's first commit, which is done if the request must `wait` for it."""
        if not wait:
            return begun
        try:
            await begun
        except asyncio.CancelledError:
            with contextlib.suppress(StoreError):  # closed: the reservation stays, which is the safe side
                self._writer.add(lambda batch: ledger.cancel(batch, request_id), awaited=False)
            raise
        return begun

    def _first_row(self, outcome: Outcome) -> Row:
        row = request_row(outcome)
        row["process"] = self._presence.number if self._presence else None
        return row

    def finish(self, outcome: Outcome) -> asyncio.Future[Any]:
        """Write the outcome with its attempts in one transaction; the future is done when it is durable.

        Reserved tokens and money are replaced by what was used; a step of a chain has no entry of its own. The row is
        written even if the caller is cancelled, and by `finish_late` if the database fails.
        """
        rows = {"finish": [request_row(outcome)], "attempt": attempt_rows(outcome)}
        rows["settle"] = [usage_row(outcome)] if outcome.parent is None else []
        rows["search"] = [{"request_id": rows["finish"][0]["id"]}]
        finished = self._finish(rows)
        finished.add_done_callback(partial(self._keep_if_failed, rows))
        return finished

    def _finish(self, rows: Rows) -> asyncio.Future[Any]:
        finished = self._writer.add(lambda batch: ledger.settle(batch, rows))
        if self._headroom:
            finished.add_done_callback(self._headroom.settle)
        return finished

    def _keep_if_failed(self, rows: dict[str, list[Row]], finished: asyncio.Future[Any]) -> None:
        """Keep the rows of a request whose end was not written: else it would count as running as long as the app."""
        if finished.cancelled() or not isinstance(finished.exception(), StoreError):
            return  # a row that the database refuses is refused again
        (row,) = rows["finish"]
        if len(self._late) >= LATE_ROWS:
            _log.error("end of a request not written (%s): too many of them wait for the database", row["id"])
            return
        if sum(_characters(late) for late in self._late.values()) + _characters(rows) > LATE_CHARACTERS:
            rows = {**rows, "finish": [row | erase.BLANK], "attempt": []}
        self._late[row["id"]] = rows

    async def finish_late(self) -> int:
        """Write the requests that ended while the database failed, and return their number.

        Raises StoreError if it still fails; they are kept then.
        """
        late = tuple(self._late.items())
        ends = await asyncio.gather(*(self._finish(rows) for _, rows in late), return_exceptions=True)
        for (request_id, _), end in zip(late, ends, strict=True):
            if not isinstance(end, BaseException):
                del self._late[request_id]
        if failed := next((end for end in ends if isinstance(end, BaseException)), None):
            raise failed
        if late:
            _log.info("wrote requests that ended while the database failed (%d)", len(late))
        return len(late)

    async def usage(self, account: str, limits: Sequence[Limit]) -> tuple[LimitUse, ...]:
        """Return the current use of each limit of an account, in the order of `limits`."""
        return await self._reader.run(lambda c: ledger.usage(c, account, limits, self._clock))

    async def prune(self, *, before: int) -> int:
        """Delete ledger entries from before an instant (Unix milliseconds), and return their number.

        Entries younger than the longest interval of a limit always stay.
        """
        before, count = min(before, self._clock() - ledger.LONGEST), 0
        for principal in await self._reader.run(lambda c: ledger.principals(c, before=before)):
            deleted = ledger.PRUNE_CHUNK
            while deleted == ledger.PRUNE_CHUNK:
                deleted = await self._writer.call(partial(ledger.prune, principal=principal, before=before))
                count += deleted
        return count

    async def erase_content(self, *, principal: str, request_ids: Sequence[str] | None) -> int:
        """Erase the content of a principal's requests and return their number; others' ids are ignored.

        With None it erases all of the principal's requests and drafts. Variables, input, response, errors and all
        comments go; counts, times and stars stay. On SQLite the texts are in none of its files on return; other writes
        wait meanwhile. A request that still runs writes its texts when it ends.
        """
        writes: list[asyncio.Future[int]] = []
        if request_ids is None:
            request_ids = await self._reader.run(lambda c: erase.owned_requests(c, principal))
            await self._writer.call(lambda c: erase.delete_drafts(c, principal))
        for start in range(0, len(request_ids), erase.CHUNK):
            chunk = request_ids[start : start + erase.CHUNK]
            writes.append(self._writer.call(partial(erase.blank_requests, principal=principal, request_ids=chunk)))
        purged = self._writer.maintain(sqlite.purge)
        count = sum(await asyncio.gather(*writes))
        await purged
        return count

    async def index(self) -> int:
        """Add the texts of queued requests to the index of the search; return the number of requests.

        It pauses after each batch as long as the batch took, so that other rows are not held up.
        """
        count, waiting = 0, await self._reader.run(search_index.is_queued)
        while waiting:
            begun = time.monotonic()
            # A power cut that undoes it leaves the requests queued.
            taken = await self._writer.call(search_index.index_batch, locks=[search_index.LOCK], durable=False)
            count += taken
            if waiting := taken > 0 and await self._reader.run(search_index.is_queued):
                await asyncio.sleep(time.monotonic() - begun)
        return count

    async def erase_drafts(self, principal: str) -> int:
        """Delete all drafts of a principal and return their number. On SQLite they are in none of its files then."""
        count = await self._writer.call(lambda c: erase.delete_drafts(c, principal))
        await self._writer.maintain(sqlite.purge)
        return count

    async def stay_present(self) -> None:
        """Show other processes on PostgreSQL that this one lives, and mark the running requests of those that ended.

        On SQLite, which one process uses at a time, there is nothing to do.
        """
        if self._presence is None:
            return
        if await asyncio.to_thread(self._presence.keep):
            await self._interrupt_orphans()

    async def check(self) -> StoreStatus:
        """Return whether a row could be written now, tried with a small write; does not raise."""
        mode, problem = None, None
        name = f"SQLite {sqlite.DRIVER.sqlite_version}" if is_sqlite(self._url) else "PostgreSQL"
        try:
            mode, name = await self._reader.run(lambda c: (database.journal(c), database.name_version(c)))
            await self._writer.call(
                lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = version_num").rowcount
            )
        except HerdingError as error:
            problem = error.message
        return StoreStatus(
            writable=problem is None,
            database=name,
            journal_mode=mode,
            checked_at=self._clock(),
            problem=problem,
        )

    async def _interrupt_orphans(self) -> None:
        count = await self._writer.call(presence.interrupt_orphans)
        if count:
            _log.warning("Marked %s requests as interrupted: they were running when their app stopped.", count)


def _prepare(url: URL, vector_store: VectorStore) -> tuple[str | None, VectorSearch]:
    """Create the file, migrate the schema, and return the journal mode and the search of vectors. Blocks."""
    if is_sqlite(url):
        database.prepare_file(url)
    engine = database.schema_engine(url)
    try:
        migrate(engine)
        with engine.begin() as connection:
            search_index.prepare(connection)
            words.prepare(connection)
            vectors = choose(connection, vector_store)
        with engine.connect() as connection:
            return database.journal(connection), vectors
    except SQLAlchemyError as error:
        raise to_store_error(error) from error
    finally:
        engine.dispose()


def _statements(dialect: str) -> dict[str, UpdateBase]:
    """Return the statements that write the rows of requests, in the order in which they run.

    `begin` never overwrites a row, since `finish` may have come first; `finish` and `attempt` do.
    """
    entry = tables.ledger.c.request_id == bindparam("settled_id")
    return {
        "reserve": insert_into(dialect, tables.ledger).on_conflict_do_nothing(),
        "begin": insert_into(dialect, tables.request).on_conflict_do_nothing(),
        "finish": upsert(dialect, tables.request),
        "attempt": upsert(dialect, tables.attempt),
        "settle": update(tables.ledger)
        .where(entry)
        .values(tokens=bindparam("used"), cost=bindparam("spent"), requests=bindparam("called"), settled=true()),
        "search": search_index.enqueue(dialect),
    }


def _characters(rows: Rows) -> int:
    """Return the length of the texts of a request that ended."""
    return sum(len(row["input"]) + len(row["answer"]) for row in rows["finish"])
