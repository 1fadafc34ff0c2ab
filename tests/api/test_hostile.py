"""Bodies and addresses that nobody sends in good faith: refused, never a fault of ours."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herding.values import Request
from tests.support.herding import Place

JSON = {"content-type": "application/json"}
POSTS = (
    "/api/v1/infer",
    "/api/v1/score",
    "/api/v1/feedback",
    "/api/v1/preference",
    "/api/v1/nodes/echo/model",
    "/api/v1/chat/completions",
    "/v1/chat/completions",
    "/v1/completions",
)
BODIES = {
    "deep lists": b"[" * 10_000 + b"]" * 10_000,
    "deep objects": b'{"prompt":' * 4_000 + b"1" + b"}" * 4_000,
    "deep value": b'{"prompt": "say", "variables": {"text": ' + b"[" * 10_000 + b"]" * 10_000 + b"}}",
    "less deep value": b'{"prompt": "say", "variables": {"text": ' + b"[" * 900 + b"]" * 900 + b"}}",
    "a surrogate as key": rb'{"\ud800": 1}',
    "a surrogate as prompt": rb'{"prompt": "\ud800", "model": "\ud800", "input": "\ud800", "request_id": "\ud800"}',
    "a surrogate as variable": rb'{"prompt": "say", "variables": {"\ud800": "\ud800"}}',
    "a surrogate as value": rb'{"prompt": "say", "variables": {"text": "\ud800"}}',
    "a surrogate as message": rb'{"model": "echo", "messages": [{"role": "user", "content": "\udfff"}]}',
    "a surrogate as parameter": rb'{"prompt": "say", "stop": "\ud800", "parameters": {"stop": ["\ud800"]}}',
    "a long number": b'{"prompt": "say", "score": ' + b"9" * 20_000 + b"}",
    "a large number": b'{"prompt": "say", "seed": 1e400, "parameters": {"seed": 1e400}, "score": 1e400, "n": 1e400}',
    "not a number": b'{"prompt": "say", "temperature": NaN, "parameters": {"temperature": NaN}, "score": NaN}',
    "no utf-8": b'{"prompt": "\xff\xfe"}',
    "utf-16": json.dumps({"prompt": 5, "n": 5}).encode("utf-16"),
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"say"',
    "a number": b"7",
    "broken": b'{"prompt": ',
    "twice": b'{"prompt": "say", "prompt": 5, "request_id": 5, "model": 5}',
    "a proto": b'{"__proto__": {"admin": true}, "constructor": 1, "stream": 7}',
    "too large": b" " * 60_000,
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_makes_no_sense(api: httpx.AsyncClient, name: str) -> None:
    for path in POSTS:
        response = await api.post(path, content=BODIES[name], headers=JSON)
        told = response.json()
        if response.status_code == 200:  # the older form tells failures so
            assert (path, told["success"]) == ("/api/v1/chat/completions", False)
        else:
            assert 400 <= response.status_code < 500, path
            assert told.get("error") or told["success"] is False, path


@pytest.mark.one_database
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x", ""])
async def test_a_body_that_is_not_called_json(api: httpx.AsyncClient, kind: str) -> None:
    for path in POSTS:
        response = await api.post(path, content=b'{"prompt": "say"}', headers={"content-type": kind})
        assert response.status_code in (400, 422), path
        assert "Content-Type: application/json" in response.json()["error"]["message"], path


_OF_PROMPTS = ("prompt", "variables", "parameters", "session_id", "turns", "text", "request_id", "score", "comment")
_OF_CHATS = ("model", "messages", "role", "content", "stream", "n", "stop", "seed", "max_tokens", "input", "model_name")
_names = st.sampled_from(_OF_PROMPTS + _OF_CHATS)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["say", "user"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names | st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize("path", POSTS)
@settings(max_examples=40)
@given(body=st.dictionaries(_names, _values, max_size=6))
async def test_no_body_breaks_anything(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    response = await api.post(path, content=json.dumps(body).encode(), headers=JSON)
    assert response.status_code < 500 or response.status_code == 503  # a model that no node serves


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/history?text=%00",
        "/api/v1/history?text=%ED%A0%80",
        "/api/v1/history?prompt=%00&model=%FF",
        "/api/v1/history?limit=99999999999999999999999",
        "/api/v1/history/%00",
        "/api/v1/history/%ED%A0%80",
        "/api/v1/history/" + "x" * 5_000,
        "/api/v1/prompts/..%2f..%2fetc%2fpasswd",
        "/api/v1/run/say?text=%00",
        "/api/v1/run/say?text=%ED%A0%80",
        "/api/v1/run/say?%00=1",
        "/api/v1/run/say?" + "&".join(f"v{n}=1" for n in range(2_000)),
        "/v1/models/%00",
        "/v1/models/..%2f",
        "/docs/..%2f..%2fcaller.py",
        "/docs/redoc.standalone.js",
        "/api/v1/",
        "/api//v1/history",
        "/API/V1/HISTORY",
        "/api/v1/history/",
    ],
)
async def test_an_address_that_makes_no_sense(api: httpx.AsyncClient, path: str) -> None:
    assert (await api.get(path)).status_code < 500


@pytest.mark.parametrize(
    "path", ["//api/v1/history", "/api/v1/../v1/history", "/x/../api/v1/history", "/api/v1/history/"]
)
async def test_an_odd_spelling_of_a_path_is_no_way_around_a_right(
    http: httpx.AsyncClient, place: Place, path: str
) -> None:
    await place.events(Request("say"))
    response = await http.get(path)
    assert "one two three" not in response.text
