"""Prompts, feedback, history, nodes and models over the native API."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from herding.api.http.request import get_principal
from herding.errors import ConnectError
from herding.values import Limit
from tests.api.conftest import ADMIN, client, web
from tests.api.events import events
from tests.support.herding import NOBODY, Place, herding
from tests.support.nodes import Listing, Scripted, Switchable, echo
from tests.support.people import principal

V1 = "/api/v1"


async def run(http: httpx.AsyncClient, text: str = "hello") -> str:
    response = await http.post(f"{V1}/infer", json={"prompt": "say", "variables": {"text": text}})
    request_id: str = response.json()["request_id"]
    return request_id


async def got(http: httpx.AsyncClient, path: str, **params: Any) -> Any:
    response = await http.get(f"{V1}/{path}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


# Prompts


async def test_all_prompts(api: httpx.AsyncClient, place: Place) -> None:
    place.write("deep/one", "name: One\ntarget_models: [ghost]\nprompt: hi\n")
    await api.post(f"{V1}/score", json={"request_id": await run(api), "score": 4})
    one, say = (await got(api, "prompts"))["prompts"]
    assert (one["key"], one["served"]) == ("deep/one", {"ghost": []})
    assert (say["key"], say["label"], say["chat"]) == ("say", "dev", False)
    assert say["variables"]["text"]["default"] == "one two three"
    assert say["served"] == {"echo": ["echo"]}
    assert say["stats"].pop("last_used_at") > 1_700_000_000_000
    assert say["stats"] == {"uses": 1, "rated": 1, "mean_stars": 4.0}


async def test_one_prompt(api: httpx.AsyncClient, place: Place) -> None:
    place.write("deep/one", "name: One\ntarget_models: [ghost]\nprompt: hi\nparameters: {temperature: 0.5}\n")
    one = await got(api, "prompts/deep/one")
    assert (one["key"], one["body"], one["parameters"]) == ("deep/one", "prompt: hi\n", {"temperature": 0.5})
    assert await got(api, "prompts/deep/one@1") == one


@pytest.mark.parametrize("key", ["ghost", "deep", "say@9", "%00", "a%2fb"])
async def test_a_prompt_that_is_not_there(api: httpx.AsyncClient, key: str) -> None:
    response = await api.get(f"{V1}/prompts/{key}")
    assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found")


# Feedback


async def test_stars_and_comment(api: httpx.AsyncClient) -> None:
    request_id = await run(api)
    scored = await api.post(f"{V1}/score", json={"request_id": request_id, "score": 4})
    assert scored.json() == {"request_id": request_id, "score": 4, "comment": None}
    said = await api.post(f"{V1}/feedback", json={"request_id": request_id, "comment": "fine"})
    assert said.json() == {"request_id": request_id, "score": 4, "comment": "fine"}
    entry = await got(api, f"history/{request_id}")
    assert (entry["score"], entry["comment"]) == (4, "fine")
    assert (await api.post(f"{V1}/score", json={"request_id": request_id, "score": None})).json()["score"] is None


async def test_one_answer_is_better_than_another(api: httpx.AsyncClient, place: Place) -> None:
    one, two = await run(api), await run(api)
    path, pair = f"{V1}/preference", {"better": one, "worse": two}
    for verdict in ("better", "equal"):
        said = await api.post(path, json=pair | {"verdict": verdict})
        assert (said.status_code, said.json()) == (200, pair | {"verdict": verdict})
        kept = await place.store.preference(one, two, "admin")
        assert kept is not None
        assert kept.equal == (verdict == "equal")
    assert (await api.post(path, json={"better": two, "worse": one})).json()["verdict"] == "better"
    turned = await place.store.preference(one, two, "admin")
    assert turned is not None
    assert (turned.better, turned.worse) == (two, one)
    assert (await api.post(path, json=pair | {"verdict": None})).json() == pair | {"verdict": None}
    assert await place.store.preference(one, two, "admin") is None


async def test_a_preference_that_is_none(api: httpx.AsyncClient) -> None:
    one = await run(api)
    for body, status in (
        ({"better": one, "worse": one}, 422),
        ({"better": one, "worse": "ghost"}, 404),
        ({"better": one}, 422),
        ({"better": one, "worse": "ghost", "verdict": "worse"}, 422),
        ({"better": one, "worse": "ghost", "x": 1}, 422),
        ({"better": one, "worse": ""}, 422),
    ):
        assert (await api.post(f"{V1}/preference", json=body)).status_code == status, body


async def test_auto_is_the_routing(api: httpx.AsyncClient) -> None:
    told = (await api.post(f"{V1}/infer", json={"prompt": "say", "model": "auto"})).json()
    assert (told["model"], told["routing"]["policy"]) == ("echo", "only")
    named = (await api.post(f"{V1}/infer", json={"prompt": "say", "model": "echo"})).json()
    assert named["routing"]["policy"] == "asked"


async def test_the_older_names(api: httpx.AsyncClient) -> None:
    request_id = await run(api)
    await api.post(f"{V1}/score", json={"inference_id": request_id, "score": 2})
    said = await api.post(f"{V1}/feedback", json={"inference_id": request_id, "feedback": "meh"})
    assert said.json() == {"request_id": request_id, "score": 2, "comment": "meh"}


@pytest.mark.one_database
@pytest.mark.parametrize("score", [0, 6, -1, 10**30, True, 4.5, "5", [5]])
async def test_a_score_is_one_to_five(api: httpx.AsyncClient, score: Any) -> None:
    response = await api.post(f"{V1}/score", json={"request_id": await run(api), "score": score})
    assert (response.status_code, response.json()["error"]["param"]) == (422, "score")


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("score", {"score": 5}),
        ("score", {"request_id": "a", "inference_id": "b", "score": 5}),
        ("score", {"request_id": "a"}),
        ("score", {"request_id": "a", "score": 5, "x": 1}),
        ("score", {"request_id": 7, "score": 5}),
        ("feedback", {"request_id": "a"}),
        ("feedback", {"request_id": "a", "comment": "x", "feedback": "y"}),
        ("feedback", {"request_id": "a", "comment": 5}),
    ],
)
async def test_feedback_that_is_none(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    assert (await api.post(f"{V1}/{path}", json=body)).status_code == 422


@pytest.mark.parametrize("comment", ["x" * 10_001, "a\x00b"])
async def test_a_comment_that_cannot_be_kept(api: httpx.AsyncClient, comment: str) -> None:
    response = await api.post(f"{V1}/feedback", json={"request_id": await run(api), "comment": comment})
    assert (response.status_code, response.json()["error"]["param"]) == (422, "comment")


@pytest.mark.parametrize("request_id", ["ghost", "\x00", "' OR 1=1--"])
async def test_feedback_on_nothing(api: httpx.AsyncClient, request_id: str) -> None:
    response = await api.post(f"{V1}/score", json={"request_id": request_id, "score": 5})
    assert (response.status_code, response.json()["error"]["param"]) == (404, "request_id")


# History


async def test_a_page_of_the_history(api: httpx.AsyncClient) -> None:
    ids = [await run(api, text) for text in ("one", "two", "three")]
    page = await got(api, "history", offset=1, limit=1)
    assert (page["total"], page["offset"], page["limit"]) == (3, 1, 1)
    (entry,) = page["entries"]
    assert entry == await got(api, f"history/{ids[1]}")
    facts = {name: entry[name] for name in ("request_id", "text", "status", "principal", "variables", "error")}
    assert facts == {
        "request_id": ids[1],
        "text": "two",
        "status": "succeeded",
        "principal": "admin",
        "variables": {"text": "two"},
        "error": None,
    }
    assert entry["created_at"].endswith("+00:00")


async def test_the_history_is_filtered(api: httpx.AsyncClient) -> None:
    good, _ = await run(api, "alpha"), await run(api, "beta")
    await api.post(f"{V1}/score", json={"request_id": good, "score": 5})
    for params in ({"stars": 5}, {"text": "ALPHA"}, {"text": "alpha", "prompt": "say", "status": "succeeded"}):
        page = await got(api, "history", **params)
        assert ([entry["request_id"] for entry in page["entries"]], page["total"]) == ([good], 1)
    assert (await got(api, "history", node="ghost"))["entries"] == []


async def test_a_failed_request_in_the_history(tmp_path: Path) -> None:
    node = Scripted("a", [ConnectError("It is down.")])
    async with herding(tmp_path, node) as place, client(web(place), ADMIN) as api:
        await api.post(f"{V1}/infer", json={"prompt": "say"})
        (entry,) = (await got(api, "history", status="failed"))["entries"]
    assert entry["error"] == {"type": "node_unreachable", "message": "It is down."}
    assert entry["routing"]["attempts"][0]["error_type"] == "node_unreachable"


@pytest.mark.one_database
@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "offset=-1", f"offset={10**30}", "stars=6", "status=happy"]
)
async def test_a_page_that_is_none(api: httpx.AsyncClient, query: str) -> None:
    response = await api.get(f"{V1}/history?{query}")
    assert (response.status_code, response.json()["error"]["param"]) == (422, query.partition("=")[0])


async def test_a_guest_sees_own_requests_only(api: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    theirs, mine = await run(api), await run(http)
    assert [entry["request_id"] for entry in (await got(http, "history"))["entries"]] == [mine]
    assert (await got(api, "history"))["total"] == 2
    for path in (f"history/{theirs}", "history/ghost", "history/%00"):
        assert (await http.get(f"{V1}/{path}")).status_code == 404
    assert (await http.post(f"{V1}/score", json={"request_id": theirs, "score": 1})).status_code == 404


# Nodes and models


async def test_the_herd(api: httpx.AsyncClient) -> None:
    (node,) = (await got(api, "nodes"))["nodes"]
    assert (node["name"], node["kind"], node["prompts"]) == ("echo", "echo", ["say"])
    assert (node["status"]["state"], node["status"]["serves"]) == ("ready", ["echo"])
    assert node["stats"]["requests"] == 0


async def test_all_models(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("one", "echo", "b"), echo("two", "b")) as place:
        place.write("ghostly", "name: G\ntarget_models: [ghost, b]\nprompt: hi\n")
        async with client(web(place), ADMIN) as api:
            models = {model.pop("id"): model for model in (await got(api, "models"))["models"]}
    for model in models.values():
        assert model.pop("stats")["total"] == 0
        abilities = model.pop("capabilities")
        assert list(abilities) == model["nodes"]
        assert all(found["features"] == [] and "max_tokens" in found["parameters"] for found in abilities.values())
    assert models == {
        "echo": {"nodes": ["one"], "embeds": [], "reranks": [], "offered_by": [], "prompts": ["say"]},
        "b": {"nodes": ["one", "two"], "embeds": [], "reranks": [], "offered_by": [], "prompts": ["ghostly"]},
        "ghost": {"nodes": [], "embeds": [], "reranks": [], "offered_by": [], "prompts": ["ghostly"]},
    }


async def test_a_node_is_switched_and_waited_for(tmp_path: Path) -> None:
    async with herding(tmp_path, Switchable("local", [], models=["new/model"])) as place:
        async with client(web(place), ADMIN) as api:
            response = await api.post(f"{V1}/nodes/local/model", json={"model": "new/model", "stream": False})
            assert (response.status_code, response.json()["name"]) == (200, "local")
            assert response.json()["status"]["state"] == "ready"
        assert place.herd["local"].serves == ("new/model",)


async def test_a_model_is_removed_and_its_files_deleted(tmp_path: Path) -> None:
    node = Listing("local", [], models=["one"])
    async with herding(tmp_path, node) as place, client(web(place), ADMIN) as api:
        gone = await api.delete(f"{V1}/nodes/local/files", params={"model": "one"})
        assert gone.json() == {"node": "local", "model": "one", "bytes": 5_000_000}
        gone = await api.delete(f"{V1}/nodes/local/models", params={"model": "one", "delete_files": True})
        assert (gone.status_code, node.removed, node.deleted) == (204, ("one",), ("one", "one"))
        refused = await api.delete(f"{V1}/nodes/echo/models", params={"model": "one"})
        assert refused.status_code == 404


async def test_a_switch_tells_its_progress(tmp_path: Path) -> None:
    node = Switchable("local", [], models=["new/model"])
    async with herding(tmp_path, node) as place, client(web(place), ADMIN) as api:
        told = events(await api.post(f"{V1}/nodes/local/model", json={"model": "new/model"}))
    assert told == [
        ("progress", {"fraction": 0.5, "stage": "reading", "done": False}),
        ("progress", {"fraction": 1.0, "stage": "ready", "done": True}),
    ]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("node", "status"), [("ghost", 404), ("echo", 422)])
async def test_a_switch_that_is_refused(api: httpx.AsyncClient, node: str, status: int, stream: bool) -> None:
    response = await api.post(f"{V1}/nodes/{node}/model", json={"model": "x", "stream": stream})
    assert response.status_code == status


async def test_a_guest_switches_nothing(http: httpx.AsyncClient) -> None:
    response = await http.post(f"{V1}/nodes/echo/model", json={"model": "echo"})
    assert (response.status_code, response.json()["error"]["type"]) == (403, "forbidden")


# The older form of a chat


async def test_one_input_gets_one_result(api: httpx.AsyncClient) -> None:
    response = await api.post(f"{V1}/chat/completions", json={"input": "hi you", "model_name": "echo"})
    assert response.json() == {"success": True, "msg": "execute succeed", "result": "hi you"}
    assert response.headers["x-herding-model"] == "echo"


async def test_the_older_form_says_when_to_come_back(http: httpx.AsyncClient, app: FastAPI) -> None:
    limited = replace(principal("ada", "user"), limits=(Limit("request", 1, 1),))
    app.dependency_overrides[get_principal] = lambda: limited
    body = {"input": "hi you", "model_name": "echo"}
    assert (await http.post(f"{V1}/chat/completions", json=body)).json()["success"]
    response = await http.post(f"{V1}/chat/completions", json=body)
    assert (response.status_code, response.json()["success"]) == (429, False)
    assert int(response.headers["retry-after"]) > 3500


async def test_the_same_path_takes_messages(api: httpx.AsyncClient) -> None:
    messages = [{"role": "user", "content": "hi"}]
    response = await api.post(f"{V1}/chat/completions", json={"model": "echo", "messages": messages})
    assert response.json()["choices"][0]["message"]["content"] == "hi"


@pytest.mark.parametrize(
    "body",
    [
        {"input": "hi", "model_name": "ghost"},
        {"input": "a\x00b"},
        {"input": "hi", "n": 2},
        {"input": "hi", "variables": {"a": 1}},
    ],
)
async def test_an_input_that_fails(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    response = await api.post(f"{V1}/chat/completions", json=body)
    assert response.status_code == 200
    answer = response.json()
    assert (answer["success"], answer["result"]) == (False, None)
    assert answer["msg"].startswith("worker execute error: ")


# Rights


async def test_a_guest_has_no_free_chat(http: httpx.AsyncClient, place: Place) -> None:
    response = await http.post(f"{V1}/chat/completions", json={"input": "hi"})
    assert (response.status_code, response.json()["success"]) == (403, False)
    assert await place.rows() == []


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "infer", {"prompt": "say"}),
        ("POST", "infer", {"prompt": "say@1"}),
        ("POST", "infer", {"prompt": "say", "stream": True}),
        ("GET", "run/say", None),
        ("POST", "requests/x/cancel", None),
        ("GET", "prompts", None),
        ("GET", "prompts/say", None),
        ("POST", "score", {"request_id": "x", "score": 1}),
        ("POST", "feedback", {"request_id": "x", "comment": "x"}),
        ("GET", "history", None),
        ("GET", "history/x", None),
        ("GET", "nodes", None),
        ("GET", "models", None),
        ("POST", "nodes/echo/model", {"model": "echo"}),
        ("POST", "chat/completions", {"input": "hi"}),
        ("POST", "chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
    ],
)
async def test_without_rights_there_is_nothing(
    http: httpx.AsyncClient, app: FastAPI, method: str, path: str, body: dict[str, Any] | None
) -> None:
    app.dependency_overrides[get_principal] = lambda: NOBODY
    assert (await http.request(method, f"{V1}/{path}", json=body)).status_code == 403
