"""Full disks, read-only files, locks: a clear error, nothing half written, and work goes on afterwards."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import event

from herding.errors import StoreError
from herding.store import Store, sqlite
from herding.store.sqlite import journal_mode
from herding.values import Attempt, HistoryFilter, Limit, Usage
from tests.support.database import reserve

pytestmark = pytest.mark.usefixtures("library")


async def total(store: Store) -> int:
    return (await store.history(HistoryFilter(), viewer="ada", offset=0, limit=1)).total


async def test_a_full_disk_is_survived(store: Store, outcome, at_begin) -> None:
    long = outcome(1, answer="x" * 1_000_000, attempts=(Attempt(1, "n", "m", 1),))
    at_begin("PRAGMA max_page_count = 30")
    with pytest.raises(StoreError, match=r"disk .* is full"):
        await store.finish(long)
    assert await total(store) == 0
    assert await store.node_stats(since=0) == {}
    await store.finish(outcome(2))  # a short row still fits
    at_begin("PRAGMA max_page_count = 100000")
    await store.finish(long)
    assert await total(store) == 2


async def test_only_the_rows_that_do_not_fit_fail(store: Store, outcome, at_begin, busy_writer) -> None:
    with busy_writer():
        rows = [outcome(number, answer="x" * (1_000_000 if number == 2 else 10)) for number in range(5)]
        writes = [asyncio.ensure_future(store.finish(row)) for row in rows]
        await asyncio.sleep(0)
        at_begin("PRAGMA max_page_count = 40")
    ends = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), type(None), StoreError, type(None), type(None)]


async def test_a_read_only_database_is_survived(store: Store, outcome, at_begin) -> None:
    await store.finish(outcome(1))
    at_begin("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="read-only"):
        await store.finish(outcome(2))
    with pytest.raises(StoreError, match="read-only"):
        await store.rate(request_id=outcome(1).request_id, principal="ada", stars=1, at=1)
    with pytest.raises(StoreError, match="read-only"):
        await reserve(store, outcome(3, status="running"), limits=(), tokens=0)
    status = await store.check()
    assert not status.writable
    assert status.problem is not None
    assert "read-only" in status.problem
    assert await total(store) == 1  # reading goes on
    at_begin("PRAGMA query_only = OFF")
    await store.finish(outcome(2))
    status = await store.check()
    assert status.writable
    assert status.problem is None
    assert await total(store) == 2


async def test_a_request_whose_end_the_database_missed_does_not_run_for_ever(
    store: Store, outcome, at_begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("herding.store.store.LATE_ROWS", 2)
    monkeypatch.setattr("herding.store.store.LATE_CHARACTERS", 100)
    limits, used = [Limit("token", 1, 1_000)], Usage(3, 4, "node")
    for number in range(3):
        await reserve(store, outcome(number, status="running"), limits=limits, tokens=100)
    at_begin("PRAGMA query_only = ON")
    for number, text in enumerate(("kept", "x" * 100, "too many")):
        with pytest.raises(StoreError, match="read-only"):
            await store.finish(outcome(number, answer=text, usage=used))
    with pytest.raises(StoreError, match="read-only"):
        await store.finish_late()
    at_begin("PRAGMA query_only = OFF")
    assert await store.finish_late() == 2
    assert await store.finish_late() == 0
    found = (await store.history(HistoryFilter(), viewer="ada", offset=0, limit=9)).entries
    ends = [(entry.outcome.status, entry.outcome.answer) for entry in found]
    assert ends == [("running", ""), ("succeeded", ""), ("succeeded", "kept")]
    assert (await store.usage("ada", limits))[0].used == 7 + 7 + 100


async def test_ends_that_the_database_missed_are_written_when_it_closes(url: str, path: Path, outcome) -> None:
    store = await Store.open(url)
    trouble = ["PRAGMA query_only = ON"]
    event.listen(store._writer._engine, "begin", lambda connection: connection.exec_driver_sql(trouble[-1]))
    with pytest.raises(StoreError, match="read-only"):
        await store.finish(outcome(1))
    trouble.append("PRAGMA query_only = OFF")
    await store.close()
    store = await Store.open(url)
    assert await total(store) == 1
    await store.close()


async def test_a_lock_that_stays_is_an_error_for_all_and_then_over(
    url: str, path: Path, outcome, monkeypatch: pytest.MonkeyPatch, library: ModuleType
) -> None:
    monkeypatch.setattr(sqlite, "LOCK_WAIT", 20)
    store = await Store.open(url)
    mode = (await store.check()).journal_mode
    other = library.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    tries: list[object] = []  # after each lock that it meets, the writer connects anew
    event.listen(store._writer._engine, "connect", lambda connection, _: tries.append(connection), insert=True)
    ends = await asyncio.gather(*(store.finish(outcome(number)) for number in range(20)), return_exceptions=True)
    assert all(isinstance(end, StoreError) and "locked" in end.message for end in ends)
    assert 0 < len(tries) < 20  # they wait for the lock together, not one after the other
    if mode == "wal":
        assert await total(store) == 0  # reading goes on
    else:
        with pytest.raises(StoreError, match="locked"):
            await total(store)
    other.execute("COMMIT")
    other.close()
    await store.finish(outcome(1))
    assert await total(store) == 1
    await store.close()


@pytest.mark.parametrize("how", ["moved", "replaced", "deleted"])
async def test_a_file_that_goes_away_loses_nothing_unseen(
    url: str, path: Path, outcome, how: str, library: ModuleType
) -> None:
    """A commit into a file without a name would be lost; in the log beside a restored backup it would damage that."""
    store = await Store.open(url)
    await store.finish(outcome(1))
    aside, backup = path.with_suffix(".aside"), path.with_suffix(".backup")
    with closing(library.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(backup),))
    await store.finish(outcome(2))
    shutil.move(path, aside)
    if how == "replaced":
        shutil.move(backup, path)
    for _ in range(2):
        with pytest.raises(StoreError, match="moved, deleted or replaced"):
            await store.finish(outcome(3))
        with pytest.raises(StoreError, match="moved, deleted or replaced"):
            await total(store)
    assert not (await store.check()).writable
    assert (path in path.parent.iterdir()) == (how == "replaced")
    if how == "moved":
        shutil.move(aside, path)
        await store.finish(outcome(3))
    await store.close()
    store = await Store.open(url)
    assert await total(store) == {"moved": 3, "replaced": 1, "deleted": 0}[how]
    await store.close()
    if how != "moved":  # all that was committed before is in the file that went
        with closing(library.connect(aside)) as connection:
            assert connection.execute("SELECT count(*) FROM request").fetchone() == (2,)


async def test_check_names_version_and_journal(library: ModuleType, store: Store) -> None:
    status = await store.check()
    assert status.writable
    assert status.database == f"SQLite {library.sqlite_version}"
    assert status.journal_mode == journal_mode(library.sqlite_version_info, network=False)
    assert status.checked_at > 1_600_000_000_000
