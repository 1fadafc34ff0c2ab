"""Chains through the front doors."""

from __future__ import annotations

import httpx
import pytest

from herding.errors import BadResponseError
from tests.api.conftest import ADMIN, client, web
from tests.api.events import events
from tests.support.herding import Place, herding
from tests.support.nodes import Scripted, echo

STEP = """
    name: {name}
    target_models: [{model}]
    variables: {{text: {{}}}}
    messages: [{{role: user, content: "{name} {{{{text}}}}"}}]
    """
CHAIN = """
    name: Chain
    label: prod
    variables: {text: {}, skip: {type: boolean, default: false}}
    steps:
      - {prompt: first, variables: {text: "{{text}}"}, into: one}
      - {prompt: first, name: again, when: not skip, variables: {text: "{{one}}"}, into: two}
      - {prompt: last, variables: {text: "{{one}}{{two}}"}}
    """


def write(place: Place, last: str = "echo") -> None:
    place.write("first", STEP.format(name="first", model="echo"))
    place.write("last", STEP.format(name="last", model=last))
    place.write("chain", CHAIN)


async def test_infer_streams_steps_and_the_history_shows_parent_and_children(
    api: httpx.AsyncClient, place: Place
) -> None:
    write(place)
    body = {"prompt": "chain", "variables": {"text": "a", "skip": True}, "stream": True}
    response = await api.post("/api/v1/infer", json=body)
    found = events(response)
    steps = [(data["name"], data["state"]) for name, data in found if name == "step"]
    assert steps == [
        ("one", "running"),
        ("one", "succeeded"),
        ("again", "skipped"),
        ("last", "running"),
        ("last", "succeeded"),
    ]
    done = found[-1][1]
    assert response.headers["x-request-id"] == done["request_id"]
    assert "".join(data["text"] for name, data in found if name == "delta") == done["text"] == "last first a"
    assert [step["state"] for step in done["steps"]] == ["succeeded", "skipped", "succeeded"]

    entry = (await api.get(f"/api/v1/history/{done['request_id']}")).json()
    assert (entry["kind"], entry["parent"], entry["status"]) == ("chain", None, "succeeded")
    assert [(child["step"], child["prompt"]) for child in entry["children"]] == [("one", "first"), ("last", "last")]
    for name in ("input_tokens", "output_tokens"):
        assert entry["usage"][name] == done["usage"][name] == sum(child[name] for child in entry["children"])
    child = (await api.get(f"/api/v1/history/{entry['children'][0]['request_id']}")).json()
    assert (child["kind"], child["parent"], child["step"]) == ("step", done["request_id"], "one")
    assert child["children"] is None

    async def ids(query: str) -> list[str]:
        page = (await api.get(f"/api/v1/history?{query}")).json()
        return [one["request_id"] for one in page["entries"]]

    assert await ids("steps=false") == [done["request_id"]]
    assert await ids(f"parent={done['request_id']}") == [child["request_id"] for child in reversed(entry["children"])]
    assert await ids("kind=chain") == [done["request_id"]]
    rated = await api.post("/api/v1/score", json={"request_id": done["request_id"], "score": 4})
    assert rated.status_code == 200


async def test_a_failing_step_is_named_by_every_api(tmp_path) -> None:
    bad = Scripted("bad", [BadResponseError("It said nonsense.")], models=["bad"])
    async with herding(tmp_path, echo(), bad) as place, client(web(place), headers=ADMIN) as api:
        write(place, last="bad")
        native = await api.post("/api/v1/infer", json={"prompt": "chain", "variables": {"text": "a"}})
        assert native.status_code == 502
        error = native.json()["error"]
        assert (error["step"], error["message"]) == ("last", "Step 'last' failed: It said nonsense.")
        assert error["request_id"]
        body = {"model": "prompt:chain", "messages": [{"role": "user", "content": "a"}]}
        openai = await api.post("/v1/chat/completions", json=body)
        assert openai.json()["error"]["message"] == "Step 'last' failed: It said nonsense."


async def test_the_openai_api_runs_a_chain_like_a_model(api: httpx.AsyncClient, place: Place) -> None:
    write(place)
    listed = (await api.get("/v1/models")).json()["data"]
    assert "prompt:chain" in [model["id"] for model in listed]
    body = {"model": "prompt:chain", "messages": [{"role": "user", "content": "a"}]}
    whole = (await api.post("/v1/chat/completions", json=body)).json()
    assert whole["choices"][0]["message"]["content"] == "last first afirst first a"
    assert whole["usage"]["total_tokens"] == 2 * (2 + 3 + 5)
    streamed = await api.post("/v1/chat/completions", json=body | {"stream": True})
    assert '"content": "last"' in streamed.text
    assert streamed.text.endswith("data: [DONE]\n\n")
    by_link = (await api.get("/api/v1/run/chain?text=a&skip=true")).json()
    assert by_link["text"] == "last first a"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"n": 2}, "gives one response"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "takes no tools"),
    ],
)
async def test_the_openai_api_refuses_by_name(
    api: httpx.AsyncClient, place: Place, more: dict[str, object], said: str
) -> None:
    write(place)
    body = {"model": "prompt:chain", "messages": [{"role": "user", "content": "a"}], **more}
    response = await api.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert said in response.json()["error"]["message"]
