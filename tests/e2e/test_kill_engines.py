"""Engines that are killed under load: every request has an end, every end has a row, and who heard nothing is answered.

`HERDING_TEST_KILL_SECONDS` sets how long each loop of kills lasts.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import httpx
import pytest

from tests.e2e.running_app import RunningApp, alive, wait_until

CALLERS = 16
AT_ONCE = 8
SECONDS = float(os.environ.get("HERDING_TEST_KILL_SECONDS", "4"))
KILLS, LONGEST = 2, 300
"""So many kills in any case, and seconds that they may take on a slow machine."""
EVERY = 2.0
NODES = f"""
nodes:
  - {{kind: local, name: first, threads: 1, concurrency: {AT_ONCE}}}
  - {{kind: local, name: second, threads: 1, concurrency: {AT_ONCE}}}
"""
RAMBLE = """
name: Ramble
target_models: [herding/cria]
prompt: "The sea is"
parameters: {temperature: 1.0, max_tokens: 200}
"""
ASKED = {"prompt": "ramble", "stream": True}


@dataclass
class Told:
    """What a caller heard of one request. `ending`: `done`, or the type of the error."""

    request_id: str = ""
    ending: str = ""
    text: str = ""
    answer: str | None = None


@pytest.fixture(scope="module")
def herd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app with two engines that serve the same model."""
    home = tmp_path_factory.mktemp("home")
    (home / "prompts").mkdir()
    (home / "prompts" / "ramble.yaml").write_text(RAMBLE)
    (home / "nodes.yaml").write_text(NODES)
    files = {"HERDING_PROMPTS": str(home / "prompts"), "HERDING_NODES": str(home / "nodes.yaml")}
    app = RunningApp(home, environment=files).start()
    try:
        wait_until(lambda: len(serving(app)) == 2, seconds=300, what="two engines that serve")
        yield app
    finally:
        app.stop()


def serving(app: RunningApp) -> list[str]:
    """The names of the nodes that are ready."""
    return ready_in(app.client().get("/api/v1/nodes"))


def ready_in(answer: httpx.Response) -> list[str]:
    nodes = answer.raise_for_status().json()["nodes"]
    return [node["name"] for node in nodes if node["status"]["state"] == "ready"]


@pytest.mark.slow
@pytest.mark.parametrize("victims", ["one of two", "each in turn"])
async def test_killed_engines_fail_only_what_had_begun_and_lose_nothing(herd: RunningApp, victims: str) -> None:
    stop = asyncio.Event()
    limits = httpx.Limits(max_connections=CALLERS + 4)
    async with httpx.AsyncClient(base_url=herd.url, trust_env=False, timeout=600, limits=limits) as http:
        earlier = await history(http)
        callers = [asyncio.create_task(calling(http, stop)) for _ in range(CALLERS)]
        killed = await killing(herd, http, both=victims == "each in turn")
        stop.set()
        told = [one for found in await asyncio.gather(*callers) for one in found]
        rows = {id: row for id, row in (await history(http)).items() if id not in earlier}

    endings = Counter(one.ending for one in told)
    print(f"{victims}: {killed} kills, {len(told)} requests, {dict(endings)}")  # noqa: T201 (what -s is for)
    assert len(told) - endings["done"] <= killed * AT_ONCE, "what was begun on the killed, and no more"
    assert endings["done"]
    assert sorted(rows) == sorted(one.request_id for one in told)
    for one in told:
        row = rows[one.request_id]
        if one.ending == "done":
            assert (row["status"], row["answer"]) == ("succeeded", one.answer)
            assert one.text == one.answer
        else:
            assert (row["status"], row["error_type"], bool(one.text)) == ("partial", one.ending, True), row
    assert [row["status"] for row in rows.values() if row["status"] in ("running", "failed", "abandoned")] == []
    wait_until(lambda: len(serving(herd)) == 2, seconds=300, what="both engines to come back")


async def calling(http: httpx.AsyncClient, stop: asyncio.Event) -> list[Told]:
    """One caller's requests, one after the other until it is told to stop."""
    told = []
    while not stop.is_set():
        told.append(await ask(http))
    return told


async def ask(http: httpx.AsyncClient) -> Told:
    """One request to its end."""
    told = Told()
    async with http.stream("POST", "/api/v1/infer", json=ASKED) as answer:
        if answer.status_code != 200:
            error = json.loads(await answer.aread())["error"]
            return Told(error["request_id"], error["type"])
        async for name, data in events(answer):
            if name == "delta":
                told.text += data["text"]
            elif name == "done":
                told.request_id, told.ending, told.answer = data["request_id"], "done", data["text"]
            elif name == "error":
                told.request_id, told.ending = data["error"]["request_id"], data["error"]["type"]
    assert told.ending, "a stream that just ended"
    return told


async def events(answer: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def killing(app: RunningApp, http: httpx.AsyncClient, *, both: bool) -> int:
    """Kill engines that serve again and again, always the same node's or in turn; returns how many were."""
    first, second = app.children()
    engines, killed = {"first": first, "second": second}, 0
    turn = cycle(engines if both else ["first"])
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while loop.time() < begun + SECONDS or killed < KILLS:
        assert loop.time() < begun + SECONDS + LONGEST, f"only {killed} kills"
        await asyncio.sleep(EVERY)
        name, ready = next(turn), ready_in(await http.get("/api/v1/nodes"))
        engines = living(app, engines)
        if name in ready and name in engines:
            os.kill(engines[name], signal.SIGKILL)
            killed += 1
    return killed


def living(app: RunningApp, before: dict[str, int]) -> dict[str, int]:
    """The engines by node: those that still run, and a new one where only one node has none."""
    engines = {name: pid for name, pid in before.items() if pid in app.children() and alive(pid)}
    new = [pid for pid in app.children() if pid not in engines.values() and alive(pid)]
    without = [name for name in ("first", "second") if name not in engines]
    return engines | dict(zip(without, new, strict=False))


async def history(http: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """All rows by their ids."""
    lines = (await http.get("/api/v1/history.jsonl")).text.splitlines()
    return {row["request_id"]: row for row in map(json.loads, lines)}
