"""Group commit: one thread writes everything that waits in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Dialect, Engine, UpdateBase
from sqlalchemy.sql.compiler import SQLCompiler

from herding.errors import HerdingError, StoreError
from herding.store.database import concerns_all, defer_sync, is_transient, to_store_error, without_sync
from herding.store.rows import Row

LARGEST_BATCH = 500
"""Jobs of one transaction; more would delay the first of them."""

IDLE_SECONDS = 0.001
"""Time limit of a job without a waiting caller in the queue, if no other comes that is written at once."""

ATTEMPTS = 2
"""Attempts of a batch that meets a lock; each waits as long as the database does."""

T = TypeVar("T")

_log = logging.getLogger(__name__)

Rows = Mapping[str, Sequence[Row]]
"""Rows by the name of the statement that writes them."""


class RowWriter:
    """A statement that writes rows, compiled once.

    `Connection.execute` would look it up, bind and convert anew each time, which takes longer than SQLite's work.
    """

    def __init__(self, statement: UpdateBase, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        if not isinstance(compiled, SQLCompiler):
            raise TypeError(f"not an SQL statement: {statement}")
        self._text, self._by_position = str(compiled), compiled.positiontup is not None
        types = {name: bind.type.dialect_impl(dialect) for bind, name in compiled.bind_names.items()}
        self._names = compiled.positiontup or list(types)
        processors = [types[name].bind_processor(dialect) for name in self._names]
        self._processors = [(place, process) for place, process in enumerate(processors) if process]

    def write(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Run the statement for all rows, which have a value for each of its parameters."""
        connection.exec_driver_sql(self._text, [self._parameters(row) for row in rows])

    def _parameters(self, row: Row) -> Any:
        """Return the values of a row in the form that the driver takes: by position or by name."""
        values = [row[name] for name in self._names]
        for place, process in self._processors:
            values[place] = process(values[place])
        return tuple(values) if self._by_position else dict(zip(self._names, values, strict=True))


class Batch:
    """The rows of one transaction, written by one statement of each kind.

    `statements` by name are in the order in which they run: parents before children.
    """

    def __init__(self, connection: Connection, statements: Mapping[str, RowWriter]) -> None:
        self.connection = connection
        self._statements = statements
        self._rows: dict[str, list[Row]] = {}

    def add(self, rows: Rows) -> None:
        """Collect rows."""
        for name, more in rows.items():
            self._rows.setdefault(name, []).extend(more)

    def flush(self) -> Connection:
        """Write the collected rows, and return the connection to look at the result."""
        collected, self._rows = self._rows, {}
        for name, statement in self._statements.items():
            if rows := collected.get(name):
                statement.write(self.connection, rows)
        return self.connection


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """Work for the writer thread, and the future of its caller.

    `add` adds rows to the batch and returns a result, or raises an error of ours before that. `task` runs after all
    rows of the batch, in a savepoint. `maintain` runs after the commit, outside a transaction.
    """

    future: asyncio.Future[Any]
    add: Callable[[Batch], object] | None = None
    task: Callable[[Connection], object] | None = None
    maintain: Callable[[Any], None] | None = None
    locks: Sequence[int] = ()
    durable: bool = True
    awaited: bool = True


class _Result(NamedTuple):
    job: _Job
    value: object = None
    error: HerdingError | None = None


