"""The verdict of an upstream reaches the clients of `/v1` as it came: status, words, code, parameter and headers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import ADMIN, client, web
from tests.support.herding import Place, herding
from tests.support.nodes import openai
from tests.support.rawnode import GOOD, RawNode, event, rawnode, response

pytestmark = pytest.mark.one_database

SAID = {"message": "No such thing.", "type": "my_type", "param": "messages.0", "code": "my_code"}


@pytest.fixture
async def server() -> AsyncIterator[RawNode]:
    async with rawnode() as running:
        yield running


@pytest.fixture
async def place(tmp_path: Path, server: RawNode) -> AsyncIterator[Place]:
    nodes = [openai(server.at("x", response(GOOD)), "m", name=name, embedding_models=["m"]) for name in ("a", "b")]
    async with herding(tmp_path, *nodes) as place:
        yield place


@pytest.fixture
async def api(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    async with client(web(place), ADMIN) as api:
        yield api


async def chat(api: httpx.AsyncClient, **more: Any) -> httpx.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **more}
    return await api.post("/v1/chat/completions", json=body)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
async def test_a_client_error_passes_as_it_came_after_one_call(
    api: httpx.AsyncClient, server: RawNode, status: int, stream: bool
) -> None:
    server.at("x", response({"error": SAID}, status=f"{status} No"))
    answer = await chat(api, stream=stream)
    assert (answer.status_code, answer.json()) == (status, {"error": SAID})
    assert len(server.bodies) == 1


@pytest.mark.parametrize("status", [402, 403, 404])
async def test_one_of_this_node_alone_passes_after_the_others_were_asked(
    api: httpx.AsyncClient, server: RawNode, status: int
) -> None:
    server.at("x", response({"error": SAID}, status=f"{status} No"))
    answer = await chat(api)
    assert (answer.status_code, answer.json()) == (status, {"error": SAID})
    assert len(server.bodies) == 2


async def test_an_error_in_the_stream_has_the_status_of_its_code(api: httpx.AsyncClient, server: RawNode) -> None:
    server.at("x", response('data: {"error": {"message": "Too long", "code": 400, "param": "messages"}}\n\n'))
    answer = await chat(api, stream=True)
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": "Too long",
        "type": "invalid_request_error",
        "param": "messages",
        "code": 400,
    }
    server.at("x", response(event({"content": "Hel"}) + 'data: {"error": {"message": "Too long", "code": 400}}\n\n'))
    answer = await chat(api, stream=True)
    assert answer.status_code == 200
    assert '"message": "Too long"' in answer.text


async def test_too_many_requests_keep_their_headers_and_the_next_caller_hears_when_to_come_back(
    api: httpx.AsyncClient, server: RawNode
) -> None:
    limits = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "7s",
    }
    headers = "".join(f"{name}: {value}\r\n" for name, value in limits.items()) + "X-Secret: 1\r\n"
    server.at("x", response({"error": SAID}, status="429 Too Many Requests", headers=headers))
    answer = await chat(api)
    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (429, {"error": SAID}, "7")
    assert {name: answer.headers.get(name) for name in limits} == limits
    assert "x-secret" not in answer.headers
    answer = await chat(api)
    assert answer.status_code == 503
    assert 1 <= int(answer.headers["retry-after"]) <= 7


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [
        ("", 1),
        ("Retry-After: -1\r\n", 1),
        ("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n", 1),
        ("Retry-After: 12\r\n", 12),
        ("Retry-After: 1m30s\r\n", 90),
        ("Retry-After: 36000\r\n", 3600),
        ("retry-after-ms: 37000\r\n", 37),
        ("retry-after-ms: 37000\r\nRetry-After: 99\r\n", 37),
        (
            "x-ratelimit-reset-tokens: 2m0.5s\r\nx-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-requests: 1s\r\n",
            121,
        ),
        ("RateLimit: limit=10, remaining=0, reset=9\r\n", 9),
        ('RateLimit: "default";r=0;t=8\r\n', 8),
    ],
)
async def test_all_hints_are_read_and_told_alike_to_all(
    api: httpx.AsyncClient, server: RawNode, hint: str, seconds: int
) -> None:
    server.at("x", response({"error": SAID}, status="429 Too Many Requests", headers=hint))
    first, second = await chat(api), await chat(api)
    assert (first.status_code, int(first.headers["retry-after"])) == (429, seconds)
    assert max(1, seconds - 10) <= int(second.headers["retry-after"]) <= seconds


@pytest.mark.parametrize(("status", "ours"), [(401, 502), (407, 502), (500, 502), (501, 502), (503, 503), (504, 504)])
async def test_what_no_caller_can_mend_is_an_error_of_the_gateway(
    api: httpx.AsyncClient, server: RawNode, status: int, ours: int
) -> None:
    server.at("x", response({"error": SAID}, status=f"{status} No"))
    answer = await chat(api)
    assert answer.status_code == ours
    assert answer.json()["error"]["type"] == "server_error"


async def test_embeddings_do_the_same(api: httpx.AsyncClient, server: RawNode) -> None:
    server.at("x", response({"error": SAID}, status="400 No"))
    answer = await api.post("/v1/embeddings", json={"model": "m", "input": "hi"})
    assert (answer.status_code, answer.json()) == (400, {"error": SAID})


async def test_the_native_api_names_the_node(api: httpx.AsyncClient, server: RawNode) -> None:
    server.at("x", response({"error": SAID}, status="415 No"))
    answer = await api.post("/api/v1/infer", json={"prompt": "say", "model": "m"})
    assert answer.status_code == 415
    assert answer.json()["error"]["message"] == "Node 'a' responded with HTTP 415: No such thing."
