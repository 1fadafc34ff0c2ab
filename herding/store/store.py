"""The store's one door: everything the orchestrator asks of the database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from herding.errors import HerdingError, StoreError
from herding.store import driver, erase, evidence, ledger, statistics, write_tasks
from herding.store.accounts import AccountStore
from herding.store.db_errors import explained
from herding.store.engine import is_sqlite, journal, parsed, prepare_file, read_engine, schema_engine, write_engine
from herding.store.history import HistoryStore
from herding.store.insights import InsightStore
from herding.store.migrate import migrate
from herding.store.nodes import NodeStore
from herding.store.preferences import PreferenceStore
from herding.store.prompt_store import PromptStore
from herding.store.reader import Reader
from herding.store.rows import attempt_rows, request_row, settled_row
from herding.store.rw_lock import NoLock, ReadWriteLock
from herding.store.sqlite_mode import ROLLBACK
from herding.store.writer import Writer
from herding.values import Limit, LimitUse, NodeStats, Outcome, PromptStats, Score, Trial

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


class Store(PromptStore, HistoryStore, AccountStore, NodeStore, InsightStore, PreferenceStore):
    """Remembers requests with their attempts, scores and comments, versions of prompts, users, tokens, use of limits.

    All methods raise StoreError when the database does not take or give the data; nothing is then half written, and
    the store works again when the trouble is over.
    """

    def __init__(self, *, url: URL, writer: Writer, reader: Reader, clock: Callable[[], int]) -> None:
        super().__init__(writer=writer, reader=reader)
        self._url = url
        self._clock = clock

    @classmethod
    async def open(cls, url: str, *, clock: Callable[[], int] = now_ms, beside_app: bool = False) -> Store:
        """Creates or migrates the database, marks what still ran as interrupted, and starts the writer.

        `beside_app` is for a tool that may work while the app runs: what runs is then left alone.
        Raises ConfigError for a URL or schema that is not ours, StoreError for a database that is damaged or away.
        """
        found = parsed(url)
        turns = _turns(await asyncio.to_thread(_prepare, found))
        reader, engine = Reader(read_engine(found), turns), write_engine(found)
        writer = Writer(
            engine, statements=write_tasks.statements(engine.dialect.name), turns=turns, lock=write_tasks.lock
        )
        store = cls(url=found, writer=writer, reader=reader, clock=clock)
        if not beside_app:
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

    async def reserve(
        self, outcome: Outcome, *, limits: Sequence[Limit], tokens: int, account: str | None = None
    ) -> None:
        """Enters a request that starts to run into the limits of `account`, with its row; both outlive the app then.

        Nobody was told anything yet, so no disk is waited for: a power cut may undo it. Without an account it is the
        request's principal.

        Raises LimitError where a limit is used up; nothing is written then. What was entered at `t` counts until just
        before `t` plus the interval, so any half-open interval holds what the limit allows and no more. An entry is
        never earlier than the account's latest one: a clock that goes back frees nothing. `tokens` is the most that
        the request may use; they count until `finish` replaces them, for good if the app dies. Of a caller who is
        cancelled while it waits, nothing stays.
        """
        payer, running = account or outcome.principal, request_row(outcome)
        look = ledger.reserve(running, account=payer, limits=limits, tokens=tokens, clock=self._clock)
        try:
            await self._writer.enter(look, locks=[ledger.key(payer)] if limits else (), lasting=False)
        except asyncio.CancelledError:
            with contextlib.suppress(StoreError):  # the store is closed: what stays is reserved, the safe side
                self._writer.enter(ledger.take_back(outcome.request_id)).add_done_callback(_log_trouble)
            raise

    def finish(self, outcome: Outcome) -> asyncio.Future[None]:
        """Writes the outcome with its attempts in one transaction; done when it is durable.

        What was reserved becomes what was used. The row lands even if the caller is cancelled while it waits.
        """
        rows = {"finish": [request_row(outcome)], "attempt": attempt_rows(outcome), "settle": [settled_row(outcome)]}
        return self._writer.enter(ledger.finish(rows))

    async def rate(self, *, request_id: str, principal: str, stars: int | None, at: int) -> Score:
        """Sets the stars (1-5) of a principal on a request, or clears them with None.

        Raises UserError for other numbers, NotFoundError where there is no such request.
        """
        task = write_tasks.rate(request_id=request_id, principal=principal, stars=stars, at=at)
        return await self._writer.call(task)

    async def comment(self, *, request_id: str, principal: str, text: str, at: int) -> Score:
        """Sets the comment of a principal on a request; a blank one clears it. Raises NotFoundError."""
        task = write_tasks.remark(request_id=request_id, principal=principal, text=text, at=at)
        return await self._writer.call(task)

    async def trials(self, *, limit: int) -> list[Trial]:
        """How models did on prompts, oldest first: of the newest `limit` requests, and of as many rated last."""
        return await self._reader.run(partial(evidence.trials, limit=limit))

    async def prompt_stats(self) -> dict[str, PromptStats]:
        """Uses and stars by prompt key."""
        return await self._reader.run(statistics.prompt_stats)

    async def node_stats(self, *, since: int) -> dict[str, NodeStats]:
        """What every node did since an instant (Unix milliseconds), by node name."""
        return await self._reader.run(lambda c: statistics.node_stats(c, since=since))

    async def usage(self, account: str, limits: Sequence[Limit]) -> tuple[LimitUse, ...]:
        """How much of each limit an account uses now, in the order of `limits`."""
        return await self._reader.run(lambda c: ledger.usage(c, account, limits, self._clock))

    async def prune(self, *, before: int) -> int:
        """Deletes what was entered into limits before an instant (Unix milliseconds), and says how many requests.

        What is younger than the longest interval of a limit stays, whatever is asked for: a limit may still need it.
        """
        before, count = min(before, self._clock() - ledger.LONGEST), 0
        for principal in await self._reader.run(lambda c: ledger.principals(c, before=before)):
            found = ledger.PRUNED
            while found == ledger.PRUNED:
                found = await self._writer.call(ledger.prune(principal, before))
                count += found
        return count

    async def forget(self, *, principal: str, request_ids: Sequence[str] | None) -> int:
        """Blanks the texts of a principal's requests, of all with None; says how many; ids of others are ignored.

        With None their drafts go as well.

        Variables, input, answer, errors and everybody's comments go; counts, times and stars stay. On SQLite the texts
        are in none of its files on return; nothing else is written while it rewrites them. A request that still runs
        writes its texts when it ends.
        """
        if request_ids is None:
            request_ids = await self._reader.run(lambda c: erase.owned(c, principal))
            await self._writer.call(erase.drop_drafts(principal), after=None if request_ids else erase.purge)
        count, size = 0, erase.ERASED
        for start in range(0, len(request_ids), size):
            task = erase.blank(principal, request_ids[start : start + size])
            last = start + size >= len(request_ids)
            count += await self._writer.call(task, after=erase.purge if last else None)
        return count

    async def check(self) -> StoreStatus:
        """Whether a row could be written now, tried out with a small write; does not raise."""
        mode, problem = None, None
        try:
            mode = await self._reader.run(journal)
            await self._writer.call(write_tasks.probe)
        except HerdingError as error:
            problem = error.message
        return StoreStatus(
            writable=problem is None,
            database=f"SQLite {driver.SQLITE.sqlite_version}" if is_sqlite(self._url) else self._url.get_backend_name(),
            journal_mode=mode,
            checked_at=self._clock(),
            problem=problem,
        )

    async def _interrupt_running(self) -> None:
        try:
            count = await self._writer.call(write_tasks.interrupt_running)
        except BaseException:
            await self.close()
            raise
        if count:
            _log.warning("%s requests still ran when the app stopped; they are marked as interrupted.", count)


def _turns(mode: str | None) -> ReadWriteLock:
    """Reads and commits meet on a rollback journal only."""
    return ReadWriteLock() if mode == ROLLBACK else NoLock()


def _prepare(url: URL) -> str | None:
    """Blocking: the file, and its schema; says how the file is written."""
    if is_sqlite(url):
        prepare_file(url)
    engine = schema_engine(url)
    try:
        migrate(engine)
        with engine.connect() as connection:
            return journal(connection)
    except SQLAlchemyError as error:
        raise explained(error) from error
    finally:
        engine.dispose()


def _log_trouble(future: asyncio.Future[None]) -> None:
    if not future.cancelled() and (error := future.exception()):
        _log.warning("A request's first row was not written: %s", error)