class Writer:
    """Owns the only connection that writes. A job is durable when its future is done.

    `file_lock` is held during each commit; it is a real lock only where reads and commits exclude each other. A job is
    written even if its caller is cancelled. `failing` is true while the latest transaction was not committed.
    """

    def __init__(
        self, engine: Engine, *, statements: Mapping[str, UpdateBase], file_lock: AbstractContextManager[object]
    ) -> None:
        self._engine = engine
        self._statements = {name: RowWriter(statement, engine.dialect) for name, statement in statements.items()}
        self._file_lock = file_lock
        self._jobs: deque[_Job] = deque()
        self._waking: asyncio.AbstractEventLoop | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._closed = False
        self.failing = False
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def add(
        self, add: Callable[[Batch], T], *, locks: Sequence[int] = (), durable: bool = True, awaited: bool = True
    ) -> asyncio.Future[T]:
        """Queue a job that adds rows to a batch; the future has its result once they are committed.

        `locks` are numbers for what no other process may change before the commit. A job that is not `durable` survives
        a crash of the app, but not a power cut. One that is not `awaited` is written with the next that is, or a
        millisecond later; if it fails, the log says so.
        """
        return self._enqueue(_Job(_new_future(), add=add, locks=locks, durable=durable, awaited=awaited))

    def call(
        self, task: Callable[[Connection], T], *, locks: Sequence[int] = (), durable: bool = True
    ) -> asyncio.Future[T]:
        """Queue a task that runs in a savepoint; the future has its result. `locks` and `durable` are as in `add`."""
        return self._enqueue(_Job(_new_future(), task=task, locks=locks, durable=durable))

    def maintain(self, task: Callable[[Any], None]) -> asyncio.Future[None]:
        """Queue a task that gets the driver's connection outside a transaction, after all that was queued before.

        It runs once for all in a batch that ask for the same.
        """
        return self._enqueue(_Job(_new_future(), maintain=task))

    def close(self) -> None:
        """Wait until everything queued is written, and end the thread. Blocks."""
        if not self._closed:
            self._closed = True
            self._wakes.put(None)
        self._thread.join()

    def _enqueue(self, job: _Job) -> asyncio.Future[Any]:
        """Queue a job, and wake the thread once all that is ready on the event loop has queued its jobs."""
        if self._closed:
            raise StoreError("The store is closed: the app is stopping.")
        self._jobs.append(job)
        loop = job.future.get_loop()
        if not job.awaited:
            self._idle = self._idle or loop.call_later(IDLE_SECONDS, self._wake)
        elif self._waking is not loop:
            self._waking = loop
            loop.call_soon(self._wake)
        return job.future

    def _wake(self) -> None:
        self._waking = None
        if self._idle:
            self._idle.cancel()
            self._idle = None
        self._wakes.put(None)

    def _run(self) -> None:
        closing = False
        while not closing:
            self._wakes.get()
            closing = self._closed
            waiting = len(self._jobs)
            for start in range(0, waiting, LARGEST_BATCH):
                _resolve(self._write([self._jobs.popleft() for _ in range(min(LARGEST_BATCH, waiting - start))]))
        self._disconnect()

    def _write(self, jobs: Sequence[_Job]) -> list[_Result]:
        """Write the batch; if that fails, each job alone, so that only the job at fault gets the error."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                results = self._commit(jobs)
            except Exception as error:  # noqa: BLE001 - callers wait for the outcome, and the thread must live on
                self.failing = True
                self._disconnect()  # the next attempt begins with a fresh connection
                if is_transient(error) and attempt < ATTEMPTS:
                    continue
                if concerns_all(error) or len(jobs) == 1:
                    return [_Result(job, error=to_store_error(error)) for job in jobs]
                break
            else:
                self.failing = False
                return results
        return [result for job in jobs for result in self._write([job])]

    def _commit(self, jobs: Sequence[_Job]) -> list[_Result]:
        connection = self._connection = self._connection or self._engine.connect()
        durable = any(job.durable for job in jobs)
        syncing = contextlib.nullcontext() if durable else without_sync(connection)
        with syncing, connection.begin() as transaction:
            if not durable:
                defer_sync(connection)
            _lock(connection, [key for job in jobs for key in job.locks])
            batch = Batch(connection, self._statements)
            results = [_add(batch, job) for job in jobs]
            batch.flush()
            results = [_perform(connection, result) for result in results]
            with self._file_lock:
                transaction.commit()
        return self._maintain(connection, results)

    def _maintain(self, connection: Connection, results: list[_Result]) -> list[_Result]:
        tasks = {result.job.maintain for result in results if result.job.maintain}
        errors: dict[object, HerdingError] = {}
        for task in tasks:
            try:
                with self._file_lock:
                    task(connection.connection.driver_connection)
            except Exception as error:  # noqa: BLE001 - the commit stands, and the callers wait
                errors[task] = to_store_error(error)
        if not errors:
            return results
        return [result._replace(error=result.error or errors.get(result.job.maintain)) for result in results]

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()
        self._engine.dispose()


def _new_future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


def _lock(connection: Connection, keys: Sequence[int]) -> None:
    """Lock numbers against other processes until the transaction ends; SQLite has one writer anyway.

    All processes take them in the same order and before anything else, so that there is no deadlock.
    """
    if connection.dialect.name == "postgresql":
        for key in sorted(set(keys)):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({key:d})")


def _add(batch: Batch, job: _Job) -> _Result:
    try:
        return _Result(job, job.add(batch) if job.add else None)
    except HerdingError as error:
        return _Result(job, error=error)


def _perform(connection: Connection, result: _Result) -> _Result:
    """Run the job's task, if it has one; an error of ours undoes that task only."""
    if result.job.task is None:
        return result
    try:
        with connection.begin_nested():
            return _Result(result.job, result.job.task(connection))
    except HerdingError as error:
        return _Result(result.job, error=error)


def _resolve(results: Sequence[_Result]) -> None:
    """Wake each event loop once for all its results."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Result]] = {}
    for result in results:
        by_loop.setdefault(result.job.future.get_loop(), []).append(result)
    for loop, its_results in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed, and no caller waits
            loop.call_soon_threadsafe(_set_results, its_results)


def _set_results(results: Sequence[_Result]) -> None:
    for job, value, error in results:
        if job.future.done():  # the caller was cancelled; the row is written
            continue
        if error is None:
            job.future.set_result(value)
            continue
        job.future.set_exception(error)
        if not job.awaited:
            job.future.exception()  # it is retrieved: else asyncio would log it, too
            _log.warning("A row was not written: %s", error)
