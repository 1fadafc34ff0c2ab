"""One engine, two models: requests for the one that is not there are served after one switch, which all can see."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.running_app import ROOT, RunningApp, wait_until

WEIGHTS = ROOT / "herding" / "engine" / "cria" / "weights"
NODES = ("desk", "rack")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app with nodes for two models each, `<node>/one` and `<node>/two`, which follow demand once in ten minutes."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(WEIGHTS, home / "two")
    nodes = [
        {
            "kind": "local",
            "name": name,
            "model": f"{name}/one",
            "paths": {f"{name}/one": str(WEIGHTS), f"{name}/two": str(home / "two")},
            "auto_switch": {"after_seconds": 0.2, "every_minutes": 10},
        }
        for name in NODES
    ]
    (home / "nodes.yaml").write_text(json.dumps({"nodes": nodes}))
    app = RunningApp(home, environment={"HERDING_NODES": str(home / "nodes.yaml")}).start()
    wait_until(lambda: len(serving(app)) == len(NODES), seconds=300, what="all engines to serve")
    yield app
    app.stop()


def serving(app: RunningApp) -> list[str]:
    """The names of the nodes that are ready."""
    nodes = httpx.get(f"{app.url}/api/v1/nodes", trust_env=False, timeout=60).raise_for_status().json()["nodes"]
    return [node["name"] for node in nodes if node["status"]["state"] == "ready"]


async def say(client: httpx.AsyncClient, model: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 4}
    return await client.post("/v1/chat/completions", json=body)


async def switches(client: httpx.AsyncClient, node: str) -> list[dict[str, Any]]:
    events = (await client.get("/api/v1/nodes/events")).json()["events"]
    return [event for event in events if (event["kind"], event["node"]) == ("switched", node)]


async def test_requests_for_the_other_model_are_served_after_one_switch(app: RunningApp) -> None:
    async with httpx.AsyncClient(base_url=app.url, timeout=60, trust_env=False) as client:
        assert (await say(client, "desk/one")).status_code == 200
        assert await switches(client, "desk") == []
        answers = await asyncio.gather(*(say(client, "desk/two") for _ in range(4)))
        assert [(answer.status_code, answer.json()["model"]) for answer in answers] == [(200, "desk/two")] * 4
        (told,) = await switches(client, "desk")
        assert told["detail"] == "from desk/one to desk/two"


async def test_demand_for_both_does_not_send_it_to_and_fro(app: RunningApp) -> None:
    models = ["rack/two", "rack/one", "rack/two", "rack/one"]
    async with httpx.AsyncClient(base_url=app.url, timeout=5, trust_env=False) as client:
        for _ in range(3):
            answers = await asyncio.gather(*(say(client, model) for model in models), return_exceptions=True)
            served = [answer for answer in answers if isinstance(answer, httpx.Response)]
            assert all(answer.status_code == 200 for answer in served)
            assert served
        assert len(await switches(client, "rack")) == 1
