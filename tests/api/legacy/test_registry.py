"""Models that register themselves, as the older form's own examples do, and the native routes for nodes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from herding.values import User
from tests.api.conftest import ADMIN, live
from tests.support.anyserver import AnyServer, anyserver
from tests.support.herding import ADMIN as BOSS
from tests.support.herding import Place

JSON = {"content-type": "application/json"}
SECRET = "sk-canary-0123456789"

REGISTER = """{
"model_name": "chatglm2-6b",
"body": {
"input": "{USER_PROMPT}",
"model_name": "{MODEL_NAME}"
},
"req_url_template": "http://127.0.0.1:8008/api/generate",
"owner": "operategpt",
"response_extract": ""
}"""
OFFLINE = """{
"model_name": "chatglm2-6b",
"req_url_template": "http://127.0.0.1:8008/api/generate"
}"""
ASK = """{
"input": "who are you?",
"model_name": "chatglm2-6b"
}"""


@pytest.fixture
def servers() -> Iterator[tuple[AnyServer, AnyServer]]:
    with anyserver() as one, anyserver() as two:
        yield one, two


@pytest.fixture
async def http(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    """The admin, over a real connection."""
    async with (
        live(place) as url,
        httpx.AsyncClient(base_url=url, headers=ADMIN, trust_env=False, timeout=60) as client,
    ):
        yield client


async def post(http: httpx.AsyncClient, path: str, text: str, server: AnyServer, **names: str) -> Any:
    """What a command sends, with the port of this test's server and other names in it."""
    text = text.replace("http://127.0.0.1:8008", server.url)
    for old, new in names.items():
        text = text.replace(old.replace("_", "-"), new)
    response = await http.post(path, content=text, headers=JSON)
    assert response.status_code == 200, response.text
    return response.json()


async def test_the_commands_of_the_older_form(http: httpx.AsyncClient, servers: tuple[AnyServer, AnyServer]) -> None:
    one, two = servers
    proxy = {"chatglm2_6b": "proxyllm"}
    said = await post(http, "/api/server/register", REGISTER, one)
    assert said == {"success": True, "msg": "register LLM chatglm2-6b succeed!"}
    said = await post(http, "/api/server/register", REGISTER, two, **proxy)
    assert said == {"success": True, "msg": "register LLM proxyllm succeed!"}
    assert (await http.get("/api/server/workers")).json() == {
        "success": True,
        "data": [
            {"model_name": "chatglm2-6b", "req_url_template": f"{one.url}/api/generate"},
            {"model_name": "proxyllm", "req_url_template": f"{two.url}/api/generate"},
        ],
    }
    answer = {"success": True, "msg": "execute succeed", "result": "You said: who are you?"}
    assert await post(http, "/api/v1/chat/completions", ASK, one) == answer
    assert await post(http, "/api/v1/chat/completions", ASK, two, **proxy) == answer
    assert one.asked[0].body == {"input": "who are you?", "model_name": "chatglm2-6b"}
    assert two.asked[0].body == {"input": "who are you?", "model_name": "proxyllm"}
    again = json.dumps({"input": "and {MODEL_NAME} of {USER_PROMPT}?", "model_name": "chatglm2-6b"})
    said = await post(http, "/api/v1/chat/completions", again, one)
    assert said["result"] == "You said: and {MODEL_NAME} of {USER_PROMPT}?"
    said = await post(http, "/api/server/offline", OFFLINE, one)
    url = f"{one.url}/api/generate"
    assert said == {"success": True, "msg": f"remove llm worker(model_name=chatglm2-6b, url={url}) succeed!"}
    assert len((await http.get("/api/server/workers")).json()["data"]) == 1
    failed = await post(http, "/api/v1/chat/completions", ASK, one)
    assert (failed["success"], failed["result"]) == (False, None)
    assert failed["msg"].startswith("worker execute error: ")


