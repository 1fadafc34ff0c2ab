"""Callers that go away: their runs end within a second, and the rows say so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import ADMIN, live
from tests.support.fakenode import FakeNode
from tests.support.herding import Place, herding
from tests.support.nodes import Late, Scripted, openai
from tests.support.until import until

CASES: dict[str, dict[str, Any]] = {
    "/api/v1/infer": {"prompt": "say"},
    "/api/v1/chat/completions": {"input": "hi", "model_name": "echo"},
    "/v1/chat/completions": {"model": "echo", "messages": [{"role": "user", "content": "hi"}]},
    "/v1/completions": {"model": "echo", "prompt": "hi"},
}


async def status_soon(place: Place, status: str) -> None:
    async with asyncio.timeout(60):
        while [row.status for row in await place.rows()] != [status]:  # noqa: ASYNC110 (the database has no event for it)
            await asyncio.sleep(0.01)


async def leave(base: str, path: str, body: dict[str, Any], ready: Callable[[], Any], **headers: str) -> None:
    """Send a request and close the connection once `ready`."""
    raw = json.dumps(body).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
    more = {
        "host": "127.0.0.1",
        "content-type": "application/json",
        "content-length": str(len(raw)),
        **ADMIN,
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in more.items())
    writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + raw)
    await until(ready)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("path", CASES)
async def test_whoever_leaves_in_the_middle_of_their_question_breaks_nothing(
    tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with herding(tmp_path, Scripted("a", ["one"])) as place, live(place) as base:
        _, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n"
        writer.write(head.encode() + b'{"model"')
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        await asyncio.sleep(0.1)
        assert await place.rows() == []
    assert "failed" not in caplog.text


@pytest.mark.parametrize("path", CASES)
async def test_whoever_waits_for_a_whole_answer_and_leaves(tmp_path: Path, path: str) -> None:
    node = Scripted("a", ["one", " two"], ends=False)
    async with herding(tmp_path, node) as place, live(place) as base:
        await leave(base, path, CASES[path], lambda: node.open)
        await status_soon(place, "abandoned")
        assert node.open == 0
        assert (await place.row()).answer == "one two"


@pytest.mark.parametrize("path", [path for path in CASES if path != "/api/v1/chat/completions"])
async def test_whoever_reads_a_stream_and_leaves(tmp_path: Path, path: str) -> None:
    node = Scripted("a", ["one", " two"], ends=False)
    async with herding(tmp_path, node) as place, live(place) as base:
        async with (
            httpx.AsyncClient(base_url=base, headers=ADMIN, timeout=60) as http,
            http.stream("POST", path, json={**CASES[path], "stream": True}) as response,
        ):
            async for text in response.aiter_text():
                if "two" in text:
                    break
        await status_soon(place, "abandoned")
        assert node.open == 0


async def test_whoever_leaves_a_stream_before_its_first_token(tmp_path: Path, faulty: FakeNode) -> None:
    async with herding(tmp_path, openai(faulty.url, "hang")) as place, live(place) as base:
        body = {"model": "hang", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        await leave(base, "/v1/chat/completions", body, lambda: faulty.calls("hang"))
        await status_soon(place, "abandoned")
        await until(lambda: faulty.calls("hang")[0].left)


async def test_whoever_leaves_while_waiting_in_the_queue(tmp_path: Path) -> None:
    node = Late("late", ["never"])
    async with herding(tmp_path, node) as place, live(place) as base:
        await leave(base, "/api/v1/infer", {"prompt": "say"}, lambda: len(place.orchestrator._active))
        await status_soon(place, "abandoned")
        assert node.calls == []


async def test_whoever_leaves_with_an_idempotency_key(tmp_path: Path) -> None:
    node = Scripted("a", ["one"], ends=False)
    async with herding(tmp_path, node) as place, live(place) as base:
        await leave(base, "/api/v1/infer", {"prompt": "say"}, lambda: node.open, **{"idempotency-key": "k"})
        await status_soon(place, "abandoned")
