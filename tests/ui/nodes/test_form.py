"""Nodes that are added, tried and removed in the tab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field
from starlette.datastructures import FormData, QueryParams

from herding.api.native.nodes import NodeRequest
from herding.errors import AccessError, ConflictError, NotFoundError, UserError
from herding.nodes.catalog import REMOTE_KINDS
from herding.nodes.template import TemplateConfig
from herding.ui.kit.views import Call
from herding.ui.nodes.form import EXAMPLE, read_node
from herding.values import Message, Request
from tests.support.anyserver import AnyServer, anyserver
from tests.support.herding import ADMIN, GUEST
from tests.ui.conftest import HOSTILE_TEXT, Desktop, opened

SECRET = "sk-canary-0123456789"


@pytest.fixture
def server() -> Iterator[AnyServer]:
    with anyserver() as running:
        yield running


def given(url: str, template: str = EXAMPLE, **fields: str) -> dict[str, str]:
    """The form of a template node as somebody fills it."""
    return {"kind": "template", "name": "mine", "url": url, "models": "chatglm2-6b", "template": template, **fields}


def call(**fields: str) -> Call:
    return Call(ADMIN, {}, QueryParams(), FormData(fields))


def test_the_example_is_a_template_that_works() -> None:
    found = read_node(call(**given(" http://127.0.0.1:8008/x ", models="a, b\nc,")))
    assert found["models"] == ["a", "b", "c"]
    assert found["url"] == "http://127.0.0.1:8008/x"
    assert found["body"]["input"] == "{USER_PROMPT}"
    assert (found["method"], found["stream"], found["headers"]) == ("POST", False, {})
    assert "secret" not in found


def test_the_other_kinds_have_no_template() -> None:
    fields = {"name": "a", "models": "m", "secret": "key", "template": EXAMPLE}
    assert read_node(call(kind="openai", url="http://x/v1", **fields)) == {
        "kind": "openai",
        "name": "a",
        "base_url": "http://x/v1",
        "models": ["m"],
        "secret": "key",
    }
    assert read_node(call(kind="herding", url="http://x", **fields)) == {
        "kind": "herding",
        "name": "a",
        "base_url": "http://x",
        "secret": "key",
    }


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("body: [", "Fix the template, line 1: not valid YAML"),
        ("- a", "The template must be a YAML map"),
        ("", "The template must be a YAML map"),
        ("url: http://x", "Remove 'url'"),
        ("body: {a: 1, a: 2}", "given twice"),
    ],
)
def test_a_template_that_is_none_is_named(template: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_node(call(**given("http://x", template)))


async def test_the_form_is_there_for_those_who_may_add_nodes(desktop: Desktop) -> None:
    assert 'id="node-name"' not in await desktop.get("nodes", who=GUEST)
    assert 'id="node-name"' in await desktop.get("nodes")


async def test_a_kind_has_its_fields_and_keeps_what_was_entered(desktop: Desktop) -> None:
    for kind, models, template in (("template", True, True), ("herding", False, False), ("openai", True, False)):
        shown = await desktop.get("nodes/fields", kind=kind, url="http://kept", models="a, b")
        assert ('name="models"' in shown) is models
        assert ('name="template"' in shown) is template
        assert "http://kept" in shown
        assert ("a, b" in shown) is models


async def test_a_test_call_shows_the_exchange_without_the_secret(desktop: Desktop, server: AnyServer) -> None:
    template = 'headers: {X-Key: "{SECRET}"}\nbody: {input: "{USER_PROMPT}"}\nresponse_extract: answer\n'
    fields = given(f"{server.url}/headers", template, secret=SECRET, prompt=HOSTILE_TEXT)
    shown = (await desktop.post("nodes/test", **fields)).html
    assert server.asked[0].headers["x-key"] == SECRET
    assert f"POST {server.url}/headers" in shown
    assert "x-key: [key removed]" in shown
    assert "HTTP 200" in shown
    assert SECRET not in shown
    assert "<script>" not in shown
    assert set(desktop.place.orchestrator.registry.names(ADMIN)) == set()


async def test_a_test_call_that_fails_says_why(desktop: Desktop, server: AnyServer) -> None:
    shown = await desktop.post("nodes/test", **given(f"{server.url}/html"))
    assert "text/html instead of text" in shown
    assert "Please log in" in shown
    with pytest.raises(UserError, match="HERDING_ALLOWED_HOSTS"):
        await desktop.post("nodes/test", **given("http://10.0.0.1/x"))


async def test_a_node_is_added_has_a_card_and_is_removed(desktop: Desktop, server: AnyServer) -> None:
    place = desktop.place
    told = await desktop.post("nodes", **given(f"{server.url}/api/generate", secret=SECRET))
    assert told.told["notice"] == "mine (HTTP template) added. State: ready."
    assert "chatglm2-6b" not in told  # the fields are empty again
    assert SECRET not in told
    shown = await desktop.get("nodes/live")
    assert "<h2>mine</h2>" in shown
    assert shown.html.count(">Remove node<") == 1
    request = Request(model="chatglm2-6b", messages=(Message("user", "hi"),))
    assert (await place.orchestrator.pipeline.run(request, ADMIN)).answer == "You said: hi"
    assert "<h2>mine</h2>" not in await desktop.delete("nodes/mine")
    assert place.orchestrator.registry.names(ADMIN) == frozenset()


async def test_a_node_that_was_added_is_changed_and_keeps_its_secret(desktop: Desktop, server: AnyServer) -> None:
    template = 'headers: {X-Key: "{SECRET}"}\nbody: {input: "{USER_PROMPT}"}\nresponse_extract: answer\n'
    await desktop.post("nodes", **given(f"{server.url}/headers", template, secret=SECRET))
    shown = (await desktop.get("nodes/mine/form")).html
    assert SECRET not in shown
    assert "X-Key: &#x27;&#123;SECRET&#125;&#x27;" in shown
    assert f'value="{server.url}/headers"' in shown
    assert (await desktop.get("nodes/mine/form", close="1")).html == ""
    changed = given(f"{server.url}/headers", template, models="chatglm2-6b, chatglm3", name="other name")
    told = await desktop.post("nodes/mine/save", **changed)
    assert told.told["notice"] == "mine saved."
    assert ">chatglm3<" in told
    request = Request(model="chatglm3", messages=(Message("user", "hi"),))
    await desktop.place.orchestrator.pipeline.run(request, ADMIN)
    assert server.asked[-1].headers["x-key"] == SECRET


async def test_fields_that_the_form_has_not_stay(desktop: Desktop, server: AnyServer) -> None:
    fields = {"kind": "openai", "name": "kept", "base_url": f"{server.url}/v1", "models": ["a"], "context_length": 99}
    await desktop.place.orchestrator.registry.add({**fields, "stream": False, "owner": "Ada"}, ADMIN)
    await desktop.post("nodes/kept/save", kind="openai", name="kept", url=f"{server.url}/v1", models="b")
    (record,) = await desktop.place.orchestrator.registry.records(ADMIN)
    assert (record.config["models"], record.config["context_length"], record.owner) == (["b"], 99, "Ada")
    assert record.config["stream"] is False


class LlamaConfig(TemplateConfig):
    """A kind with a field of its own."""

    label = "Llama server"
    key_help = ""

    kind: Literal["llama"]  # type: ignore[assignment]
    keep_minutes: int = Field(default=5, title="Keep", description="Minutes that the model stays loaded")


async def test_a_new_kind_needs_its_class_alone(
    desktop: Desktop, server: AnyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REMOTE_KINDS, "llama", LlamaConfig)
    assert '<option value="llama">Llama server</option>' in await desktop.get("nodes")
    shown = await desktop.get("nodes/fields", kind="llama")
    assert "Minutes that the model stays loaded" in shown
    assert 'name="secret"' not in shown
    fields = {"kind": "llama", "name": "own", "url": f"{server.url}/x?p={{USER_PROMPT}}", "models": "m"}
    await desktop.post("nodes", **fields, keep_minutes="30")
    assert 'value="30"' in await desktop.get("nodes/own/form")
    await desktop.post("nodes/own/save", **fields, keep_minutes="")
    (record,) = await desktop.place.orchestrator.registry.records(ADMIN)
    assert record.config["keep_minutes"] == 5
    schema = NodeRequest.model_json_schema()["properties"]["keep_minutes"]
    assert (schema["type"], schema["description"]) == ("integer", "for llama")


async def test_what_cannot_be_added_changed_or_removed_says_why(desktop: Desktop, server: AnyServer) -> None:
    with pytest.raises(ConflictError, match="already exists"):
        await desktop.post("nodes", **given(f"{server.url}/x", name="echo"))
    for path in ("nodes", "nodes/test"):
        with pytest.raises(UserError, match='Fix "URL": a URL begins with'):
            await desktop.post(path, kind="openai", name="mine", url="127.0.0.1:8000", models="a")
    with pytest.raises(NotFoundError, match="added at run time"):
        await desktop.delete("nodes/echo")
    with pytest.raises(NotFoundError, match="Change it in the nodes file"):
        await desktop.get("nodes/echo/form")


async def test_others_may_not(desktop: Desktop, server: AnyServer) -> None:
    for path in ("nodes", "nodes/test", "nodes/echo/save"):
        with pytest.raises(AccessError):
            await desktop.post(path, who=GUEST, **given(f"{server.url}/api/generate"))
    for path in ("nodes/fields", "nodes/echo/form"):
        with pytest.raises(AccessError):
            await desktop.get(path, who=GUEST)
    with pytest.raises(AccessError):
        await desktop.delete("nodes/echo", who=GUEST)
    assert server.asked == []
    with pytest.raises(AccessError):
        await desktop.place.orchestrator.registry.remove("echo", GUEST)


async def test_a_node_that_was_added_is_in_the_tab_after_a_restart(tmp_path: Path, server: AnyServer) -> None:
    async with opened(tmp_path) as first:
        await first.post("nodes", **given(f"{server.url}/api/generate"))
    async with opened(tmp_path) as again:
        await again.place.orchestrator.registry.load()
        assert "<h2>mine</h2>" in await again.get("nodes")
