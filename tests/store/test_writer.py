"""Group commit: many callers, few transactions, and nobody pays for another's mistake."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import Connection

from herding.errors import NotFoundError, StoreError, UserError
from herding.store import Store, writer
from herding.store.writer import Batch
from herding.values import Attempt, HistoryFilter
from tests.support.database import reserve

NORMAL, FULL = 1, 2


async def ids(store: Store) -> set[str]:
    return {entry.outcome.request_id async for entry in store.export(HistoryFilter(), viewer="ada")}


async def test_finish_replaces_the_running_row(store: Store, outcome) -> None:
    await reserve(store, outcome(1, status="running"), limits=(), tokens=0)
    tries = (Attempt(1, "a", "m", 5, 1.5, "node_timeout", "slow"), Attempt(2, "b", "m", 7, 2.5))
    final = outcome(1, answer="hello", node="b", attempts=tries)
    await store.finish(final)
    found = await store.history(HistoryFilter(), viewer="ada", offset=0, limit=9)
    assert [entry.outcome for entry in found.entries] == [final]


async def test_begin_is_written_soon_and_never_over_a_final_row(store: Store, outcome, busy_writer) -> None:
    await reserve(store, outcome(1, status="running"), limits=(), tokens=0)
    await store.check()  # anything that waits for the writer
    entry = await store.entry(outcome(1).request_id, viewer="ada", owner=None)
    assert entry is not None
    assert entry.outcome.status == "running"
    with busy_writer():
        final = asyncio.ensure_future(store.finish(outcome(2)))
        await asyncio.sleep(0)
        begun = asyncio.ensure_future(reserve(store, outcome(2, status="running"), limits=(), tokens=0))
        await asyncio.sleep(0)
    await asyncio.gather(final, begun)
    await reserve(store, outcome(2, status="running"), limits=(), tokens=0)
    await store.check()
    entry = await store.entry(outcome(2).request_id, viewer="ada", owner=None)
    assert entry is not None
    assert entry.outcome.status == "succeeded"


async def test_a_caller_without_limits_waits_only_while_the_database_fails(store: Store, outcome, at_begin) -> None:
    beginning = store.admit(outcome(1, status="running"), limits=(), tokens=5)
    with pytest.raises(StopIteration):  # it ends without waiting once
        beginning.send(None)
    await store.check()  # anything that waits for the writer
    assert len(await ids(store)) == 1
    at_begin("SELECT no_such_function()")
    with pytest.raises(StoreError):
        await store.finish(outcome(2))
    with pytest.raises(StoreError):
        await store.admit(outcome(3, status="running"), limits=(), tokens=5)
    at_begin("SELECT 1")
    await store.finish(outcome(2))
    await store.admit(outcome(3, status="running"), limits=(), tokens=5)
    await store.check()
    assert len(await ids(store)) == 3


async def test_what_nobody_waits_for_is_written_with_the_next_job_or_soon_by_itself(
    store: Store, commits: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    await store._writer.add(lambda _batch: written.append(1), awaited=False)
    assert (written, len(commits)) == ([1], 1)
    monkeypatch.setattr(writer, "IDLE_SECONDS", 3600)
    first = store._writer.add(lambda _batch: written.append(2), awaited=False)
    second = store._writer.add(lambda _batch: written.append(3))
    await asyncio.gather(first, second)
    assert (written, len(commits)) == ([1, 2, 3], 2)


async def test_many_callers_share_few_commits(store: Store, outcome, busy_writer, commits: list[object]) -> None:
    with busy_writer():
        writes = [asyncio.ensure_future(store.finish(outcome(number))) for number in range(200)]
        await asyncio.sleep(0)
    await asyncio.gather(*writes)
    assert len(commits) <= 20
    assert len(await ids(store)) == 200


async def test_a_poisoned_row_fails_alone(store: Store, outcome, busy_writer) -> None:
    with busy_writer():
        rows = [outcome(number, version=2**70 if number == 3 else 1) for number in range(8)]
        writes = [asyncio.ensure_future(store.finish(row)) for row in rows]
        await asyncio.sleep(0)
    ends = await asyncio.gather(*writes, return_exceptions=True)
    assert [number for number, end in enumerate(ends) if end is not None] == [3]
    assert isinstance(ends[3], UserError)
    assert await ids(store) == {row.request_id for number, row in enumerate(rows) if number != 3}


async def test_a_failed_finish_leaves_nothing_behind(store: Store, outcome) -> None:
    with pytest.raises(UserError, match="too large"):
        await store.finish(outcome(1, attempts=(Attempt(2**70, "a", "m", 5),)))
    assert await ids(store) == set()


async def test_a_score_without_request_does_not_spoil_the_batch(
    store: Store, outcome, busy_writer, commits: list[object]
) -> None:
    with busy_writer():
        good = [asyncio.ensure_future(store.finish(outcome(number))) for number in range(8)]
        bad = asyncio.ensure_future(store.rate(request_id="none", principal="ada", stars=3, at=1))
        await asyncio.sleep(0)
    await asyncio.gather(*good)
    with pytest.raises(NotFoundError):
        await bad
    assert len(commits) == 2  # the one that held the writer, and the batch


async def test_a_score_may_ride_with_its_own_request(store: Store, outcome, busy_writer) -> None:
    with busy_writer():
        rated = asyncio.ensure_future(store.rate(request_id=outcome(1).request_id, principal="ada", stars=3, at=1))
        await asyncio.sleep(0)
        begun = asyncio.ensure_future(reserve(store, outcome(1, status="running"), limits=(), tokens=0))
        await asyncio.sleep(0)
    assert (await rated).stars == 3
    await begun


async def test_the_row_of_a_cancelled_caller_lands(store: Store, outcome, busy_writer) -> None:
    with busy_writer():
        write = asyncio.ensure_future(store.finish(outcome(1)))
        await asyncio.sleep(0)
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
    await store.finish(outcome(2))
    assert await ids(store) == {outcome(1).request_id, outcome(2).request_id}


async def test_close_writes_what_is_queued_and_then_refuses(url: str, outcome) -> None:
    store = await Store.open(url)
    for number in range(50):
        await reserve(store, outcome(number, status="running"), limits=(), tokens=0)
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.finish(outcome(99))
    with pytest.raises(StoreError, match="closed"):
        await ids(store)
    await store.close()
    again = await Store.open(url)
    assert len(await ids(again)) == 50
    await again.close()


async def test_the_writer_survives_a_task_that_breaks(store: Store, outcome) -> None:
    def broken(connection: Connection) -> None:
        raise RuntimeError("surprise")

    with pytest.raises(StoreError, match="surprise"):
        await store._writer.call(broken)
    await store.finish(outcome(1))


async def test_a_task_that_refuses_is_undone_alone(store: Store, outcome, busy_writer) -> None:
    def refuses(connection: Connection) -> None:
        connection.exec_driver_sql("DELETE FROM request")
        raise NotFoundError("no")

    with busy_writer():
        write = asyncio.ensure_future(store.finish(outcome(1)))
        await asyncio.sleep(0)
        task = store._writer.call(refuses)
    await write
    with pytest.raises(NotFoundError):
        await task
    assert await ids(store) == {outcome(1).request_id}


@pytest.mark.sqlite
async def test_only_what_need_not_outlive_a_power_cut_waits_for_no_disk(store: Store, outcome, busy_writer) -> None:
    found: dict[str, int] = {}

    def look(name: str) -> Callable[[Batch], None]:
        return lambda batch: found.update({name: _synchronous(batch.connection)})

    await store._writer.add(look("alone"), durable=False)
    await store._writer.add(look("durable"))
    with busy_writer():
        together = [store._writer.add(look("with a row"), durable=False), store.finish(outcome(1))]
    await asyncio.gather(*together)
    with pytest.raises(NotFoundError):
        await store._writer.add(_refuse, durable=False)
    await store._writer.add(look("after an error"))
    log = (await store.check()).journal_mode == "wal"
    assert found == {"alone": NORMAL if log else FULL, "durable": FULL, "with a row": FULL, "after an error": FULL}


async def test_a_lock_of_another_program_is_waited_for(library: ModuleType, store: Store, path: Path, outcome) -> None:
    other = library.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    write = asyncio.ensure_future(store.finish(outcome(1)))
    read = asyncio.ensure_future(store.history(HistoryFilter(), viewer="ada", offset=0, limit=1))
    await asyncio.sleep(0.5)
    assert not write.done()
    other.execute("COMMIT")
    other.close()
    await asyncio.gather(write, read)


@pytest.mark.slow
async def test_readers_and_writer_get_along(library: ModuleType, store: Store, path: Path, outcome) -> None:
    """No visible lock error under eight readers here, two of another program, and eight callers that write."""
    end = time.monotonic() + 2
    numbers = iter(range(1_000_000))

    async def write() -> int:
        count = 0
        while time.monotonic() < end or not count:
            await store.finish(outcome(next(numbers), attempts=(Attempt(1, "a", "m", 1, 1),)))
            count += 1
        return count

    async def read() -> int:
        count = 0
        while time.monotonic() < end or not count:
            await store.history(HistoryFilter(text="x"), viewer="ada", offset=0, limit=50)
            count += 1
        return count

    def read_outside() -> int:
        count = 0
        with library.connect(path, timeout=10) as other:
            while time.monotonic() < end or not count:
                other.execute("SELECT count(answer) FROM request").fetchone()
                count += 1
        other.close()
        return count

    outside = [asyncio.to_thread(read_outside) for _ in range(2)]
    counts = await asyncio.gather(*(write() for _ in range(8)), *(read() for _ in range(8)), *outside)
    assert min(counts) > 0
    assert len(await ids(store)) == sum(counts[:8])


def _synchronous(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())


def _refuse(batch: Batch) -> None:
    raise NotFoundError("no")