async def test_what_fails_is_said_in_the_older_form(
    http: httpx.AsyncClient, servers: tuple[AnyServer, AnyServer]
) -> None:
    one, _ = servers
    await post(http, "/api/server/register", REGISTER, one)
    twice = await post(http, "/api/server/register", REGISTER, one)
    url = f"{one.url}/api/generate"
    assert twice == {"success": False, "msg": f"LLM(model_name(chatglm2-6b), url={url}) has registered!"}
    gone = await post(http, "/api/server/offline", OFFLINE.replace("api/generate", "other"), one)
    assert gone == {"success": False, "msg": "No llm worker to remove."}
    nothing = await post(http, "/api/server/offline", "{}", one)
    assert nothing == {"success": False, "msg": "Send model_name and req_url_template."}
    mute = await post(http, "/api/server/register", REGISTER.replace("{USER_PROMPT}", "x").replace("chat", "m"), one)
    assert mute["success"] is False
    assert "USER_PROMPT" in mute["msg"]
    private = await post(http, "/api/server/register", REGISTER.replace("127.0.0.1:8008", "169.254.169.254"), one)
    assert private["success"] is False
    assert "HERDING_ALLOWED_HOSTS" in private["msg"]


async def test_a_broken_model_server_is_no_answer(
    http: httpx.AsyncClient, servers: tuple[AnyServer, AnyServer]
) -> None:
    one, _ = servers
    await post(http, "/api/server/register", REGISTER.replace("api/generate", "html"), one)
    said = await post(http, "/api/v1/chat/completions", ASK, one)
    assert said["success"] is False
    assert "text/html" in said["msg"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"body": {"input": "{USER_PROMPT}"}}, "model_name"),
        ({"model_name": "m", "speed": 3}, "speed"),
        ({"model_name": "m", "req_type": "DELETE"}, "req_type"),
        ({"model_name": "m", "is_stream": "maybe"}, "is_stream"),
        ({"model_name": "m", "header": {"a": 1}}, "header.a"),
    ],
)
async def test_a_field_that_cannot_be_is_named(api: httpx.AsyncClient, body: dict[str, Any], param: str) -> None:
    response = await api.post("/api/server/register", json=body)
    assert response.status_code == 422
    assert response.json()["error"]["param"] == param


async def test_a_model_with_header_query_and_stream(
    api: httpx.AsyncClient, servers: tuple[AnyServer, AnyServer]
) -> None:
    one, _ = servers
    body = {
        "model_name": "m",
        "req_url_template": f"{one.url}/sse",
        "req_param": {"v": "{MODEL_NAME}"},
        "header": {"Authorization": f"Bearer {SECRET}"},
        "body": {"input": "{USER_PROMPT}"},
        "is_stream": True,
        "response_extract": "piece",
        "worker_type": "REMOTE",
    }
    assert (await api.post("/api/server/register", json=body)).json()["success"]
    said = (await api.post("/api/v1/chat/completions", json={"input": "hi", "model_name": "m"})).json()
    assert said["result"] == "You said: hi "
    assert one.asked[0].headers["authorization"] == f"Bearer {SECRET}"
    assert one.asked[0].query == {"v": "m"}
    told = [(await api.get(path)).text for path in ("/api/v1/nodes/added", "/api/v1/nodes", "/api/server/workers")]
    assert SECRET not in "".join(told)
    assert "{SECRET:HEADER_AUTHORIZATION}" in told[0]


async def test_two_users_in_a_hundred_turns(
    place: Place, http: httpx.AsyncClient, servers: tuple[AnyServer, AnyServer]
) -> None:
    one, two = servers
    for server in servers:
        await post(http, "/api/server/register", REGISTER, server)
    headers = []
    for name in ("ada", "bob"):
        await place.accounts.add_user(User(name, name, "admin"), BOSS)
        headers.append({"authorization": f"Bearer {(await place.accounts.create_token(name, 't', BOSS))[1]}"})

    async def ask(who: int, number: int) -> None:
        said = f"{who} says {number} {{MODEL_NAME}}"
        body = {"input": said, "model_name": "chatglm2-6b"}
        response = await http.post("/api/v1/chat/completions", json=body, headers=headers[who])
        assert response.json()["result"] == f"You said: {said}"

    for number in range(0, 100, 10):
        await asyncio.gather(*(ask(who, turn) for turn in range(number, number + 10) for who in (0, 1)))
    assert len(one.asked) + len(two.asked) == 200
    assert one.asked
    assert two.asked


