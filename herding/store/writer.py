"""Group commit: one thread writes everything that waits in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, Executable

from herding.errors import HerdingError, StoreError
from herding.store.database import is_transient, to_store_error, without_sync
from herding.store.rows import Row

LARGEST_BATCH = 500
"""Jobs of one transaction; more would delay the first of them."""

ATTEMPTS = 2
"""Attempts of a batch that meets a lock; each waits as long as the database does."""

T = TypeVar("T")

Rows = Mapping[str, Sequence[Row]]
"""Rows by the name of the statement that writes them."""


class Batch:
    """The rows of one transaction, written by one statement of each kind.

    `statements` by name are in the order in which they run: parents before children.
    """

    def __init__(self, connection: Connection, statements: Mapping[str, Executable]) -> None:
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
                self.connection.execute(statement, rows)
        return self.connection


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """Work for the writer thread, and the future of its caller.

    `add` adds rows to the batch or raises an error of ours before that. `task` runs after all rows of the batch, in a
    savepoint. `maintain` runs after the commit, outside a transaction.
    """

    future: asyncio.Future[Any]
    add: Callable[[Batch], None] | None = None
    task: Callable[[Connection], object] | None = None
    maintain: Callable[[Any], None] | None = None
    locks: Sequence[int] = ()
    durable: bool = True


class _Result(NamedTuple):
    job: _Job
    value: object = None
    error: HerdingError | None = None


class Writer:
    """Owns the only connection that writes. A job is durable when its future is done.

    `file_lock` is held during each commit; it is a real lock only where reads and commits exclude each other. A job is
    written even if its caller is cancelled.
    """

    def __init__(
        self, engine: Engine, *, statements: Mapping[str, Executable], file_lock: AbstractContextManager[object]
    ) -> None:
        self._engine = engine
        self._statements = statements
        self._file_lock = file_lock
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = False
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def add(
        self, add: Callable[[Batch], None], *, locks: Sequence[int] = (), durable: bool = True
    ) -> asyncio.Future[None]:
        """Queue a job that adds rows to a batch.

        `locks` are numbers for what no other process may change before the commit. A job that is not `durable` survives
        a crash of the app, but not a power cut.
        """
        return self._enqueue(_Job(_new_future(), add=add, locks=locks, durable=durable))

    def call(self, task: Callable[[Connection], T], *, locks: Sequence[int] = ()) -> asyncio.Future[T]:
        """Queue a task that runs in a savepoint; the future has its result."""
        return self._enqueue(_Job(_new_future(), task=task, locks=locks))

    def maintain(self, task: Callable[[Any], None]) -> asyncio.Future[None]:
        """Queue a task that gets the driver's connection outside a transaction, after all that was queued before.

        It runs once for all in a batch that ask for the same.
        """
        return self._enqueue(_Job(_new_future(), maintain=task))

    def close(self) -> None:
        """Wait until everything queued is written, and end the thread. Blocks."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _enqueue(self, job: _Job) -> asyncio.Future[Any]:
        if self._closed:
            raise StoreError("The store is closed: the app is stopping.")
        self._queue.put(job)
        return job.future

    def _run(self) -> None:
        running = True
        while running:
            jobs = [self._queue.get()]
            while len(jobs) < LARGEST_BATCH and jobs[-1] is not None and not self._queue.empty():
                jobs.append(self._queue.get_nowait())
            running = jobs[-1] is not None
            if results := self._write([job for job in jobs if job is not None]):
                _resolve(results)
        self._disconnect()

    def _write(self, jobs: Sequence[_Job]) -> list[_Result]:
        """Write the batch; if that fails, each job alone, so that only the job at fault gets the error."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._commit(jobs)
            except Exception as error:  # noqa: BLE001 - callers wait for the outcome, and the thread must live on
                self._disconnect()  # the next attempt begins with a fresh connection
                if is_transient(error) and attempt < ATTEMPTS:
                    continue
                if is_transient(error) or len(jobs) == 1:
                    return [_Result(job, error=to_store_error(error)) for job in jobs]
                break
        return [result for job in jobs for result in self._write([job])]

    def _commit(self, jobs: Sequence[_Job]) -> list[_Result]:
        if not jobs:
            return []
        connection = self._connection = self._connection or self._engine.connect()
        syncing = contextlib.nullcontext() if any(job.durable for job in jobs) else without_sync(connection)
        with syncing, connection.begin() as transaction:
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
        if job.add:
            job.add(batch)
    except HerdingError as error:
        return _Result(job, error=error)
    return _Result(job)


def _perform(connection: Connection, result: _Result) -> _Result:
    """Run the job's task; an error of ours undoes that task only."""
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
        else:
            job.future.set_exception(error)
