"""Bodies of chats: what is taken, and how the others are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from herding.errors import ConnectError
from tests.api.conftest import ADMIN, MAX_BODY, client, live, web
from tests.support.herding import Place, herding
from tests.support.nodes import Scripted, echo

pytestmark = pytest.mark.one_database

PATH = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
GOOD: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "hi you"}]}
MANY = [{"type": "text", "text": "x"}] * 10


def body(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


CASES: dict[str, tuple[bytes, dict[str, str], int, str | None]] = {
    "good": (body(), JSON, 200, None),
    "a charset": (body(), {"content-type": "application/json; charset=utf-8"}, 200, None),
    "streamed": (body(stream=True), JSON, 200, None),
    "streamed with usage": (body(stream=True, stream_options={"include_usage": True}), JSON, 200, None),
    "a prompt": (body(model="prompt:say"), JSON, 200, None),
    "no such prompt": (body(model="prompt:none"), JSON, 404, "prompt"),
    "no such model": (body(model="none"), JSON, 404, "model"),
    "no such model, streamed": (body(model="none", stream=True), JSON, 404, "model"),
    "a node that fails": (body(model="broken"), JSON, 502, None),
    "what is not supported": (body(n=2), JSON, 400, "n"),
    "a parameter out of bounds": (body(temperature=9), JSON, 400, "temperature"),
    "parts": (body(messages=[{"role": "user", "content": MANY}]), JSON, 200, None),
    "no messages": (body(messages=[]), JSON, 400, "messages"),
    "messages that are none": (body(messages=7), JSON, 400, "messages"),
    "a field of another type": (body(max_tokens="many"), JSON, 400, "max_tokens"),
    "no JSON": (b"{", JSON, 400, None),
    "no body": (b"", JSON, 400, None),
    "a list": (b"[]", JSON, 400, None),
    "no text": (b"\xff\xfe", JSON, 400, None),
    "a form": (b"model=echo", {"content-type": "application/x-www-form-urlencoded"}, 400, None),
    "no content type": (body(), {}, 400, None),
    "another kind of JSON": (body(), {"content-type": "application/problem+json"}, 200, None),
    "an idea of a content type": (body(), {"content-type": "Application/JSON"}, 200, None),
    "too much": (body(model="x" * MAX_BODY), JSON, 413, None),
    "another origin": (body(), {**JSON, "origin": "http://evil.test"}, 403, None),
    "our origin": (body(), {**JSON, "origin": "http://herding.test"}, 200, None),
}


@pytest.fixture
async def place(tmp_path: Path) -> Any:
    broken = Scripted("broken", [ConnectError("It is away.", node="broken")], models=["broken"])
    async with herding(tmp_path, echo(), broken) as made:
        yield made


@pytest.mark.parametrize("case", CASES)
async def test_a_body_is_taken_or_refused_with_the_field_that_is_wrong(api: httpx.AsyncClient, case: str) -> None:
    content, headers, status, param = CASES[case]
    answer = await api.post(PATH, content=content, headers=headers)
    assert answer.status_code == status
    if status != 200:
        assert (answer.json()["error"]["param"], bool(answer.json()["error"]["message"])) == (param, True)


async def test_the_middleware_is_around_it(place: Place) -> None:
    app = web(place)
    async with client(app, ADMIN) as http:
        answer = await http.post(PATH, content=body(), headers=JSON | {"host": "evil.test"})
        assert answer.status_code == 400
        assert "host name is not accepted" in answer.json()["error"]["message"]
        crossed = await http.post(PATH, content=body(), headers=JSON | {"sec-fetch-site": "cross-site"})
        assert crossed.status_code == 403
        good = await http.post(PATH, content=body(), headers=JSON)
        assert good.headers["x-content-type-options"] == "nosniff"
        assert good.headers["vary"] == "Origin"


async def test_a_body_in_pieces_is_read_whole(place: Place) -> None:
    async with (
        live(place) as url,
        httpx.AsyncClient(base_url=url, headers=ADMIN | JSON, trust_env=False, timeout=60) as http,
    ):

        async def pieces(content: bytes) -> Any:
            for start in range(0, len(content), 7):
                yield content[start : start + 7]

        good = await http.post(PATH, content=pieces(body()))
        bad = await http.post(PATH, content=pieces(body(max_tokens="many")))
        assert (good.status_code, bad.status_code) == (200, 400)
        assert bad.json()["error"]["param"] == "max_tokens"
