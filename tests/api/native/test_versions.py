"""Versions, labels, conflicts, prompt files and bundles over the API."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import httpx
import pytest
import yaml
from fastapi import FastAPI

from herding.api.http.request import get_principal
from tests.support.herding import Place
from tests.support.people import principal

URL = "/api/v1/prompts"
NEW: dict[str, Any] = {"name": "New", "target_models": ["echo"], "messages": [{"role": "user", "content": "Be short."}]}
USER = principal("ada", "user")


@pytest.fixture
async def two(api: httpx.AsyncClient) -> httpx.AsyncClient:
    """The admin, with two versions of `my/new`."""
    await api.put(f"{URL}/my/new", json=NEW | {"message": "first"})
    changed = NEW | {"messages": [{"role": "user", "content": "Be very short."}], "label": "test"}
    await api.put(f"{URL}/my/new", json=changed)
    return api


async def got(api: httpx.AsyncClient, path: str) -> Any:
    response = await api.get(f"{URL}/{path}")
    assert response.status_code == 200, response.text
    return response.json()


async def test_versions_are_listed_and_read(two: httpx.AsyncClient) -> None:
    newest, first = (await got(two, "my/new/versions"))["versions"]
    assert (first["number"], first["message"], first["source"], first["author"]) == (1, "first", "api", "admin")
    assert (await got(two, "my/new/versions?limit=1"))["versions"] == [newest]
    one = await got(two, "my/new/versions/2")
    assert (one["labels"], one["content"]["messages"][0]["content"]) == (["test"], "Be very short.")
    assert one["sha256"] == newest["sha256"] != first["sha256"]
    assert len(one["sha256"]) == 64
    again = await two.put(f"{URL}/my/new", json=(await got(two, "my/new/versions/1"))["content"])
    assert (again.status_code, again.json()["version"]) == (200, 3)
    info = await got(two, "my/new")
    assert (info["version"], info["newest"], info["labels"]) == (3, 3, {"test": 2})
    assert (await got(two, "my/new@test"))["version"] == 2


@pytest.mark.parametrize(
    "path", ["my/new/versions/9", "my/new/diff?from=1&to=9", "my/new/yaml?version=9", "no/versions"]
)
async def test_what_is_not_there(two: httpx.AsyncClient, path: str) -> None:
    assert (await two.get(f"{URL}/{path}")).status_code == 404


async def test_what_is_different(two: httpx.AsyncClient) -> None:
    for query in ("from=1&to=2", "to=2", ""):
        (field,) = (await got(two, f"my/new/diff?{query}"))["fields"]
        assert (field["section"], field["name"]) == ("template", "messages.1.content")
        (line,) = field["lines"]
        assert [mark["text"] for mark in line["new"] if mark["changed"]] == ["very "]
    assert await got(two, "my/new/diff?from=2&to=2") == {"fields": []}


async def test_labels_are_set_removed_and_taken_back(two: httpx.AsyncClient) -> None:
    label = f"{URL}/my/new/labels/prod"
    move = (await two.put(label, json={"version": 1, "message": "it works"})).json()
    assert (move["label"], move["version"], move["previous"], move["message"]) == ("prod", 1, None, "it works")
    assert (await two.post("/api/v1/infer", json={"prompt": "my/new"})).json()["version"] == 1
    await two.put(label, json={"version": 2})
    assert (await two.post(f"{label}/take_back")).json()["version"] == 1
    found = await got(two, "my/new/labels/prod")
    assert (found["version"], [one["version"] for one in found["moves"]]) == (1, [1, 2, 1])
    assert (await got(two, "my/new/labels"))["labels"] == {"prod": 1, "test": 2}
    assert (await two.delete(label)).json()["version"] is None
    assert (await got(two, "my/new/labels"))["labels"] == {"test": 2}
    assert (await two.delete(label)).status_code == 404
    assert (await two.put(label, json={"version": 9})).status_code == 404
    assert (await two.put(label, json={"version": "1"})).status_code == 422


async def test_publishing_takes_its_right(app: FastAPI, two: httpx.AsyncClient) -> None:
    app.dependency_overrides[get_principal] = lambda: USER
    assert (await two.put(f"{URL}/my/new/labels/prod", json={"version": 1})).status_code == 403
    assert (await two.delete(f"{URL}/my/new/labels/prod")).status_code == 403
    assert (await two.post(f"{URL}/my/new/labels/prod/take_back")).status_code == 403
    assert (await two.put(f"{URL}/my/new/labels/mine", json={"version": 1})).status_code == 200


async def test_a_prompt_as_a_file(two: httpx.AsyncClient) -> None:
    response = await two.get(f"{URL}/my/new/yaml?version=1")
    assert response.headers["content-disposition"] == 'attachment; filename="new.yaml"'
    assert yaml.safe_load(response.text) == NEW
    assert yaml.safe_load((await two.get(f"{URL}/my/new/yaml")).text)["label"] == "test"


async def test_all_prompts_as_a_bundle(two: httpx.AsyncClient, place: Place) -> None:
    bundle = (await two.get("/api/v1/prompts.zip")).content
    with zipfile.ZipFile(io.BytesIO(bundle)) as found:
        assert found.namelist() == ["my/new.yaml", "say.yaml"]
    for _ in range(2):
        results = (await two.post("/api/v1/prompts.zip", content=bundle)).json()["prompts"]
        assert [(one["key"], one["saved"]["changed"], one["error"]) for one in results] == [
            ("my/new", False, None),
            ("say", False, None),
        ]
    await two.delete(f"{URL}/my/new")
    results = (await two.post("/api/v1/prompts.zip", content=bundle)).json()["prompts"]
    assert [(one["key"], one["saved"]["new"]) for one in results] == [("my/new", True), ("say", False)]
    assert (await got(two, "my/new@newest"))["version"] == 2
    assert (await two.post("/api/v1/prompts.zip", content=b"no zip")).status_code == 422


async def test_each_prompt_of_a_bundle_stands_for_itself(api: httpx.AsyncClient) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("bad.yaml", "name: [")
        made.writestr("good.yaml", yaml.safe_dump(NEW))
        made.writestr("older.yaml", "name: Old\ntarget_models: [m]\nvariables: [{a: x}]\nprompt: '{{a}}'\n")
    results = (await api.post("/api/v1/prompts.zip", content=buffer.getvalue())).json()["prompts"]
    assert [(one["key"], one["error"] is None) for one in results] == [("bad", False), ("good", True), ("older", True)]


async def test_a_conflict_is_resolved(api: httpx.AsyncClient, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.put(f"{URL}/new", json=NEW)
    save = place.library.save

    def late(*args: Any) -> Any:
        place.write("new", "name: Theirs\ntarget_models: [echo]\nprompt: x\n")
        return save(*args)

    with monkeypatch.context() as slow:
        slow.setattr(place.library, "save", late)
        assert (await api.put(f"{URL}/new", json=NEW | {"name": "Ours"})).json()["file"] == "conflict"
    (conflict,) = (await api.get("/api/v1/conflicts")).json()["conflicts"]
    assert {name: conflict[name] for name in ("key", "base", "ours", "theirs")} == {
        "key": "new",
        "base": 1,
        "ours": 2,
        "theirs": 3,
    }
    assert (await api.post(f"{URL}/new/resolve", json={"version": 2})).json()["version"] == 4
    assert (await api.get("/api/v1/conflicts")).json() == {"conflicts": []}
    assert (await api.post(f"{URL}/new/resolve", json={"version": 2})).status_code == 404


async def test_an_origin_that_is_shut_out_does_not_come_in_by_an_older_version(api: httpx.AsyncClient) -> None:
    page = {"origin": "https://page.example"}
    await api.put(f"{URL}/open", json=NEW | {"cors": ["https://page.example"]})
    assert (await api.get("/api/v1/run/open@1", headers=page)).status_code == 200
    await api.put(f"{URL}/open", json=NEW)
    assert (await api.get("/api/v1/run/open@1", headers=page)).status_code == 403


async def test_a_model_named_by_version(api: httpx.AsyncClient) -> None:
    for words in ("one", "two"):
        told = {"variables": {"text": {}}, "messages": [{"role": "user", "content": f"{words} {{{{text}}}}"}]}
        await api.put(f"{URL}/new", json=NEW | told)
    for reference, words in (("new@1", "one"), ("new@2", "two"), ("new", "two")):
        body = {"model": f"prompt:{reference}", "messages": [{"role": "user", "content": "hi"}]}
        answer = (await api.post("/v1/chat/completions", json=body)).json()
        assert answer["choices"][0]["message"]["content"] == f"{words} hi"
