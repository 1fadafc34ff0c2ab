"""Prompts that are saved and deleted over the API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from herding.api.http.request import get_principal
from herding.prompts.directory import ID_FILE
from herding.values import Principal
from tests.api.conftest import ADMIN, client, web
from tests.support.herding import Place, herding
from tests.support.nodes import echo
from tests.support.people import principal

URL = "/api/v1/prompts"
JSON = {"content-type": "application/json"}
USER = principal("ada", "user")
RATER = principal("rob", "rater")
NEW: dict[str, Any] = {
    "name": "New",
    "target_models": ["echo"],
    "variables": {"text": {"default": "one two"}},
    "messages": [{"role": "user", "content": "{{text}}"}],
}


def files(place: Place) -> dict[str, str]:
    paths = [
        path
        for path in place.prompts.parent.rglob("*")
        if path.is_file() and path.suffix != ".sqlite" and path.name != ID_FILE
    ]
    kept = [path for path in paths if not path.name.startswith("herding.sqlite")]
    return {path.relative_to(place.prompts.parent).as_posix(): path.read_text() for path in kept}


async def put(http: httpx.AsyncClient, key: str, data: Any = NEW, **headers: str) -> httpx.Response:
    return await http.put(f"{URL}/{key}", json=data, headers=headers)


def refused(response: httpx.Response) -> tuple[int, str, str | None]:
    """Status, type and param of an answer that is an error."""
    error = response.json()["error"]
    assert error["message"]
    return response.status_code, error["type"], error["param"]


@pytest.fixture
def user(app: FastAPI, http: httpx.AsyncClient) -> httpx.AsyncClient:
    """Somebody who may save, and not publish."""
    app.dependency_overrides[get_principal] = lambda: USER
    return http


async def test_a_new_prompt_is_there_for_the_next_request(user: httpx.AsyncClient, place: Place) -> None:
    response = await put(user, "my/new", NEW | {"message": "first draft"})
    assert (response.status_code, response.headers["etag"]) == (201, '"1"')
    one = response.json()
    assert (one["key"], one["version"], one["label"], one["roles"], one["cors"]) == ("my/new", 1, "dev", None, [])
    assert (one["served"], one["newest"], one["labels"], one.pop("file")) == ({"echo": ["echo"]}, 1, {}, "written")
    read = await user.get(f"{URL}/my/new")
    assert (read.json(), read.headers["etag"]) == (one, '"1"')
    assert (await user.post("/api/v1/infer", json={"prompt": "my/new@1"})).json()["text"] == "one two"
    assert "first draft" not in files(place)["prompts/my/new.yaml"]


async def test_a_prompt_is_changed(user: httpx.AsyncClient) -> None:
    await put(user, "new")
    response = await put(user, "new", NEW | {"name": "Newer"})
    assert (response.status_code, response.headers["etag"], response.json()["name"]) == (200, '"2"', "Newer")
    listed = (await user.get(URL)).json()["prompts"]
    assert {one["key"]: one["version"] for one in listed} == {"new": 2, "say": 1}


async def test_the_same_content_is_not_written_again(user: httpx.AsyncClient, place: Place) -> None:
    await put(user, "new")
    before = (place.prompts / "new.yaml").stat()
    response = await put(user, "new", NEW | {"message": "nothing"})
    assert (response.status_code, response.headers["etag"]) == (200, '"1"')
    assert (place.prompts / "new.yaml").stat() == before


async def test_what_is_read_can_be_sent_back(api: httpx.AsyncClient, place: Place) -> None:
    text = 'name: A\ntarget_models: [m]\nvariables: {a: {}}\nprompt: "{{a}}"\nchecks: {json_schema: {const: null}}\n'
    place.write("a", text)
    content = (await api.get(f"{URL}/a")).json()["content"]
    assert (await put(api, "a", content)).headers["etag"] == '"1"'
    assert content["checks"] == {"json_schema": {"const": None}}
    changed = await put(api, "a", content | {"description": "new"})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert changed.json()["content"] == content | {"description": "new"}


async def test_a_prompt_is_deleted(api: httpx.AsyncClient, place: Place) -> None:
    await put(api, "my/new")
    response = await api.delete(f"{URL}/my/new")
    assert (response.status_code, response.content) == (204, b"")
    assert list(files(place)) == ["prompts/say.yaml"]
    for again in (await api.delete(f"{URL}/my/new"), await api.get(f"{URL}/my/new")):
        assert refused(again) == (404, "not_found", "prompt")


# Versions


async def test_a_change_of_an_older_version_is_refused(api: httpx.AsyncClient, place: Place) -> None:
    seen = (await put(api, "new")).headers["etag"]
    await put(api, "new", NEW | {"name": "Two"})
    before = files(place)
    response = await api.put(f"{URL}/new", json=NEW | {"name": "Three"}, headers={"if-match": seen})
    assert refused(response) == (409, "conflict", "version")
    assert "v2" in response.json()["error"]["message"]
    assert refused(await api.delete(f"{URL}/new", headers={"if-match": seen})) == (409, "conflict", "version")
    assert files(place) == before
    for tag in ('"2"', "2", 'W/"2"', '"1", "2"', "*"):
        assert (await api.put(f"{URL}/new", json=NEW | {"name": "Two"}, headers={"if-match": tag})).status_code == 200
    assert (await api.delete(f"{URL}/new", headers={"if-match": '"2"'})).status_code == 204


@pytest.mark.parametrize("tag", ["*", '"1"'])
async def test_a_version_of_what_is_not_there(api: httpx.AsyncClient, tag: str) -> None:
    response = await api.put(f"{URL}/ghost", json=NEW, headers={"if-match": tag})
    assert refused(response) == (409, "conflict", "version")


@pytest.mark.one_database
@pytest.mark.parametrize("tag", ["", "x", '"x"', "-1", '"1" "2"', "9" * 30, "٣".encode().decode("latin-1")])
async def test_a_version_that_is_none(api: httpx.AsyncClient, tag: str) -> None:
    response = await api.put(f"{URL}/new", json=NEW, headers=[(b"if-match", tag.encode("latin-1"))])
    assert refused(response) == (422, "invalid_request", "If-Match")


# Rights


@pytest.mark.parametrize(
    ("caller", "status"),
    [(principal("guest:1", "guest"), 403), (RATER, 403), (USER, 201), (principal("a", "admin"), 201)],
)
async def test_who_may_save(
    app: FastAPI, http: httpx.AsyncClient, place: Place, caller: Principal, status: int
) -> None:
    app.dependency_overrides[get_principal] = lambda: caller
    before = files(place)
    assert (await put(http, "new")).status_code == status
    assert (files(place) == before) == (status == 403)


@pytest.mark.parametrize(
    ("caller", "status"),
    [(principal("guest:1", "guest"), 403), (RATER, 403), (USER, 403), (principal("a", "admin"), 204)],
)
async def test_who_may_delete(app: FastAPI, http: httpx.AsyncClient, caller: Principal, status: int) -> None:
    app.dependency_overrides[get_principal] = lambda: caller
    assert (await http.delete(f"{URL}/say")).status_code == status


async def test_a_visitor_changes_nothing(http: httpx.AsyncClient, place: Place) -> None:
    before = files(place)
    assert refused(await put(http, "say")) == (403, "forbidden", None)
    assert refused(await http.delete(f"{URL}/say")) == (403, "forbidden", None)
    assert files(place) == before


@pytest.mark.parametrize("change", [{"label": "prod"}, {"cors": ["https://example.com"]}])
async def test_publishing_is_a_right_of_its_own(user: httpx.AsyncClient, change: dict[str, Any]) -> None:
    assert refused(await put(user, "new", NEW | change)) == (403, "forbidden", None)
    assert (await user.get(f"{URL}/new")).status_code == 404


async def test_a_page_of_another_origin_saves_nothing(api: httpx.AsyncClient, place: Place) -> None:
    before = files(place)
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert (await api.put(f"{URL}/say", json=NEW, headers=headers)).status_code == 403
        assert (await api.delete(f"{URL}/say", headers=headers)).status_code == 403
    assert files(place) == before


# What makes no sense


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"colour": "red"}, "colour"),
        ({"key": "other"}, "key"),
        ({"name": 7}, "name"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "{{ghost}}"}]}, None),
        ({"variables": {"n": {"type": "number", "min": "low"}}}, "variables.n.min"),
        ({"label": "live"}, "label"),
        ({"roles": []}, "roles"),
        ({"roles": ["boss"]}, "roles"),
        ({"cors": ["https://example.com/page"]}, "cors.0"),
        ({"message": 7}, "message"),
        ({"message": "x" * 501}, "message"),
        ({"description": "a\x00b"}, "description"),
        ({"description": "\ud800"}, "description"),
    ],
)
async def test_a_mistake_is_named(
    api: httpx.AsyncClient, place: Place, change: dict[str, Any], param: str | None
) -> None:
    before = files(place)
    response = await api.put(f"{URL}/new", content=json.dumps(NEW | change), headers=JSON)
    assert refused(response) == (422, "invalid_request", param)
    assert files(place) == before


@pytest.mark.one_database
@pytest.mark.parametrize(
    "text",
    ["{{ cycler.__init__.__globals__.os }}", "{{''.__class__}}", "{% include '/etc/passwd' %}", "{{ 7*7 }}", "${HOME}"],
)
async def test_a_hostile_template_stays_text(api: httpx.AsyncClient, text: str) -> None:
    messages = [{"role": "user", "content": f"{text} {{{{text}}}}"}]
    assert (await put(api, "bad", NEW | {"messages": messages})).status_code == 201
    answer = await api.post("/api/v1/infer", json={"prompt": "bad", "variables": {"text": "{{text}}"}})
    assert answer.json()["text"] == f"{text} {{{{text}}}}"


@pytest.mark.parametrize(
    "path",
    [
        *("../x", "%2e%2e/x", "a/../../b", "a/%2e%2e/%2e%2e/b", "..%2f..%2fx", "/etc/x", "%2fetc%2fx", "a//b", "a%00b"),
        *(".hidden", "a@1", "a%0ab", "%ED%A0%80", "a%5cb", "%20", "", "x" * 201, "x" * 5_000, "a/" * 300 + "b"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_key_that_leads_nowhere(app: FastAPI, place: Place, method: str, path: str) -> None:
    """The path as it is, as no client would send it."""
    before = files(place)
    raw = f"{URL}/{path}".encode()
    request = httpx.Request(method, "http://herding.test/", json=NEW, headers=ADMIN, extensions={"target": raw})
    request.url = request.url.copy_with(raw_path=raw)
    async with client(app) as http:
        response = await http.send(request)
    assert response.status_code in (404, 405, 422)
    assert files(place) == before


async def test_keys_that_differ_by_case(api: httpx.AsyncClient) -> None:
    assert refused(await put(api, "SAY")) == (409, "conflict", "key")


async def test_a_file_with_several_prompts(api: httpx.AsyncClient, place: Place) -> None:
    one = "one:\n  name: A\n  target_models: [m]\n  prompt: x\ntwo:\n  name: B\n  target_models: [m]\n  prompt: x\n"
    place.write("many", one)
    for response in (await api.delete(f"{URL}/one"), await put(api, "many")):
        assert refused(response) == (409, "conflict", "key")
        assert "many.yaml" in response.json()["error"]["message"]
    saved = await put(api, "one")
    assert (saved.status_code, saved.json()["version"], saved.json()["file"]) == (200, 2, "shared")
    assert (place.prompts / "many.yaml").read_text() == one


async def test_a_prompt_over_the_cap(tmp_path: Path) -> None:
    async with herding(tmp_path, echo()) as place:
        app = web(place)
        async with client(app, ADMIN) as api:
            for size, status in ((40_000, 201), (60_000, 413)):
                response = await put(api, "big", NEW | {"messages": [{"role": "user", "content": "x" * size}]})
                assert response.status_code == status


_names = st.sampled_from([*NEW, "prompt", "variants", "parameters", "checks", "roles", "cors", "label", "param"])
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["user", "echo"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names | st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=200)
@given(change=st.dictionaries(_names, _values, max_size=4))
async def test_no_body_breaks_anything(api: httpx.AsyncClient, change: dict[str, Any]) -> None:
    response = await api.put(f"{URL}/any", content=json.dumps(NEW | change).encode(), headers=JSON)
    assert response.status_code in (200, 201, 422)
    assert (await api.get(URL)).status_code == 200


@pytest.mark.one_database
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"x"', b"7", b"{", b'{"a": ' * 900 + b"1" + b"}" * 900, b"[" * 9999]
)
async def test_a_body_that_is_no_prompt(api: httpx.AsyncClient, body: bytes) -> None:
    response = await api.put(f"{URL}/any", content=body, headers=JSON)
    assert 400 <= response.status_code < 500


def test_the_documentation_shows_the_keys_of_a_file(described: dict[str, Any]) -> None:
    body = described["components"]["schemas"]["SavePromptRequest"]
    assert {"name", "messages", "variants", "variables", "checks", "roles", "cors", "message"} <= body[
        "properties"
    ].keys()
    assert set(body["required"]) == {"name", "target_models"}
    operations = described["paths"][f"{URL}/{{key}}"]
    assert {"200", "201", "4XX"} <= operations["put"]["responses"].keys()
    assert {"204", "4XX"} <= operations["delete"]["responses"].keys()
