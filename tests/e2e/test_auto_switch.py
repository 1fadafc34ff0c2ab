"""One engine, two models: requests for the one that is not there are served after one switch, which all can see."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running_app import ROOT, RunningApp

WEIGHTS = ROOT / "herding" / "engine" / "cria" / "weights"
ONE, TWO = "small/one", "small/two"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[RunningApp]:
    """An app whose only node may follow demand, once in ten minutes."""
    shutil.copytree(WEIGHTS, tmp_path / "two")
    node = {
        "kind": "local",
        "name": "desk",
        "model": ONE,
        "paths": {ONE: str(WEIGHTS), TWO: str(tmp_path / "two")},
        "auto_switch": {"after_seconds": 0.2, "every_minutes": 10},
    }
    nodes = tmp_path / "nodes.yaml"
    nodes.write_text(json.dumps({"nodes": [node]}))
    app = RunningApp(tmp_path, environment={"HERDING_NODES": str(nodes)}).start()
    yield app
    app.stop()


async def say(client: httpx.AsyncClient, model: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 4}
    return await client.post("/v1/chat/completions", json=body)


async def switches(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    events = (await client.get("/api/v1/nodes/events")).json()["events"]
    return [event for event in events if event["kind"] == "switched"]


async def test_requests_for_the_other_model_are_served_after_one_switch(app: RunningApp) -> None:
    async with httpx.AsyncClient(base_url=app.url, timeout=60, trust_env=False) as client:
        assert (await say(client, ONE)).status_code == 200
        assert await switches(client) == []
        answers = await asyncio.gather(*(say(client, TWO) for _ in range(4)))
        assert [(answer.status_code, answer.json()["model"]) for answer in answers] == [(200, TWO)] * 4
        (told,) = await switches(client)
        assert (told["node"], told["detail"]) == ("desk", f"from {ONE} to {TWO}")


async def test_demand_for_both_does_not_send_it_to_and_fro(app: RunningApp) -> None:
    async with httpx.AsyncClient(base_url=app.url, timeout=10, trust_env=False) as client:
        for _ in range(3):
            answers = await asyncio.gather(
                *(say(client, model) for model in (TWO, ONE, TWO, ONE)), return_exceptions=True
            )
            served = [answer for answer in answers if isinstance(answer, httpx.Response)]
            assert all(answer.status_code == 200 for answer in served)
            assert served
        assert len(await switches(client)) == 1
