"""Bodies that are refused before anything parses them."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from herding import main
from herding.access.tokens import mint
from herding.api.middleware.bodies import (
    MAX_SMALL_BODY,
    MAX_STRINGS,
    REFUSED_PER_MINUTE,
)
from tests.api.conftest import ADMIN, client, web
from tests.support.herding import ADMIN_TOKEN, Place

pytestmark = pytest.mark.one_database


@pytest.fixture
def app(place: Place) -> FastAPI:
    """With the sizes of the product."""
    return web(place, small=False)


def turns(count: int, **more: Any) -> dict[str, Any]:
    return {"prompt": "say", "turns": [{"role": "user", "content": "x", **more}] * count}


async def test_a_guest_may_send_less_than_a_user_and_a_user_most_where_images_go(
    http: httpx.AsyncClient, api: httpx.AsyncClient
) -> None:
    for sender, path, most in (
        (http, "/api/v1/infer", 1_000_000),
        (http, "/json", 1_000_000),
        (api, "/json", MAX_SMALL_BODY),
        (api, "/api/v1/infer", 16_000_000),
    ):
        refused = await sender.post(path, content=b"x" * (most + 1))
        assert (refused.status_code, refused.headers["connection"]) == (413, "close")
        assert f"at most {most:,} bytes" in refused.json()["error"]["message"]
        assert (await sender.post(path, content=b"x" * most)).status_code == 422


@pytest.mark.parametrize("path", ["/api/v1/infer", "/v1/chat/completions", "/api/v1/prompts.zip"])
async def test_a_compressed_body_is_refused_with_words(api: httpx.AsyncClient, path: str) -> None:
    headers = {"content-type": "application/json", "content-encoding": "GZIP"}
    refused = await api.post(path, content=gzip.compress(b"{}"), headers=headers)
    assert refused.status_code == 415
    assert "without compression" in refused.json()["error"]["message"]
    taken = await api.post("/json", content=b"{}", headers={**headers, "content-encoding": "identity"})
    assert taken.status_code == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [(b'{"prompt": "\xff"}', "not UTF-8"), (b"[" * 50_000, "too deeply"), (b"9" * 5_000, "too many digits")],
)
async def test_why_a_body_cannot_be_parsed(api: httpx.AsyncClient, body: bytes, words: str) -> None:
    for path in ("/api/v1/infer", "/v1/chat/completions"):
        refused = await api.post(path, content=body, headers={"content-type": "application/json"})
        assert refused.status_code == 400
        assert words in refused.json()["error"]["message"]


@pytest.mark.parametrize("field", ["turns", "variables", "raw_inputs"])
async def test_a_count_is_checked_before_what_is_counted(api: httpx.AsyncClient, field: str) -> None:
    many: Any = [{"role": "nobody", "content": 1}] * 5000 if field == "turns" else {f"v{n}": "x" for n in range(5000)}
    name = "prompt_key" if field == "raw_inputs" else "prompt"
    response = await api.post("/api/v1/infer", json={name: "say", field: many})
    assert response.status_code == 422
    assert len(response.content) < 500
    assert field in response.json()["error"]["param"]


async def test_a_large_body_of_many_values_is_refused_without_parsing(api: httpx.AsyncClient) -> None:
    for body in (turns(MAX_STRINGS), {"numbers": [1] * 1_100_000}):
        began = time.thread_time()
        response = await api.post("/api/v1/infer", json=body)
        assert response.status_code == 413
        assert "too many values" in response.json()["error"]["message"]
        assert time.thread_time() - began < 2  # seconds of this thread, most of them to write the body


async def test_a_large_body_of_few_values_passes(api: httpx.AsyncClient) -> None:
    text = 'a, "quoted" text, ' * 20_000
    body = {"model": "echo", "messages": [{"role": "user", "content": text}], "max_tokens": 5}
    response = await api.post("/v1/chat/completions", json=body)
    assert response.status_code == 200
    chunked = json.dumps(body).encode()

    async def pieces() -> Any:
        for start in range(0, len(chunked), 100_000):
            yield chunked[start : start + 100_000]

    headers = {"content-type": "application/json"}
    again = await api.post("/v1/chat/completions", content=pieces(), headers=headers)
    assert again.json()["choices"] == response.json()["choices"]


async def test_refused_bodies_of_guests_count_against_their_address_and_no_token(
    http: httpx.AsyncClient, app: FastAPI
) -> None:
    for _ in range(REFUSED_PER_MINUTE):
        assert (await http.post("/api/v1/infer", json={"prompt": 1})).status_code == 422
    refused = await http.post("/api/v1/infer", json={"prompt": "say"})
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (await http.get("/api/v1/prompts")).status_code == 200
    async with client(app, ADMIN) as admin:
        assert (await admin.post("/api/v1/infer", json={"prompt": "say"})).status_code == 200
    async with client(app, {"authorization": f"Bearer {mint().text}"}) as wrong:
        assert (await wrong.post("/api/v1/infer", json={"prompt": "say"})).status_code == 401


async def test_a_large_body_that_was_parsed_counts_more(http: httpx.AsyncClient) -> None:
    for _ in range(20):
        assert (await http.post("/api/v1/infer", content=b"x" * 1_000_001)).status_code == 413
    for _ in range(5):
        assert (await http.post("/api/v1/infer", content=b"x" * 1_000_000)).status_code == 422
    assert (await http.post("/api/v1/infer", json={"prompt": "say"})).status_code == 429
    assert (await http.post("/login", data={"token": ADMIN_TOKEN})).status_code == 303
    assert (await http.post("/api/v1/infer", json={"prompt": "say"})).status_code == 200


def test_the_sizes_are_settings() -> None:
    assert "max_body" in main.Settings.model_fields
    assert "max_guest_body" in main.Settings.model_fields
