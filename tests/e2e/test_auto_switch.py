"""One engine, several models: what a request names is loaded beside the others, or in their place."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.running_app import ROOT, RunningApp, wait_until

WEIGHTS = ROOT / "herding" / "engine" / "cria" / "weights"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app with one engine, which has room for two of its three models."""
    home = tmp_path_factory.mktemp("home")
    for name in ("two", "three"):
        shutil.copytree(WEIGHTS, home / name)
    node = {
        "kind": "local",
        "name": "desk",
        "model": f"one={WEIGHTS}",
        "models": [f"two={home}/two", "./three"],
        "memory": "450MB",
    }
    (home / "nodes.yaml").write_text(json.dumps({"nodes": [node]}))
    app = RunningApp(home, environment={"HERDING_NODES": str(home / "nodes.yaml")}).start()
    yield app
    app.stop()


def status(app: RunningApp) -> dict[str, Any]:
    with app.client() as http:
        nodes = http.get("/api/v1/nodes").raise_for_status().json()["nodes"]
    found: dict[str, Any] = nodes[0]["status"]
    return found


def loaded(app: RunningApp) -> set[str]:
    return set(status(app)["serves"])


async def say(client: httpx.AsyncClient, model: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 4}
    return await client.post("/v1/chat/completions", json=body)


async def test_models_are_loaded_on_demand_and_the_least_used_goes(app: RunningApp) -> None:
    async with httpx.AsyncClient(base_url=app.url, timeout=60, trust_env=False) as client:
        answers = await asyncio.gather(*(say(client, model) for model in ("one", "two", "one", "two")))
        assert [(answer.status_code, answer.json()["model"]) for answer in answers] == [
            (200, model) for model in ("one", "two", "one", "two")
        ]
        assert loaded(app) == {"one", "two"}
        memory = status(app)["memory"]
        sizes = [model["size"] for model in status(app)["models"] if model["state"] == "loaded"]
        assert memory == {"budget": 450_000_000, "used": sum(sizes), "free": 450_000_000 - sum(sizes)}
        assert (await say(client, "one")).status_code == 200
        assert (await say(client, "three")).status_code == 200
        assert loaded(app) == {"one", "three"}
        events = (await client.get("/api/v1/nodes/events")).json()["events"]
        assert [event["detail"] for event in events if event["kind"] == "switched"] == ["loaded three", "loaded two"]


async def test_what_was_loaded_comes_back_after_a_kill(app: RunningApp) -> None:
    async with httpx.AsyncClient(base_url=app.url, timeout=60, trust_env=False) as client:
        for model in ("one", "two"):
            assert (await say(client, model)).status_code == 200
        wait_until(lambda: loaded(app) == {"one", "two"}, seconds=60, what="two models")
        (engine,) = app.children()
        os.kill(engine, signal.SIGKILL)
        wait_until(lambda: app.children() not in ([], [engine]), seconds=60, what="another engine")
        wait_until(lambda: loaded(app) == {"one", "two"}, seconds=120, what="the same models")
        unload = await client.delete("/api/v1/nodes/desk/model", params={"model": "two"})
        assert unload.status_code == 204
        assert loaded(app) == {"one"}
