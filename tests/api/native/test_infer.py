"""NodeCall prompts: whole, streamed, in the older form, by a link, and stopping them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from herding.errors import StreamInterruptedError
from herding.values import Outcome
from tests.api.conftest import ADMIN, client, web
from tests.api.events import events
from tests.support.fakenode import FakeNode
from tests.support.herding import Place, herding
from tests.support.nodes import Late, Scripted, echo, openai, patience
from tests.support.until import until

CHAT = """
    name: Chat
    chat: true
    label: prod
    target_models: [echo]
    variables: {text: {default: last question}}
    messages:
      - {role: system, content: be kind}
      - {role: user, content: "{{text}}"}
    """
NUMBERS = """
    name: Numbers
    target_models: [echo]
    variables: {attempts: {type: number_list}, error: {type: number, max: 10000}}
    messages: [{role: user, content: "{{error}}: {{attempts}}"}]
    """
INFER = "/api/v1/infer"


async def infer(http: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await http.post(INFER, json=body)


async def refused(http: httpx.AsyncClient, **body: Any) -> tuple[int, str, str | None, str]:
    """Status, type, param and message of an answer that is an error."""
    response = await infer(http, **body)
    error = response.json()["error"]
    assert set(error) == {"type", "message", "param", "request_id"}
    return response.status_code, error["type"], error["param"], error["message"]


async def running_rows(place: Place) -> list[Outcome]:
    """The rows, once there is one."""
    while not (rows := await place.rows()):  # noqa: ASYNC110 (the database has no event for it)
        await asyncio.sleep(0.01)
    return rows


async def test_an_answer_has_exactly_the_promised_shape(api: httpx.AsyncClient, place: Place) -> None:
    response = await infer(api, prompt="say", variables={"text": "a b"}, session_id="s", parameters={"max_tokens": 9})
    assert response.status_code == 200
    row = await place.row()
    body = response.json()
    timings, attempts = body.pop("timings"), body["routing"].pop("attempts")
    candidates = [{"model": "echo", "node": "echo", "share": 1.0, "excluded": None}]
    nothing = dict.fromkeys(("reasoning", "tool_calls", "refusal", "note", "choices"))
    assert body == {
        **nothing,
        "ignored_parameters": [],
        "references": None,
        "steps": None,
        "filters": [],
        "cost": 0.0,
        "request_id": row.request_id,
        "text": "a b",
        "prompt": "say",
        "version": 1,
        "variant": None,
        "model": "echo",
        "node": "echo",
        "finish_reason": "stop",
        "usage": {"input_tokens": 2, "output_tokens": 2, "source": "node", "details": {}},
        "checks": {"ok": None, "reason": None},
        "routing": {"policy": "only", "reason": row.reason, "candidates": candidates},
    }
    assert set(timings) == {"queued_ms", "first_token_ms", "total_ms"}
    assert [attempt["node"] for attempt in attempts] == ["echo"]
    assert (row.session_id, row.parameters.max_tokens) == ("s", 9)


async def test_the_older_form(api: httpx.AsyncClient, place: Place) -> None:
    response = await infer(api, prompt_key="say", raw_inputs={"text": "a b"})
    row = await place.row()
    assert response.json() == {"text": "a b", "inference_id": row.request_id, "model": "echo"}


@pytest.mark.parametrize("reference", ["say", "say@1", "say@dev", "say@newest"])
async def test_a_prompt_by_key_version_and_label(api: httpx.AsyncClient, reference: str) -> None:
    assert (await infer(api, prompt=reference)).json()["text"] == "one two three"


@pytest.mark.parametrize("reference", ["say@2", "say@prod", "say@x@dev", "say@01"])
async def test_a_version_that_is_not_there_is_refused(api: httpx.AsyncClient, reference: str) -> None:
    status, kind, param, message = await refused(api, prompt=reference)
    assert (status, kind, param) == (404, "not_found", "prompt")
    assert message == f"'say' has no '{reference[4:]}'. It has version 1, and these labels: none."


@pytest.mark.parametrize("reference", ["ghost", "ghost@1", "@1", "../say", "say/", "SAY"])
async def test_an_unknown_prompt(api: httpx.AsyncClient, reference: str, place: Place) -> None:
    assert (await refused(api, prompt=reference))[:3] == (404, "not_found", "prompt")
    assert await place.rows() == []


async def test_earlier_turns_of_a_chat(api: httpx.AsyncClient, place: Place) -> None:
    place.write("talk/chat", CHAT)
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    assert (await infer(api, prompt="talk/chat@prod", turns=turns)).json()["text"] == "last question"
    sent = json.loads((await place.row()).input)
    assert [message["content"] for message in sent] == ["be kind", "q", "a", "last question"]


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({}, None, "name a prompt"),
        ({"prompt": "say", "prompt_key": "say"}, None, "name a prompt"),
        ({"prompt": "say", "variables": {"text": "a"}, "raw_inputs": {}}, None, "either"),
        ({"prompt": "say", "extra": 1}, "extra", "not permitted"),
        ({"prompt": 7}, "prompt", "string"),
        ({"prompt": "say", "variables": []}, "variables", "dictionary"),
        ({"prompt": "say", "variables": {"ghost": 1}}, "ghost", "no variable"),
        ({"prompt": "say", "variables": {"text": {"a": 1}}}, "text", "must be a text"),
        ({"prompt": "say", "variables": {"text": "\x00"}}, "text", "NUL"),
        ({"prompt": "say", "parameters": {"temperature": 3}}, "parameters.temperature", "less than"),
        ({"prompt": "say", "parameters": {"heat": 3}}, "parameters.heat", "not permitted"),
        ({"prompt": "say", "stream": "yes"}, "stream", "boolean"),
        ({"prompt": "say", "turns": [{"role": "system", "content": ""}]}, "turns.0.role", "user"),
        ({"prompt": "say", "turns": [{"role": "user", "content": ""}]}, None, "not a chat"),
        ({"prompt": "say", "model": "a\x00b"}, "model", "NUL"),
        ({"prompt": "say", "session_id": "\x00"}, "session_id", "printable"),
    ],
)
async def test_a_wrong_body_is_refused_by_name(
    api: httpx.AsyncClient, place: Place, body: dict[str, Any], param: str | None, words: str
) -> None:
    status, _, named, message = await refused(api, **body)
    assert (status, named) == (422, param)
    assert words in message
    assert await place.rows() == []


async def test_a_stream_tells_all_events(api: httpx.AsyncClient, place: Place) -> None:
    response = await infer(api, prompt="say", stream=True)
    assert response.headers["cache-control"] == "no-store"
    (first, start), *deltas, (last, done) = events(response)
    assert (first, last) == ("start", "done")
    row = await place.row()
    node = {"model": "echo", "node": "echo", "reason": row.reason, "ignored": []}
    assert start == {"request_id": row.request_id, **node}
    assert {name for name, _ in deltas} == {"delta"}
    assert "".join(delta["text"] for _, delta in deltas) == done["text"] == "one two three"
    assert done["request_id"] == row.request_id
    assert set(done) == set((await infer(api, prompt="say")).json())


async def test_a_stream_of_the_older_form_ends_with_its_answer(api: httpx.AsyncClient) -> None:
    response = await infer(api, prompt_key="say", stream=True)
    assert set(events(response)[-1][1]) == {"text", "inference_id", "model"}


async def test_a_stream_keeps_awkward_text_in_one_event(api: httpx.AsyncClient) -> None:
    text = "a\n\nb\r\nevent: done\u2028\x85ünï 🎉"
    told = events(await infer(api, prompt="say", variables={"text": text}, stream=True))
    assert "".join(data["text"] for name, data in told if name == "delta") == text


async def test_a_request_that_waits_says_so(tmp_path: Path) -> None:
    node = Late("late", ["here"])
    async with herding(tmp_path, node) as place, client(web(place), ADMIN) as api:
        asyncio.get_running_loop().call_later(0.2, node.arrive)
        (first, queued), *_, (last, done) = events(await infer(api, prompt="say", stream=True))
    assert (first, last) == ("queued", "done")
    waits = {"position": 1, "reason": "late is loading echo", "seconds": None}
    assert queued == {"request_id": done["request_id"], **waits}


async def test_an_error_before_the_stream_is_an_http_error(api: httpx.AsyncClient) -> None:
    assert (await refused(api, prompt="ghost", stream=True))[0] == 404
    assert (await refused(api, prompt="say", model="ghost", stream=True))[:2] == (404, "not_found")


async def test_an_error_in_a_stream_is_its_last_event(tmp_path: Path) -> None:
    async with herding(tmp_path, Scripted("a", ["one", StreamInterruptedError("It was cut.")])) as place:
        async with client(web(place), ADMIN) as api:
            told = events(await infer(api, prompt="say", stream=True))
        row = await place.row()
    assert [name for name, _ in told] == ["start", "delta", "error"]
    error = {"type": "node_cut_stream", "message": "It was cut.", "param": None, "request_id": row.request_id}
    assert told[-1][1] == {"error": error}


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("status:500", 502, "node_status"),
        ("status:401", 502, "node_misconfigured"),
        ("status:429;ra=3", 429, "node_busy"),
        ("html", 502, "node_bad_response"),
        ("hang", 504, "node_timeout"),
        ("cut-after:2", 502, "node_cut_stream"),
        ("context-length", 422, "context_length"),
    ],
)
async def test_a_node_that_fails(tmp_path: Path, faulty: FakeNode, fault: str, status: int, kind: str) -> None:
    async with (
        herding(tmp_path, openai(faulty.url, fault, deadlines=patience(fault))) as place,
        client(web(place), ADMIN) as api,
    ):
        response = await infer(api, prompt="say", model=fault)
        row = await place.row()
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["request_id"]) == (status, kind, row.request_id)


async def test_a_link_runs_a_prompt(api: httpx.AsyncClient, place: Place) -> None:
    place.write("math/numbers", NUMBERS)
    for query in ("error=1200&attempts=900,700", "error=1200&attempts=900&attempts=700"):
        response = await api.get(f"/api/v1/run/math/numbers@1?{query}")
        assert response.json()["text"] == "1200: 900, 700"


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("path", "status", "param"),
    [
        ("numbers?error=x&attempts=1", 422, "error"),
        ("numbers?error=1", 422, "attempts"),
        ("numbers?error=1&attempts=1&model=echo", 422, "model"),
        ("numbers?error=1&error=2&attempts=1", 422, "error"),
        ("ghost", 404, "prompt"),
        ("numbers%00?error=1&attempts=1", 404, "prompt"),
    ],
)
async def test_a_link_that_is_wrong(api: httpx.AsyncClient, place: Place, path: str, status: int, param: str) -> None:
    place.write("numbers", NUMBERS)
    response = await api.get(f"/api/v1/run/{path}")
    assert (response.status_code, response.json()["error"]["param"]) == (status, param)


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}])
async def test_a_page_elsewhere_runs_nothing_by_a_link(
    api: httpx.AsyncClient, place: Place, headers: dict[str, str]
) -> None:
    assert (await api.get("/api/v1/run/say", headers=headers)).status_code == 403
    assert await place.rows() == []


async def test_a_running_request_is_cancelled(tmp_path: Path) -> None:
    node = Scripted("a", ["one", " two"], ends=False)
    async with herding(tmp_path, node) as place, client(web(place), ADMIN) as api:
        running = asyncio.create_task(infer(api, prompt="say"))
        rows = await running_rows(place)
        await until(lambda: node.open)
        response = await api.post(f"/api/v1/requests/{rows[0].request_id}/cancel")
        assert response.json() == {"request_id": rows[0].request_id, "cancelled": True}
        answer = (await running).json()
        assert (answer["finish_reason"], answer["request_id"]) == ("cancelled", rows[0].request_id)
        assert (await place.row()).status == "cancelled"
        over = await api.post(f"/api/v1/requests/{rows[0].request_id}/cancel")
        assert (over.status_code, over.json()["error"]["param"]) == (404, "request_id")


async def test_a_guest_cannot_cancel_what_others_run(tmp_path: Path) -> None:
    node = echo("echo", delay=0.1)
    async with herding(tmp_path, node) as place, client(web(place), ADMIN) as api, client(web(place)) as guest:
        running = asyncio.create_task(infer(api, prompt="say"))
        rows = await running_rows(place)
        assert (await guest.post(f"/api/v1/requests/{rows[0].request_id}/cancel")).status_code == 404
        assert (await running).json()["finish_reason"] == "stop"
