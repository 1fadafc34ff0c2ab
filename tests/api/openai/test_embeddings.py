"""`/v1/embeddings`, and the models for it in the lists."""

from __future__ import annotations

from array import array
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai as official
import pytest

from tests.api.conftest import ADMIN, client, live, web
from tests.api.http.test_disconnect import leave, status_soon, until
from tests.support.embeddings import vector
from tests.support.fakenode import FakeNode
from tests.support.herding import Place, herding
from tests.support.nodes import echo, openai, patience

UNUSED: dict[str, Any] = {"offered_by": [], "prompts": []}
MODELS = ["embed", "count", "hang", "nan", "status:500", "no-dimensions"]


@pytest.fixture
async def place(tmp_path: Path, faulty: FakeNode) -> AsyncIterator[Place]:
    hosted = openai(faulty.url, name="hosted", embedding_models=MODELS)
    async with herding(tmp_path, echo(), hosted) as made:
        yield made


@pytest.fixture
async def sdk(place: Place) -> AsyncIterator[official.AsyncOpenAI]:
    async with (
        live(place) as url,
        official.AsyncOpenAI(base_url=f"{url}/v1", api_key="admin-token", max_retries=0) as made,
    ):
        yield made


async def embed(api: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await api.post("/v1/embeddings", json={"model": "embed", "input": "a b", **body})


async def test_an_answer(api: httpx.AsyncClient, place: Place) -> None:
    response = await embed(api, input=["a b", "c"], user="me")
    assert response.headers["x-request-id"] == (await place.row()).request_id
    assert response.json() == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": vector("a b")},
            {"object": "embedding", "index": 1, "embedding": vector("c")},
        ],
        "model": "embed",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }


async def test_base64_and_dimensions(api: httpx.AsyncClient) -> None:
    response = await embed(api, encoding_format="base64", dimensions=2)
    packed = response.json()["data"][0]["embedding"]
    assert array("f", b64decode(packed)).tolist() == vector("a b", 2)


@pytest.mark.parametrize("form", [official.omit, "float", "base64"])
async def test_the_official_client(sdk: official.AsyncOpenAI, form: Any) -> None:
    made = await sdk.embeddings.create(model="embed", input=["a b", "c"], encoding_format=form)
    assert [one.index for one in made.data] == [0, 1]
    assert made.usage.total_tokens == 3
    if form != "base64":
        assert [one.embedding for one in made.data] == [vector("a b"), vector("c")]
    assert len((await sdk.embeddings.create(model="embed", input="x", dimensions=2)).data[0].embedding) == 2


async def test_errors_become_the_exceptions_of_the_client(sdk: official.AsyncOpenAI) -> None:
    with pytest.raises(official.NotFoundError) as missing:
        await sdk.embeddings.create(model="ghost", input="x")
    assert missing.value.code == "model_not_found"
    with pytest.raises(official.NotFoundError, match="is an embedding model") as wrong:
        await sdk.chat.completions.create(model="embed", messages=[{"role": "user", "content": "hi"}])
    assert wrong.value.code == "model_not_found"
    with pytest.raises(official.InternalServerError) as broken:
        await sdk.embeddings.create(model="nan", input="x")
    assert broken.value.code == "node_bad_response"


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"input": ["a", 5]}, "input", "list of token ids"),
        ({"input": [[1], []]}, "input", "list of token ids"),
        ({"input": [-1]}, "input", "list of token ids"),
        ({"input": []}, "input", "1 to 2,048"),
        ({"input": ""}, "input", "empty"),
        ({"input": ["x"] * 2049}, "input", "1 to 2,048"),
        ({"input": None}, None, ""),
        ({"input": {"a": 1}}, None, ""),
        ({"encoding_format": "int8"}, "encoding_format", ""),
        ({"dimensions": 0}, "dimensions", ""),
        ({"model": "ghost"}, "model", "No node makes embeddings with 'ghost'"),
        ({"model": "echo"}, "model", "These are there: embed"),
        ({"model": "auto"}, "model", ""),
        ({"model": "prompt:say"}, "model", ""),
        ({"model": None}, "model", ""),
    ],
)
async def test_what_is_wrong_with_a_body_is_said(
    api: httpx.AsyncClient, place: Place, body: dict[str, Any], param: str | None, words: str
) -> None:
    response = await embed(api, **body)
    error = response.json()["error"]
    status = 404 if error["code"] == "model_not_found" else 400
    assert (response.status_code, error["type"]) == (status, "invalid_request_error")
    assert param in (None, error["param"])
    assert words in error["message"]
    assert await place.rows() == []


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("count", 502, "node_bad_response"),
        ("nan", 502, "node_bad_response"),
        ("hang", 504, "node_timeout"),
        ("status:500", 502, "node_status"),
        ("no-dimensions", 502, "node_bad_response"),
    ],
)
async def test_a_node_that_fails(api: httpx.AsyncClient, place: Place, model: str, status: int, code: str) -> None:
    place.herd["hosted"].deadlines = patience(model)
    response = await embed(api, model=model, dimensions=4)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert (await place.row()).status == "failed"


async def test_whoever_leaves_ends_the_call(place: Place, faulty: FakeNode) -> None:
    async with live(place) as base:
        body = {"model": "hang", "input": "x"}
        await leave(base, "/v1/embeddings", body, lambda: faulty.calls("hang"))
        await status_soon(place, "abandoned")
        await until(lambda: faulty.calls("hang")[0].left)


async def test_a_guest_has_none(http: httpx.AsyncClient, place: Place) -> None:
    assert (await embed(http)).status_code == 403
    assert await place.rows() == []


async def test_the_lists_name_the_models(api: httpx.AsyncClient) -> None:
    listed = {one["id"]: one["owned_by"] for one in (await api.get("/v1/models")).json()["data"]}
    assert (listed["embed"], listed["echo"]) == ("hosted", "echo")
    assert (await api.get("/v1/models/embed")).status_code == 200
    models = {one["id"]: one for one in (await api.get("/api/v1/models")).json()["models"]}
    assert models["embed"].pop("stats")["total"] == 0
    assert models["embed"].pop("capabilities") == {}
    assert models["embed"] == {"id": "embed", "nodes": [], "embeds": ["hosted"], "reranks": [], **UNUSED}
    assert models["echo"]["embeds"] == []
    nodes = {one["name"]: one["status"] for one in (await api.get("/api/v1/nodes")).json()["nodes"]}
    assert nodes["hosted"]["embeds"] == MODELS


async def test_without_such_a_node_the_answer_says_how_to_get_one(tmp_path: Path) -> None:
    async with herding(tmp_path, echo()) as place, client(web(place), ADMIN) as api:
        response = await embed(api)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
    assert "embedding_models" in response.json()["error"]["message"]
