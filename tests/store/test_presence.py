"""Several processes on one PostgreSQL database: requests of those that ended are interrupted, and no others."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from herding.store import Store
from herding.values import HistoryFilter
from tests.support.database import reserve
from tests.support.postgres import Server
from tests.support.until import LONG

pytestmark = pytest.mark.postgres

CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
OTHER = """
import asyncio, sys
from herding.store import Store
from herding.values import Outcome


async def run():
    store = await Store.open(sys.argv[1])
    await (await store.admit(Outcome(sys.argv[2], "ada", "p", 1, status="running"), limits=(), tokens=0))
    print("runs", flush=True)
    sys.stdin.readline()
    await store.finish(Outcome(sys.argv[2], "ada", "p", 1, status="succeeded"))
    await store.close()


asyncio.run(run())
"""


@contextmanager
def other_process(url: str, request_id: str) -> Iterator[subprocess.Popen[str]]:
    """A process with a running request, which succeeds when the process reads a line."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", OTHER, url, request_id]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "runs\n"
            yield process
        finally:
            process.kill()


async def statuses(store: Store) -> dict[str, str]:
    page = await store.history(HistoryFilter(), viewer="ada", offset=0, limit=99)
    return {entry.outcome.request_id: entry.outcome.status for entry in page.entries}


async def notices(store: Store, request_id: str) -> None:
    """Let a process look for ended ones until it finds that of a request: the server may need a moment."""
    async with asyncio.timeout(LONG):
        while (await statuses(store))[request_id] == "running":
            await store.stay_present()


async def test_a_process_that_starts_leaves_the_requests_of_the_living_alone(postgres_url: str) -> None:
    with other_process(postgres_url, "a") as living, other_process(postgres_url, "b") as killed:
        killed.kill()
        killed.wait()
        store = await Store.open(postgres_url)
        assert await statuses(store) == {"a": "running", "b": "interrupted"}
        living.communicate("\n")
    assert await statuses(store) == {"a": "succeeded", "b": "interrupted"}
    await store.close()


async def test_a_process_that_runs_notices_the_death_of_another(postgres_url: str, outcome) -> None:
    store = await Store.open(postgres_url)
    with other_process(postgres_url, "a") as other:
        await reserve(store, outcome(1, request_id="own", status="running"), limits=(), tokens=0)
        await store.stay_present()
        assert await statuses(store) == {"own": "running", "a": "running"}
        other.kill()
        other.wait()
    await notices(store, "a")
    assert await statuses(store) == {"own": "running", "a": "interrupted"}
    await store.index()
    page = await store.history(HistoryFilter(text="app stopped"), viewer="ada", offset=0, limit=9)
    assert [entry.outcome.request_id for entry in page.entries] == ["a"]
    await store.close()


async def test_a_process_that_lost_its_connection_is_present_again(postgres_server: Server, outcome) -> None:
    url = postgres_server.create()
    store = await Store.open(url)
    await reserve(store, outcome(1, request_id="own", status="running"), limits=(), tokens=0)
    postgres_server.sql(CUT, url.partition("@/")[2].partition("?")[0])
    await store.stay_present()
    other = await Store.open(url)
    assert await statuses(other) == {"own": "running"}
    await other.close()
    await store.close()
    postgres_server.drop(url)


async def test_a_server_that_starts_anew_lets_all_processes_return_first(postgres_server: Server, outcome) -> None:
    """The locks of all are gone then; those who look at once would take the others for ended."""
    url = postgres_server.create()
    first, second = await Store.open(url), await Store.open(url)
    await reserve(first, outcome(1, request_id="of first", status="running"), limits=(), tokens=0)
    postgres_server.sql(CUT, url.partition("@/")[2].partition("?")[0])
    for _ in range(2):
        await second.stay_present()
        await first.stay_present()
        assert await statuses(second) == {"of first": "running"}
    await first.close()
    await notices(second, "of first")
    assert await statuses(second) == {"of first": "interrupted"}
    await second.close()
    postgres_server.drop(url)


async def test_requests_that_no_process_is_named_for_are_interrupted(postgres_url: str, outcome) -> None:
    store = await Store.open(postgres_url)
    await store.finish(outcome(1, request_id="old", status="running"))  # as an earlier version wrote it
    await store.close()
    store = await Store.open(postgres_url)
    assert await statuses(store) == {"old": "interrupted"}
    await store.close()