def spec(server: AnyServer, **more: Any) -> dict[str, Any]:
    body = {"input": "{USER_PROMPT}"}
    return {"kind": "template", "name": "any", "models": ["m"], "url": f"{server.url}/headers", "body": body, **more}


async def test_the_life_of_a_node(api: httpx.AsyncClient, servers: tuple[AnyServer, AnyServer]) -> None:
    one, two = servers
    keyed = {"headers": {"X-Key": "{SECRET}"}, "secret": SECRET}
    trial = await api.post("/api/v1/nodes/test", json=spec(one, **keyed, prompt="hi there"))
    assert trial.status_code == 200
    assert trial.json()["status"] == 200
    assert json.loads(trial.json()["body"]) == {"input": "hi there"}
    made = await api.post("/api/v1/nodes", json=spec(one, **keyed))
    assert made.status_code == 201
    assert made.json()["status"]["serves"] == ["m"]
    assert (await api.post("/api/v1/nodes", json=spec(one))).status_code == 409
    listed = (await api.get("/api/v1/nodes")).json()["nodes"]
    assert [node["name"] for node in listed] == ["echo", "any"]
    moved = await api.put("/api/v1/nodes/any", json=spec(two, headers={"X-Key": "{SECRET}"}))
    assert (moved.status_code, moved.json()["error"]["param"]) == (422, "secret")
    assert two.asked == []
    assert (await api.put("/api/v1/nodes/any", json=spec(two, **keyed))).status_code == 200
    answered = (await api.post("/api/v1/chat/completions", json={"input": "x", "model_name": "m"})).json()
    assert two.asked[0].headers["x-key"] == SECRET
    (added,) = (await api.get("/api/v1/nodes/added")).json()["nodes"]
    assert (added["added_by"], added["origin"]) == ("admin", two.url)
    assert SECRET not in json.dumps([trial.json(), made.json(), listed, added, answered])
    assert (await api.delete("/api/v1/nodes/any")).status_code == 204
    assert (await api.delete("/api/v1/nodes/any")).status_code == 404
    assert (await api.delete("/api/v1/nodes/echo")).status_code == 404


async def test_an_engine_may_follow_demand(api: httpx.AsyncClient, servers: tuple[AnyServer, AnyServer]) -> None:
    engine = {"kind": "herding", "name": "far", "base_url": servers[0].url, "secret": SECRET}
    rule = {"after_seconds": 1, "every_minutes": 5}
    wrong = await api.post("/api/v1/nodes", json=engine | {"auto_switch": {"after": 1}})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, "auto_switch.after")
    assert (await api.post("/api/v1/nodes", json=engine | {"auto_switch": rule})).status_code == 201
    (added,) = (await api.get("/api/v1/nodes/added")).json()["nodes"]
    assert added["config"]["auto_switch"] == rule
    assert (await api.delete("/api/v1/nodes/far")).status_code == 204


async def test_what_a_node_cannot_be_is_named(api: httpx.AsyncClient, servers: tuple[AnyServer, AnyServer]) -> None:
    one, _ = servers
    for more, param in (
        ({"kind": "local"}, "kind"),
        ({"speed": 1}, "speed"),
        ({"base_url": "http://127.0.0.1:1"}, "base_url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"response_extract": "a..b"}, "response_extract"),
        ({"stream": "always"}, "stream"),
        ({"secret": "x"}, "secret"),
    ):
        response = await api.post("/api/v1/nodes", json=spec(one, **more))
        assert response.status_code == 422
        assert response.json()["error"]["param"].startswith(param), response.text
    deep: Any = "{USER_PROMPT}"
    for _ in range(900):
        deep = [deep]
    assert (await api.post("/api/v1/nodes", json=spec(one, body=deep))).status_code in (201, 400, 422)
