"""The OpenAI-compatible API as it looks on the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from herding.api.http.request import get_principal
from herding.errors import ConnectError, StreamInterruptedError
from herding.values import Parameters
from tests.api.conftest import ADMIN, MAX_BODY, client, web
from tests.api.events import events
from tests.support.herding import NOBODY, Place, herding
from tests.support.nodes import Late, Offering, Scripted, echo

HI = [{"role": "user", "content": "hi you"}]
SYSTEM = {"role": "system", "content": "be brief"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
CALLS = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
CHAT = """
    name: Chat
    chat: true
    target_models: [echo]
    variables: {tone: {default: kind}, text: {default: last question}, size: {type: number, default: 1}}
    messages:
      - {role: system, content: "be {{tone}}"}
      - {role: user, content: "{{tone}} {{text}} {{size}}"}
    """
NUMBER = "name: N\ntarget_models: [echo]\nvariables: {n: {type: number}}\nprompt: 'N {{n}}'\n"
RAW = "name: Raw\ntarget_models: [echo]\nvariables: {text: {}}\nprompt: '[INST] {{text}} [/INST]'\n"


async def chat(http: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await http.post("/v1/chat/completions", json={"model": "echo", "messages": HI, **body})


async def refused(http: httpx.AsyncClient, **body: Any) -> tuple[int, dict[str, Any]]:
    response = await chat(http, **body)
    return response.status_code, error_of(response)


def error_of(response: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


async def sent(place: Place) -> list[str]:
    """What the messages of the last request said."""
    return [message["content"] for message in json.loads((await place.rows())[0].input)]


async def test_a_chat(api: httpx.AsyncClient, place: Place) -> None:
    response = await chat(api)
    row = await place.row()
    assert response.headers["x-request-id"] == row.request_id
    assert response.json() == {
        "id": f"chatcmpl-{row.request_id}",
        "object": "chat.completion",
        "created": row.created_at // 1000,
        "model": "echo",
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi you", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4},
    }


async def test_a_completion(api: httpx.AsyncClient, place: Place) -> None:
    response = await api.post("/v1/completions", json={"model": "echo", "prompt": ["a b c"], "max_tokens": 2})
    body, row = response.json(), await place.row()
    assert (body["id"], body["object"]) == (f"cmpl-{row.request_id}", "text_completion")
    assert body["choices"] == [{"index": 0, "text": "a b", "logprobs": None, "finish_reason": "length"}]
    assert row.input == "a b c"


async def test_parts_roles_and_parameters_arrive(api: httpx.AsyncClient, place: Place) -> None:
    messages = [
        {"role": "developer", "content": "be kind"},
        {"role": "user", "name": "Ada", "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]},
    ]
    given = {"temperature": 0.5, "top_p": 0.9, "top_k": 5, "max_tokens": 9, "seed": 7, "stop": "x", "user": "me"}
    await chat(api, messages=messages, **given, max_completion_tokens=8, frequency_penalty=0, store=True)
    row = await place.row()
    assert json.loads(row.input) == messages
    assert row.answer == "a b"
    assert row.parameters == Parameters(0.5, 0.9, 5, 8, ("x",), 7)
    assert (await chat(api, stop=["x", "y"], n=1, tools=[], logprobs=False)).status_code == 200
    assert (await place.rows())[0].parameters.stop == ("x", "y")


@pytest.mark.parametrize("answer", [{"content": None, "tool_calls": None, "refusal": None}, {}])
async def test_an_answer_without_text_in_the_log_is_an_empty_one(
    api: httpx.AsyncClient, place: Place, answer: dict[str, Any]
) -> None:
    assert (await chat(api, messages=[HI[0], {"role": "assistant", **answer}, HI[0]])).status_code == 200
    assert [message["content"] for message in json.loads((await place.row()).input)] == ["hi you", "", "hi you"]


async def test_a_stop_string_ends_the_answer_whatever_the_node_makes_of_it(api: httpx.AsyncClient) -> None:
    messages = [{"role": "user", "content": "one two three four"}]
    for stop, left in (("thr", "one two "), (["four", " t"], "one"), (["five"], "one two three four")):
        choice = (await chat(api, messages=messages, stop=stop)).json()["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == (left, "stop")
        *told, _ = events(await chat(api, messages=messages, stop=stop, stream=True))
        assert "".join(data["choices"][0]["delta"].get("content", "") for _, data in told) == left
    text = await api.post("/v1/completions", json={"model": "echo", "prompt": "a b c", "stop": " b", "max_tokens": 2})
    assert text.json()["choices"][0] == {"index": 0, "text": "a", "logprobs": None, "finish_reason": "stop"}


async def test_auto_takes_any_model(api: httpx.AsyncClient) -> None:
    assert (await chat(api, model="auto")).json()["model"] == "echo"
    assert (await chat(api, model="auto", response_format={"type": "text"})).status_code == 200


async def test_a_stream_of_chunks(api: httpx.AsyncClient, place: Place) -> None:
    response = await chat(api, stream=True)
    *told, (_, end) = events(response)
    assert end == "[DONE]"
    chunks = [data for _, data in told]
    row = await place.row()
    for chunk in chunks:
        assert (chunk["id"], chunk["object"]) == (f"chatcmpl-{row.request_id}", "chat.completion.chunk")
        assert (chunk["model"], "usage" in chunk) == ("echo", False)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"] == {"role": "assistant", "content": "hi"}
    assert choices[1]["delta"] == {"content": " you"}
    assert choices[-1] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert [choice["finish_reason"] for choice in choices[:-1]] == [None, None]


async def test_a_stream_with_usage(api: httpx.AsyncClient) -> None:
    *told, _ = events(await chat(api, stream=True, stream_options={"include_usage": True}))
    *chunks, last = [data for _, data in told]
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}


async def test_a_streamed_completion(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/completions", json={"model": "echo", "prompt": "a b", "stream": True})
    *told, _ = events(response)
    assert [data["choices"][0]["text"] for _, data in told] == ["a", " b", ""]
    assert {data["object"] for _, data in told} == {"text_completion"}


async def test_a_stream_of_nothing_is_well_formed(tmp_path: Path) -> None:
    async with herding(tmp_path, Scripted("a", [])) as place, client(web(place), ADMIN) as api:
        *told, (_, end) = events(await chat(api, stream=True))
    deltas = [data["choices"][0]["delta"] for _, data in told]
    assert (deltas, end) == ([{"role": "assistant", "content": ""}, {}], "[DONE]")


async def test_an_error_in_a_stream_ends_it(tmp_path: Path) -> None:
    node = Scripted("a", ["one", StreamInterruptedError("It was cut.")])
    async with herding(tmp_path, node) as place, client(web(place), ADMIN) as api:
        told = events(await chat(api, stream=True))
    error = {"message": "It was cut.", "type": "server_error", "param": None, "code": "node_cut_stream"}
    assert told[-1] == ("", {"error": error})
    assert len(told) == 2


async def test_an_error_before_the_first_text_is_an_http_error(tmp_path: Path) -> None:
    node = Scripted("a", [ConnectError("It is down.")])
    async with herding(tmp_path, node) as place, client(web(place), ADMIN) as api:
        status, error = await refused(api, stream=True)
    assert (status, error["code"]) == (502, "node_unreachable")


# Prompts as models


async def test_a_prompt_as_a_model(api: httpx.AsyncClient, place: Place) -> None:
    for model in ("prompt:say", "prompt:say@1", "prompt:say@dev"):
        response = await chat(api, model=model, messages=[], variables={"text": "a b"})
        assert response.json()["choices"][0]["message"]["content"] == "a b"
    assert {(row.prompt, row.variables["text"]) for row in await place.rows()} == {("say", "a b")}
    assert response.json()["model"] == "echo"


async def test_the_last_user_message_fills_the_last_text_variable(api: httpx.AsyncClient, place: Place) -> None:
    place.write("talk/chat", CHAT)
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    messages = [*turns, {"role": "user", "content": "why?"}]
    await chat(api, model="prompt:talk/chat", messages=messages, variables={"tone": "terse"})
    assert await sent(place) == ["be terse", "q", "a", "terse why? 1"]
    await chat(api, model="prompt:talk/chat", messages=turns, variables={"text": "given"})
    assert await sent(place) == ["be kind", "q", "a", "kind given 1"]
    await chat(api, model="prompt:talk/chat", messages=[])
    assert await sent(place) == ["be kind", "kind last question 1"]


async def test_a_prompt_without_a_system_message_takes_the_callers(api: httpx.AsyncClient, place: Place) -> None:
    await chat(api, model="prompt:say", messages=[SYSTEM, {**HI[0], "name": "Ada"}])
    assert json.loads((await place.row()).input) == [SYSTEM, {**HI[0], "name": "Ada"}]


async def test_one_message_is_enough_for_a_prompt_that_is_no_chat(api: httpx.AsyncClient, place: Place) -> None:
    place.write("raw", RAW)
    assert (await chat(api, model="prompt:say")).json()["choices"][0]["message"]["content"] == "hi you"
    assert "[INST] hi you [/INST]" in (await chat(api, model="prompt:raw")).text
    response = await api.post("/v1/completions", json={"model": "prompt:raw", "prompt": "a"})
    assert response.json()["choices"][0]["text"] == "[INST] a [/INST]"
    assert (await api.post("/v1/completions", json={"model": "prompt:say"})).json()["object"] == "text_completion"


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"model": "prompt:say", "variables": {"text": "x"}}, "messages", "given as well"),
        ({"model": "prompt:number"}, "messages", "no free text"),
        ({"model": "prompt:number", "messages": []}, "n", "needs a value"),
        ({"model": "prompt:talk/chat", "messages": [SYSTEM, *HI]}, "messages", "The system message is the prompt's"),
        ({"model": "prompt:say", "messages": [HI[0], HI[0]]}, None, "not a chat"),
        ({"model": "echo", "variables": {"x": 1}}, "variables", "Only prompts have variables"),
        ({"messages": []}, "messages", "messages or text"),
        ({"messages": "hi"}, "messages", "list"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role", "'user'"),
        ({"messages": [HI[0], {"role": "tool", "content": "x"}]}, "messages.1", "tool calls"),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, "messages.0.content.0", "images (image_url)"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages.0.content.0.type", "'type'"),
        ({"messages": [HI[0], {"role": "user", "content": None}]}, "messages.1.content", "needs its content"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "needs its content"),
        ({"messages": [HI[0], {"role": "assistant", "content": None, "tool_calls": CALLS}]}, "messages.1", "tool"),
        ({"messages": [{"role": "user", "content": "a\x00"}]}, "messages", "NUL"),
        ({"n": 2}, "n", "takes 'n'"),
        ({"tools": [{"type": "function"}]}, "tools", "takes 'tools'"),
        ({"logprobs": True}, "logprobs", "takes 'logprobs'"),
        ({"frequency_penalty": 0.1}, "frequency_penalty", "takes 'frequency_penalty'"),
        ({"response_format": {"type": "json_object"}}, "response_format", "json_schema check"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format", ""),
        ({"temperature": 3}, "temperature", "less than"),
        ({"temperature": "hot"}, "temperature", "number"),
        ({"max_tokens": 0}, "max_tokens", "greater"),
        ({"seed": 10**30}, "seed", ""),
        ({"stop": 5}, "stop", "string"),
        ({"stop": ["a", None]}, "stop.1", "string"),
        ({"stream": "maybe"}, "stream", "boolean"),
        ({"model": 5}, "model", "string"),
    ],
)
async def test_what_is_wrong_with_a_body_is_said(
    api: httpx.AsyncClient, place: Place, body: dict[str, Any], param: str | None, words: str
) -> None:
    place.write("number", NUMBER)
    place.write("talk/chat", CHAT)
    status, error = await refused(api, **body)
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert param in (None, error["param"])
    assert words in error["message"]
    assert await place.rows() == []


async def test_two_texts_at_once_are_refused(api: httpx.AsyncClient) -> None:
    for body in (
        {"prompt": ["a", "b"]},
        {"prompt": [1, 2]},
        {"prompt": "a", "echo": True},
        {"prompt": "a", "best_of": 3},
    ):
        response = await api.post("/v1/completions", json={"model": "echo", **body})
        assert (response.status_code, error_of(response)["type"]) == (400, "invalid_request_error")


@pytest.mark.one_database
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", ["ghost", "prompt:ghost", "prompt:", "prompt:say@prod", ""])
async def test_a_model_that_is_not_there(api: httpx.AsyncClient, model: str, stream: bool) -> None:
    status, error = await refused(api, model=model, stream=stream)
    assert (status, error["type"], error["code"]) == (404, "invalid_request_error", "model_not_found")


async def test_a_model_that_a_node_could_serve_is_unavailable(tmp_path: Path) -> None:
    async with (
        herding(tmp_path, Offering("local", [], models=["m", "echo"])) as place,
        client(web(place), ADMIN) as api,
    ):
        status, error = await refused(api, model="m")
        assert (status, error["type"], error["code"]) == (503, "server_error", "no_node")
        assert "Load it on local" in error["message"]
        assert (await refused(api, model="prompt:say"))[0] == 503


async def test_a_model_that_does_not_come_in_time_is_unavailable(tmp_path: Path) -> None:
    async with herding(tmp_path, Late("late", ["x"]), wait_seconds=0.1) as place, client(web(place), ADMIN) as api:
        assert (await refused(api, model="auto"))[0] == 503


# Models


async def test_the_models(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("one", "org/a", "echo")) as place, client(web(place), ADMIN) as api:
        listed = (await api.get("/v1/models")).json()
        assert listed["object"] == "list"
        owners = {model["id"]: model["owned_by"] for model in listed["data"]}
        assert owners == {"org/a": "one", "echo": "one", "auto": "herding", "prompt:say": "herding"}
        for model in listed["data"]:
            assert (await api.get(f"/v1/models/{model['id']}")).json() == model
        missing = await api.get("/v1/models/ghost")
        assert (missing.status_code, error_of(missing)["code"]) == (404, "model_not_found")


# Errors of all kinds have OpenAI's shape


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/responses", 404),
        ("POST", "/v1", 404),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/chat/completions", 405),
        ("PATCH", "/v1/a/b/c", 404),
    ],
)
async def test_a_path_that_is_not_there(api: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    response = await api.request(method, path)
    assert response.status_code == status
    assert error_of(response)["type"] == "invalid_request_error"


@pytest.mark.parametrize("kind", ["json", "json; charset=utf-8", "JSON", "x+json"])
async def test_json_under_all_its_names(api: httpx.AsyncClient, place: Place, kind: str) -> None:
    asked = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "ü \U0001f600"}], "n": 1, "new": [1]})
    headers = {"content-type": f"application/{kind}"}
    assert (await api.post("/v1/chat/completions", content=asked, headers=headers)).status_code == 200
    assert await sent(place) == ["ü \U0001f600"]


async def test_fields_that_are_null_are_left_out(api: httpx.AsyncClient) -> None:
    names = ("temperature", "top_p", "max_tokens", "stop", "seed", "stream", "stream_options", "n", "tools", "logprobs")
    nothing = dict.fromkeys((*names, "response_format", "session_id", "variables", "user", "metadata"))
    assert (await chat(api, **nothing)).status_code == 200
    assert (await chat(api, **nothing | {"model": "prompt:say"})).status_code == 200


async def test_where_json_breaks_is_said(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/completions", content=b"{'a': 1}", headers={"content-type": "application/json"})
    assert error_of(response)["param"] is None
    assert "not JSON" in error_of(response)["message"]
    assert "character 2" in error_of(response)["message"]


async def test_what_is_refused_at_the_door_has_the_same_shape(api: httpx.AsyncClient) -> None:
    large = await chat(api, messages=[{"role": "user", "content": "x" * MAX_BODY}])
    assert (large.status_code, error_of(large)["type"]) == (413, "invalid_request_error")
    foreign = await api.post("/v1/completions", json={}, headers={"origin": "https://evil.example"})
    assert (foreign.status_code, error_of(foreign)["type"]) == (403, "permission_error")


async def test_broken_json(api: httpx.AsyncClient) -> None:
    for content in (b"{", b"", b"[]", b'"x"', b"null"):
        response = await api.post("/v1/chat/completions", content=content, headers={"content-type": "application/json"})
        assert (response.status_code, error_of(response)["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_guest_has_no_free_chat(http: httpx.AsyncClient, place: Place, stream: bool) -> None:
    for path, body in (("chat/completions", {"messages": HI}), ("completions", {"prompt": "x"})):
        response = await http.post(f"/v1/{path}", json={"model": "echo", "stream": stream, **body})
        assert response.status_code == 403
        assert error_of(response)["type"] == "permission_error"
    assert await place.rows() == []


async def test_without_rights_there_is_nothing(http: httpx.AsyncClient, app: FastAPI) -> None:
    app.dependency_overrides[get_principal] = lambda: NOBODY
    for method, path in (("GET", "models"), ("GET", "models/echo"), ("POST", "embeddings")):
        assert (await http.request(method, f"/v1/{path}", json={"model": "x", "input": "y"})).status_code == 403
    assert (await chat(http, model="prompt:say", messages=[])).status_code == 403
