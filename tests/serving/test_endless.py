"""What runs beside the requests as long as the app."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from pathlib import Path

import pytest
from sqlalchemy import event

from herding import orchestrator
from herding.errors import StoreError
from herding.main import background
from herding.store import Store
from herding.studio.sync import Sync
from herding.values import Request, Started
from tests.support.herding import ADMIN, herding
from tests.support.nodes import Scripted, echo
from tests.support.until import until


async def test_the_upkeep_of_a_day_that_fails_is_tried_the_next_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    days: list[int] = []

    async def prune(store: Store, *, before: int) -> int:
        days.append(before)
        if len(days) == 1:
            raise StoreError("The database is away.")
        return 0

    monkeypatch.setattr(Store, "prune", prune)
    monkeypatch.setattr(orchestrator, "PRUNE_SECONDS", 0.001)
    async with herding(tmp_path, echo()) as place:
        upkeep = asyncio.create_task(place.orchestrator._prune())
        await until(lambda: upkeep.done() or len(days) > 1)
        assert not upkeep.done()
        upkeep.cancel()
    assert "stay another day: The database is away." in caplog.text


async def test_a_request_that_ends_while_the_database_fails_is_recorded_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orchestrator, "INDEX_SECONDS", 0.001)
    monkeypatch.setattr(orchestrator, "INDEX_RETRY_SECONDS", 0.001)
    failing = False

    def fail(_: object) -> None:
        if failing:
            raise StoreError("The database is away.")

    async with herding(tmp_path, Scripted("n", ["one"], ends=False)) as place:
        event.listen(place.store._writer._engine, "begin", fail)
        async with aclosing(place.orchestrator.pipeline.stream(Request("say"), ADMIN)) as events:
            started = await anext(events)
            assert isinstance(started, Started)
            await anext(events)
            failing = True
            await place.orchestrator.pipeline.cancel(started.request_id, ADMIN)
            with pytest.raises(StoreError):
                await anext(events)
        upkeep = asyncio.create_task(place.orchestrator._index())
        assert (await place.row()).status == "running"
        failing = False
        assert (await place.ended_row()).status == "cancelled"
        upkeep.cancel()


async def test_work_that_waits_for_the_database_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[str] = []

    async def fail(self: object, *_: object, **__: object) -> None:
        tries.append(type(self).__name__)
        raise StoreError("The database is away.")

    monkeypatch.setattr(Store, "claim_document", fail)
    monkeypatch.setattr(Sync, "refresh", fail)
    monkeypatch.setattr("herding.knowledge.indexer.POLL_SECONDS", 0.001)
    monkeypatch.setattr("herding.studio.sync.WATCH_SECONDS", 0.001)
    async with herding(tmp_path, echo()) as place:
        works = place.orchestrator._indexer.run(), place.orchestrator._sync.watch()
        tasks = [asyncio.create_task(work) for work in works]
        await until(lambda: min(tries.count("Store"), tries.count("Sync")) > 3)
        for task in tasks:
            task.cancel()
    assert caplog.text.count("documents wait for the database: The database is away.") == 1
    assert caplog.text.count("sync prompts failed: The database is away.") == 1


async def test_work_that_was_to_be_endless_and_ended_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks() -> None:
        raise RuntimeError("a bug of ours")

    async with background(breaks()):
        await until(lambda: caplog.records)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "Background task ended" in caplog.text
    assert "a bug of ours" in caplog.text


async def test_work_that_ends_with_the_app_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async with background(asyncio.sleep(3600)):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not caplog.records
