"""What was acknowledged is there after kill -9."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from herding.store import Store
from herding.values import HistoryFilter

ROUNDS = 15

NURSERY = """
import asyncio, os, random, signal, sys, time
from herding.store import Store
from herding.values import Attempt, Outcome

url, acknowledged, rounds = sys.argv[1], os.open(sys.argv[2], os.O_CREAT | os.O_WRONLY | os.O_APPEND), int(sys.argv[3])


def say(*words):
    os.write(acknowledged, (" ".join(words) + "\\n").encode())


async def caller(store, name):
    for number in range(1_000_000):
        request_id = f"{name}-{number}"
        tries = (Attempt(1, "n", "m", 1, 1.0),)
        outcome = Outcome(request_id, "ada", "p", time.time_ns(), status="running", answer="x" * random.randrange(3000))
        await (await store.admit(outcome, limits=(), tokens=0))
        await store.finish(Outcome(request_id, "ada", "p", 1, status="succeeded", answer="done", attempts=tries))
        say("row", request_id)
        if number % 3 == 0:
            await store.rate(request_id=request_id, principal="ada", stars=1 + number % 5, at=1)
            say("stars", request_id, str(1 + number % 5))


async def child(round):
    store = await Store.open(url)
    say("open", str(round))
    await (await store.admit(Outcome(f"hangs-{round}", "ada", "p", 1), limits=(), tokens=0))
    await asyncio.gather(*(caller(store, f"{round}-{who}") for who in range(6)))


def lines():
    return os.fstat(acknowledged).st_size and open(sys.argv[2]).read().count("\\n")


for round in range(rounds):
    begun = lines()
    pid = os.fork()
    if not pid:
        asyncio.run(child(round))
    if round % 2 == 0:  # in the middle of its work, however long that takes to begin
        while lines() < begun + 40:
            time.sleep(0.002)
    time.sleep(random.uniform(0.0, 0.2))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""


def run_nursery(url: str, said: Path, environment: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", NURSERY, url, said, str(ROUNDS)], env=environment, check=True, timeout=600)


@pytest.mark.slow
async def test_acknowledged_rows_survive_kill(url: str, tmp_path: Path, environment: dict[str, str]) -> None:
    said = tmp_path / "acknowledged"
    run_nursery(url, said, environment)
    await assert_acknowledged(url, said.read_text())


async def assert_acknowledged(url: str, said: str) -> None:
    """All that was acknowledged is in the history, whole."""
    lines = [line.split() for line in said.splitlines()]
    store = await Store.open(url)
    found = {entry.outcome.request_id: entry async for entry in store.export(HistoryFilter(), viewer="ada")}
    await store.close()
    rows = [line[1] for line in lines if line[0] == "row"]
    stars = {line[1]: int(line[2]) for line in lines if line[0] == "stars"}
    assert len(rows) > 100
    assert len(stars) > 10
    assert [one for one in rows if found[one].outcome.answer != "done" or len(found[one].outcome.attempts) != 1] == []
    assert {one: found[one].stars for one in stars} == stars
    assert {entry.outcome.status for entry in found.values()} <= {"succeeded", "interrupted"}
    assert any(one.startswith("hangs") for one in found)
    assert all(found[one].outcome.status == "interrupted" for one in found if one.startswith("hangs"))
