"""`response_format`: which are taken, and who gets them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai as official
import pytest

from herding.api.openai.requests import MAX_SCHEMA_BYTES, parse_response_format
from herding.errors import UserError
from tests.api.conftest import ADMIN, client, live, web
from tests.support.fakenode import FakeNode
from tests.support.herding import Place, herding
from tests.support.nodes import Offering, echo, openai

pytestmark = pytest.mark.one_database

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "numbers", "schema": SCHEMA, "strict": True}}
HI = [{"role": "user", "content": "hi"}]


@pytest.fixture
async def place(tmp_path: Path, faulty: FakeNode) -> AsyncIterator[Place]:
    able = openai(faulty.url, "ok", "bad-schema", name="able")
    plain = openai(faulty.url, "ok", "plain", name="plain", response_format=False)
    async with herding(tmp_path, echo(), plain, able) as made:
        yield made


async def chat(api: httpx.AsyncClient, form: Any, **body: Any) -> httpx.Response:
    asked = {"model": "ok", "messages": HI, "response_format": form, **body}
    return await api.post("/v1/chat/completions", json=asked)


@pytest.mark.parametrize("form", [{"type": "json_object"}, FORM])
@pytest.mark.parametrize("stream", [True, False])
async def test_only_a_node_that_can_gets_it(
    api: httpx.AsyncClient, place: Place, faulty: FakeNode, form: Any, stream: bool
) -> None:
    for model in ("ok", "auto"):
        assert (await chat(api, form, model=model, stream=stream)).status_code == 200
    assert {row.node for row in await place.rows()} == {"able"}
    assert [call.body["response_format"] for call in faulty.calls()] == [form, form]


async def test_text_goes_to_any_node(api: httpx.AsyncClient, faulty: FakeNode) -> None:
    for form in (None, {"type": "text"}):
        assert (await chat(api, form, model="plain")).status_code == 200
    assert all("response_format" not in call.body for call in faulty.calls())


@pytest.mark.parametrize("model", ["echo", "plain"])
async def test_where_no_node_can_a_check_is_the_way(api: httpx.AsyncClient, place: Place, model: str) -> None:
    response = await chat(api, FORM, model=model)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "response_format")
    assert f"No node that serves {model}" in error["message"]
    assert "json_schema check" in error["message"]
    native = await api.post("/api/v1/chat/completions", json={"model": model, "messages": HI, "response_format": FORM})
    assert (native.status_code, native.json()["error"]["param"]) == (422, "response_format")
    assert await place.rows() == []


async def test_where_none_of_any_can(tmp_path: Path) -> None:
    async with herding(tmp_path, echo()) as place, client(web(place), ADMIN) as api:
        response = await chat(api, FORM, model="auto")
        assert response.json()["error"]["param"] == "response_format"
        assert (await chat(api, FORM, model="ghost")).status_code == 404
    async with (
        herding(tmp_path / "b", Offering("local", [], models=["m"])) as place,
        client(web(place), ADMIN) as api,
    ):
        assert (await chat(api, FORM, model="m")).status_code == 503


async def test_a_prompt_gets_it_too_unless_it_is_raw(api: httpx.AsyncClient, place: Place, faulty: FakeNode) -> None:
    place.write("ask", "name: A\ntarget_models: [ok]\nvariables: {q: {}}\nmessages: [{role: user, content: '{{q}}'}]\n")
    place.write("raw", "name: R\ntarget_models: [ok]\nvariables: {q: {}}\nprompt: '{{q}}'\n")
    assert (await chat(api, FORM, model="prompt:ask")).status_code == 200
    assert faulty.calls()[0].body["response_format"] == FORM
    error = (await chat(api, FORM, model="prompt:raw")).json()["error"]
    assert (error["param"], "raw text" in error["message"]) == ("response_format", True)


async def test_what_the_node_refuses_is_the_callers_to_mend(api: httpx.AsyncClient) -> None:
    response = await chat(api, FORM, model="bad-schema")
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "response_format")
    assert "Invalid schema" in error["message"]


async def test_completions_have_none(api: httpx.AsyncClient) -> None:
    for form, status in (({"type": "json_object"}, 400), (FORM, 400), ({"type": "text"}, 200), (None, 200)):
        asked = {"model": "ok", "prompt": "x", "response_format": form}
        assert (await api.post("/v1/completions", json=asked)).status_code == status


async def test_the_official_client(place: Place, faulty: FakeNode) -> None:
    async with (
        live(place) as url,
        official.AsyncOpenAI(base_url=f"{url}/v1", api_key="admin-token", max_retries=0) as sdk,
    ):
        messages: Any = HI
        form: Any = FORM
        answer = await sdk.chat.completions.create(model="ok", messages=messages, response_format=form)
        assert answer.choices[0].message.content == "One two three four five"
        with pytest.raises(official.BadRequestError) as refused:
            await sdk.chat.completions.create(model="echo", messages=messages, response_format=form)
    assert refused.value.param == "response_format"
    assert faulty.calls()[0].body["response_format"] == FORM


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


def of(**given: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, **given}}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("json", "The type must be"),
        ([], "The type must be"),
        ({}, "The type must be"),
        ({"type": "xml"}, "The type must be"),
        ({"type": ["text"]}, "The type must be"),
        ({"type": "json_schema"}, "has a name and"),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "an object"),
        (of(schema=[]), "an object"),
        (of(name=""), "The name"),
        (of(name=None), "The name"),
        (of(name="a b"), "The name"),
        (of(name="x" * 65), "The name"),
        (of(strict="yes"), "strict"),
        (of(description=5), "description"),
        (of(schema={"const": "x" * MAX_SCHEMA_BYTES}), "at most 40,000"),
        (of(schema={"const": float("nan")}), "cannot represent"),
        (of(schema={"const": "\ud800"}), "cannot represent"),
        (of(schema=deep(50_000)), "cannot represent"),
    ],
)
def test_a_form_that_is_none_is_refused(form: Any, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        parse_response_format(form)
    assert caught.value.param == "response_format"


def test_what_is_known_of_a_form_is_passed_on() -> None:
    assert parse_response_format({"type": "json_object", "more": 1}) == {"type": "json_object"}
    assert parse_response_format(of(strict=None, more=1)) == of()
    assert parse_response_format(of(description="d", strict=False)) == of(description="d", strict=False)
