"""Forgetting: the texts are gone from the history and from the disk, the numbers stay."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from herding.errors import StoreError
from herding.store import Store, sqlite
from herding.values import Attempt, CheckResult, HistoryFilter, Outcome, Parameters, Timings, Usage
from tests.support.database import reserve

CANARY = "canary"


def told(number: int, size: int, **changes: Any) -> dict[str, Any]:
    """Texts of about `size` characters in every place, each with its own canary."""

    def text(place: str) -> str:
        return f"{CANARY}-{place}-{number} " * (size // 20 + 1)

    return {
        "variables": {"x": text("variable")},
        "input": text("input"),
        "answer": text("answer"),
        "error": text("error"),
        "session_id": text("session"),
        "parameters": Parameters(temperature=0.5, stop=(text("stop"), "x")),
        "checks": CheckResult(False, text("checks")),
        "attempts": (Attempt(1, "n", "m", 5, 7.5, "node_timeout", text("attempt")),),
        "usage": Usage(3, 4),
        "timings": Timings(1.0, 2.0, 3.0),
        **changes,
    }


def on_disk(path: Path) -> int:
    """How many canaries are in the files beside and of the database."""
    return sum(file.read_bytes().count(CANARY.encode()) for file in path.parent.iterdir())


async def fill(store: Store, rows: list[Outcome]) -> None:
    """Short rows that grow, as they do in life, a few at a time."""
    for start in range(0, len(rows), 7):
        some = rows[start : start + 7]
        for row in some:
            await reserve(
                store,
                Outcome(row.request_id, row.principal, row.prompt, row.created_at, input=row.input),
                limits=(),
                tokens=0,
            )
        await asyncio.gather(*(store.finish(row) for row in some))


async def test_the_search_index_keeps_no_trace(store: Store, path: Path, outcome) -> None:
    letter = "\N{SQUARE CORPORATION}"  # is in no other text
    await store.finish(outcome(1, answer=letter * 9))
    await store.finish(outcome(2, answer="another text", principal="bob"))
    await store.index()
    assert any(letter.encode() in file.read_bytes() for file in path.parent.iterdir())
    await store.erase_content(principal="ada", request_ids=None)
    assert not any(letter.encode() in file.read_bytes() for file in path.parent.iterdir())
    found = await store.history(HistoryFilter(text="another"), viewer="bob", offset=0, limit=9)
    assert found.total == 1


@pytest.fixture(params=["persist", "wal"])
def journal(library: ModuleType, request, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sqlite, "journal_mode", lambda version, *, network: request.param)
    return str(request.param)


async def test_numbers_stay_and_texts_go(store: Store, outcome) -> None:
    row = outcome(1, policy="stars", reason="the best", error_type="node_timeout", **told(1, 50))
    await store.finish(row)
    await store.rate(request_id=row.request_id, principal="ada", stars=4, at=1)
    await store.comment(request_id=row.request_id, principal="ada", text="mine", at=1)
    await store.comment(request_id=row.request_id, principal="bob", text="about it", at=1)
    assert await store.erase_content(principal="ada", request_ids=[row.request_id]) == 1
    (entry,) = (await store.history(HistoryFilter(), viewer="ada", offset=0, limit=9)).entries
    blank: dict[str, Any] = {"variables": {}, "input": "", "answer": "", "error": None, "session_id": None}
    attempts = (Attempt(1, "n", "m", 5, 7.5, "node_timeout"),)
    kept = outcome(1, **told(1, 50, **blank, checks=CheckResult(False), attempts=attempts))
    assert (entry.stars, entry.comment) == (4, None)
    assert entry.outcome == Outcome(
        **{name: getattr(kept, name) for name in Outcome.__slots__}
        | {"parameters": Parameters(temperature=0.5), "policy": "stars", "reason": "the best"}
        | {"error_type": "node_timeout"}
    )
    bobs = await store.entry(row.request_id, viewer="bob", owner=None)
    assert bobs is not None
    assert bobs.comment is None


async def test_only_the_principals_own_requests_are_forgotten(store: Store, outcome) -> None:
    await store.finish(outcome(1, answer="a"))
    await store.finish(outcome(2, answer="a"))
    await store.finish(outcome(3, answer="a", principal="bob"))
    ids = [outcome(1).request_id, outcome(3).request_id, "none", "' OR 1=1 --", "\ud800"]
    assert await store.erase_content(principal="ada", request_ids=ids) == 1
    assert await store.erase_content(principal="ada", request_ids=[]) == 0
    page = await store.history(HistoryFilter(), viewer="ada", offset=0, limit=9)
    assert [entry.outcome.answer for entry in page.entries] == ["a", "a", ""]
    assert await store.erase_content(principal="ada", request_ids=None) == 2
    page = await store.history(HistoryFilter(), viewer="ada", offset=0, limit=9)
    assert [entry.outcome.answer for entry in page.entries] == ["a", "", ""]


@pytest.mark.slow
@pytest.mark.parametrize("size", [20, 700, 30_000])
async def test_no_text_is_left_on_the_disk(journal: str, path: Path, url: str, outcome, size: int) -> None:
    store = await Store.open(url)
    assert (await store.check()).journal_mode == journal
    sizes = random.Random(size)
    rows = [outcome(n, **told(n, sizes.randint(1, size)), principal="ada" if n % 3 else "bob") for n in range(60)]
    await fill(store, rows)
    for row in rows[::4]:
        await store.comment(request_id=row.request_id, principal="ada", text=f"{CANARY} comment" * 9, at=1)
    assert on_disk(path) > 60
    assert await store.erase_content(principal="ada", request_ids=None) == 40
    assert await store.erase_content(principal="bob", request_ids=[row.request_id for row in rows]) == 20
    assert on_disk(path) == 0
    await store.finish(outcome(100, answer="work goes on"))
    await store.close()
    assert on_disk(path) == 0


async def test_drafts_go_with_all_texts_and_leave_nothing_on_the_disk(store: Store, path: Path, outcome) -> None:
    for principal in ("ada", "bob"):
        for at in (0, 20_000):
            text = f"{CANARY}-draft-{principal}-{at} " * 200
            await store.save_draft(principal, "greet", text, base=1, at=at)
    await store.finish(outcome(1, answer="a"))
    await store.erase_content(principal="ada", request_ids=[outcome(1).request_id])
    assert await store.draft("ada", "greet")
    assert await store.erase_content(principal="ada", request_ids=None) == 1
    assert await store.drafts("ada") == ()
    assert await store.draft_steps("ada", "greet") == ()
    assert len(await store.draft_steps("bob", "greet")) == 2
    await store.erase_content(principal="bob", request_ids=None)
    assert on_disk(path) == 0


async def test_texts_go_while_others_read(library: ModuleType, path: Path, store: Store, outcome) -> None:
    await fill(store, [outcome(n, **told(n, 3000)) for n in range(60)])
    reads = 0

    async def read() -> None:
        nonlocal reads
        while True:
            await store.history(HistoryFilter(text="canary"), viewer="ada", offset=0, limit=9)
            reads += 1

    readers = [asyncio.ensure_future(read()) for _ in range(8)]
    assert await store.erase_content(principal="ada", request_ids=None) == 60
    assert on_disk(path) == 0
    for reader in readers:
        reader.cancel()
    ends = await asyncio.gather(*readers, return_exceptions=True)
    assert {type(end) for end in ends} == {asyncio.CancelledError}
    assert reads > 0


async def test_the_journal_is_kept_again_afterwards(library: ModuleType, store: Store, path: Path, outcome) -> None:
    await store.erase_content(principal="ada", request_ids=None)
    setting = "PRAGMA journal_size_limit"
    assert await store._writer.call(lambda c: c.exec_driver_sql(setting).scalar()) == sqlite.JOURNAL_BYTES
    await store.finish(outcome(1))
    beside = "-wal" if (await store.check()).journal_mode == "wal" else "-journal"
    assert path.with_name(f"{path.name}{beside}").stat().st_size > 0


async def test_a_reader_that_keeps_the_old_texts_is_told_of(
    path: Path, url: str, outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "journal_mode", lambda version, *, network: "wal")
    monkeypatch.setattr(sqlite, "LOCK_WAIT", 20)
    store = await Store.open(url)
    await store.finish(outcome(1, answer=CANARY))
    other = sqlite.DRIVER.connect(path, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM request").fetchone()
    with pytest.raises(StoreError, match="old copies"):
        await store.erase_content(principal="ada", request_ids=None)
    other.execute("COMMIT")
    other.close()
    await store.erase_content(principal="ada", request_ids=None)
    assert on_disk(path) == 0
    await store.close()


async def test_a_purge_that_fails_is_reported_to_its_callers_only(store: Store, outcome, busy_writer) -> None:
    def fails(connection: object) -> None:
        runs.append(connection)
        raise sqlite.DRIVER.OperationalError("no room")

    runs: list[object] = []
    with busy_writer():
        calls = [store._writer.maintain(fails) for _ in range(3)]
        write = asyncio.ensure_future(store.finish(outcome(1)))
        await asyncio.sleep(0)
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, StoreError) and "no room" in str(end) for end in ends)
    await write
    assert len(runs) == 1  # for all of the batch together


async def test_texts_that_moved_between_pages_are_gone_too(store: Store, path: Path, outcome) -> None:
    chance = random.Random(1)
    rows = [outcome(chance.getrandbits(62), **told(n, chance.randint(1, 200))) for n in range(150)]
    running = []
    for row in rows:
        await reserve(
            store, Outcome(row.request_id, row.principal, row.prompt, 1, input=row.input), limits=(), tokens=0
        )
        running.append(row)
        if len(running) > 20:
            await store.finish(running.pop(chance.randrange(20)))
    await store.erase_content(principal="ada", request_ids=None)
    assert on_disk(path) == 0


async def test_many_are_forgotten_in_parts(store: Store, outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("herding.store.erase.CHUNK", 10)
    await asyncio.gather(*(store.finish(outcome(number, answer="a")) for number in range(35)))
    assert await store.erase_content(principal="ada", request_ids=None) == 35
    assert {entry.outcome.answer async for entry in store.export(HistoryFilter(), viewer="ada")} == {""}
