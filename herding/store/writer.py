"""Group commit: one thread takes everything that waits and writes it in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, Executable

from herding.errors import HerdingError, StoreError
from herding.store.batch import Batch, Bulk, Look, Rows
from herding.store.db_errors import explained, is_passing
from herding.store.engine import without_sync
from herding.store.loop_notifier import LoopNotifier
from herding.store.rw_lock import ReadWriteLock
from herding.store.write_queue import WriteQueue

TRIES = 2
"""How often a batch meets a lock (each time SQLite's own wait) before its callers get the error."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Work for the writer: rows, a look that decides about rows, or a task that runs after all rows of its batch.

    `locks` are numbers that stand for what no other process may change meanwhile. `after` runs behind the commit, with
    the driver's own connection. What is not `lasting` need not outlive a power cut.
    """

    future: asyncio.Future[Any]
    rows: Rows = field(default_factory=dict)
    look: Look | None = None
    task: Callable[[Connection], object] | None = None
    locks: Sequence[int] = ()
    after: Callable[[Any], None] | None = None
    lasting: bool = True


class Result(NamedTuple):
    """How a job ended."""

    job: Job
    value: object = None
    error: HerdingError | None = None


class Writer:
    """Owns the only connection that writes; everything of a lasting job is durable when its future is done.

    `statements` are bulk inserts and updates by name, parents before children: the order in which a batch runs them.
    A job whose caller is cancelled is written all the same. `lock` takes the locks of a batch.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        statements: Mapping[str, Executable],
        turns: ReadWriteLock,
        lock: Callable[[Connection, Sequence[int]], None],
    ) -> None:
        self._engine = engine
        self._turns = turns
        self._lock = lock
        self.statements = statements
        self._bulks = {name: Bulk(statement) for name, statement in statements.items()}
        self._backlog: WriteQueue[Job] = WriteQueue()
        self._bells: dict[asyncio.AbstractEventLoop, LoopNotifier[Sequence[Result]]] = {}
        self._closed = False
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def put(self, rows: Rows) -> asyncio.Future[None]:
        """Queues rows at once; the future ends when they are durable, with StoreError where they are not."""
        return self._enqueue(rows=rows)

    def enter(self, look: Look, *, locks: Sequence[int] = (), lasting: bool = True) -> asyncio.Future[None]:
        """Queues `look`, which sees all that was entered before it, and adds rows or raises an error of ours."""
        return self._enqueue(look=look, locks=locks, lasting=lasting)

    def call(
        self,
        task: Callable[[Connection], T],
        *,
        locks: Sequence[int] = (),
        after: Callable[[Any], None] | None = None,
    ) -> asyncio.Future[T]:
        """Queues `task`, which gets the connection, inside a savepoint; the future is its result."""
        return self._enqueue(task=task, locks=locks, after=after)

    def close(self) -> None:
        """Waits until everything queued is written, and ends the thread."""
        if not self._closed:
            self._closed = True
            self._backlog.end()
        self._thread.join()
        while self._bells:
            self._bells.popitem()[1].retire()

    def _enqueue(self, **work: Any) -> asyncio.Future[Any]:
        if self._closed:
            raise StoreError("The store is closed: the app is stopping.")
        loop = asyncio.get_running_loop()
        if loop not in self._bells:
            self._bells[loop] = LoopNotifier(_deliver)
        job = Job(loop.create_future(), **work)
        self._backlog.put(job)
        return job.future

    def _work(self) -> None:
        _give_way()
        running = True
        while running:
            jobs, running = self._backlog.take()
            if jobs:
                self._settle(self._write(jobs))
        self._disconnect()

    def _settle(self, results: Sequence[Result]) -> None:
        """Wakes each event loop once for all its results."""
        for loop in {result.job.future.get_loop() for result in results}:
            self._bells[loop].ring([result for result in results if result.job.future.get_loop() is loop])

    def _write(self, jobs: Sequence[Job]) -> list[Result]:
        """Writes the batch; if that fails, each job alone, so that only the guilty caller gets the error."""
        for tries in range(1, TRIES + 1):
            try:
                return self._commit(jobs)
            except Exception as error:  # noqa: BLE001 - whatever it is, the callers wait for it and the thread lives on
                self._disconnect()  # a fresh connection knows nothing of the trouble
                if is_passing(error) and tries < TRIES:
                    continue
                if is_passing(error) or len(jobs) == 1:
                    return [Result(job, error=explained(error)) for job in jobs]
                break
        return [result for job in jobs for result in self._write([job])]

    def _commit(self, jobs: Sequence[Job]) -> list[Result]:
        connection = self._connected()
        waits = contextlib.nullcontext() if any(job.lasting for job in jobs) else without_sync(connection)
        with waits, connection.begin() as transaction:
            self._lock(connection, [key for job in jobs for key in job.locks])
            batch = Batch(connection, self._bulks)
            for job in jobs:
                batch.add(job.rows)
            results = [_look(batch, job) for job in jobs]
            batch.written()
            results = [_perform(connection, result) for result in results]
            with self._turns.committing():
                transaction.commit()
            return self._follow_up(connection, results)

    def _connected(self) -> Connection:
        """The connection; it is kept, since to fetch it anew for each batch costs as much as to commit."""
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()
        self._engine.dispose()

    def _follow_up(self, connection: Connection, results: Sequence[Result]) -> list[Result]:
        """Runs what jobs want behind the commit, once for all that want the same; the others never hear of trouble."""
        wanted = {result.job.after for result in results if result.job.after and result.error is None}
        if not wanted:
            return list(results)
        errors: dict[object, HerdingError] = {}
        for after in wanted:
            try:
                with self._turns.committing():
                    after(connection.connection.driver_connection)
            except Exception as error:  # noqa: BLE001 - the commit stands, and the callers wait
                errors[after] = explained(error)
        return [result._replace(error=result.error or errors.get(result.job.after)) for result in results]


def _give_way() -> None:
    """Lets this thread wait, when it has something to do, until the event loop is through with what it does.

    Otherwise it interrupts the loop, only to wait for Python's lock: each change of threads costs, and gains nothing.
    """
    with contextlib.suppress(AttributeError, OSError):  # not on Linux, or not allowed
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _look(batch: Batch, job: Job) -> Result:
    """Lets the job look; an error of ours is its own, and comes before it added rows."""
    try:
        if job.look:
            job.look(batch)
    except HerdingError as error:
        return Result(job, error=error)
    return Result(job)


def _perform(connection: Connection, result: Result) -> Result:
    """Runs the job's task; an error of ours undoes that task only."""
    if result.job.task is None:
        return result
    try:
        with connection.begin_nested():
            return Result(result.job, result.job.task(connection))
    except HerdingError as error:
        return Result(result.job, error=error)


def _deliver(results: Sequence[Result]) -> None:
    for job, value, error in results:
        if job.future.done():  # its caller was cancelled; the row is written
            continue
        if error is None:
            job.future.set_result(value)
        else:
            job.future.set_exception(error)
