"""Nodes that are added, tried and removed in the tab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from herding.errors import AccessError, UserError
from herding.ui.nodes.form import EXAMPLE, read_node
from herding.values import Message, Request
from tests.support.anyserver import AnyServer, anyserver
from tests.support.herding import ADMIN, GUEST
from tests.ui.conftest import HOSTILE_TEXT, Desktop, Served, opened

SECRET = "sk-canary-0123456789"


@pytest.fixture
def server() -> Iterator[AnyServer]:
    with anyserver() as running:
        yield running


def fill(desktop: Desktop, url: str, template: str = EXAMPLE, **fields: str) -> None:
    """A person fills the form for a template node."""
    form = desktop.page.nodes.form
    given = {"kind": "template", "name": "mine", "url": url, "models": "chatglm2-6b", "secret": "", **fields}
    for name, value in given.items():
        desktop.set(getattr(form, name), value)
    desktop.set(form.template, template)


def test_the_example_is_a_template_that_works() -> None:
    found = read_node(["template", "mine", " http://127.0.0.1:8008/x ", "a, b\nc,", "", EXAMPLE])
    assert found["models"] == ["a", "b", "c"]
    assert found["url"] == "http://127.0.0.1:8008/x"
    assert found["body"]["input"] == "{USER_PROMPT}"
    assert (found["method"], found["stream"], found["headers"]) == ("POST", False, {})
    assert "secret" not in found


def test_the_other_kinds_have_no_template() -> None:
    assert read_node(["openai", "a", "http://x/v1", "m", "key", EXAMPLE]) == {
        "kind": "openai",
        "name": "a",
        "base_url": "http://x/v1",
        "models": ["m"],
        "secret": "key",
    }
    assert read_node(["herding", "a", "http://x", "m", "key", None]) == {
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
        read_node(["template", "a", "http://x", "m", "", template])


async def test_the_form_is_there_for_those_who_may_add_nodes(desktop: Desktop) -> None:
    form = desktop.page.nodes.form
    await desktop.fire("watch", who=GUEST)
    assert desktop.prop(form.box, "visible") is False
    await desktop.fire("watch_on")
    assert desktop.prop(form.box, "visible") is True
    await desktop.fire("watch_on", who=GUEST)
    assert desktop.prop(form.box, "visible") is False


async def test_a_kind_has_its_fields(desktop: Desktop) -> None:
    form = desktop.page.nodes.form
    for kind, models, template in (("template", True, True), ("herding", False, False), ("openai", True, False)):
        desktop.set(form.kind, kind)
        await desktop.fire("node_kind")
        assert desktop.prop(form.models, "visible") is models
        assert desktop.prop(form.template, "visible") is template


async def test_a_test_call_shows_the_exchange_without_the_secret(desktop: Desktop, server: AnyServer) -> None:
    template = 'headers: {X-Key: "{SECRET}"}\nbody: {input: "{USER_PROMPT}"}\nresponse_extract: answer\n'
    fill(desktop, f"{server.url}/headers", template, secret=SECRET)
    desktop.set(desktop.page.nodes.form.prompt, HOSTILE_TEXT)
    await desktop.fire("node_test")
    form = desktop.page.nodes.form
    shown = str(desktop.value(form.exchange))
    assert server.asked[0].headers["x-key"] == SECRET
    assert f"POST {server.url}/headers" in shown
    assert "x-key: [key removed]" in shown
    assert "HTTP 200" in shown
    assert SECRET not in shown
    assert "<script>" not in shown
    assert desktop.prop(form.test, "interactive") is True
    assert set(desktop.place.orchestrator.registry.names(ADMIN)) == set()


async def test_a_test_call_that_fails_says_why(desktop: Desktop, server: AnyServer) -> None:
    form = desktop.page.nodes.form
    fill(desktop, f"{server.url}/html")
    await desktop.fire("node_test")
    assert "text/html instead of text" in str(desktop.value(form.exchange))
    assert "Please log in" in str(desktop.value(form.exchange))
    fill(desktop, "http://10.0.0.1/x")
    await desktop.fire("node_test")
    assert "HERDING_ALLOWED_HOSTS" in str(desktop.value(form.note))
    assert str(desktop.value(form.exchange)) == ""


async def test_a_node_is_added_has_a_card_and_is_removed(desktop: Desktop, server: AnyServer) -> None:
    nodes, place = desktop.page.nodes, desktop.place
    await desktop.fire("watch")
    fill(desktop, f"{server.url}/api/generate", secret=SECRET)
    await desktop.fire("node_add")
    assert "mine (Any HTTP API (template)) added. State: ready." in str(desktop.value(nodes.form.note))
    assert desktop.value(nodes.form.secret) == ""
    await desktop.fire("watch_on")
    assert "mine" in str(desktop.value(nodes.slots[4].card))
    seen = [desktop.prop(slot.remove.box, "visible") for slot in nodes.slots[:5]]
    assert seen == [False, False, False, False, True]
    request = Request(model="chatglm2-6b", messages=(Message("user", "hi"),))
    assert (await place.orchestrator.pipeline.run(request, ADMIN)).answer == "You said: hi"
    await desktop.fire("nodes_remove_4")
    assert place.orchestrator.registry.names(ADMIN) == frozenset()
    assert desktop.prop(nodes.slots[4].remove.box, "visible") is False
    await desktop.fire("watch_on")
    assert desktop.prop(nodes.slots[4].box, "visible") is False


async def test_a_refresh_leaves_the_question_open(desktop: Desktop, server: AnyServer) -> None:
    fill(desktop, f"{server.url}/api/generate")
    await desktop.fire("node_add")
    await desktop.fire("watch")
    await desktop.fire("nodes_remove_4_ask")
    await desktop.fire("watch_on")
    remove = desktop.page.nodes.slots[4].remove
    assert (desktop.prop(remove.box, "visible"), desktop.prop(remove.row, "visible")) == (True, True)


async def test_what_cannot_be_added_or_removed_says_why(desktop: Desktop, server: AnyServer) -> None:
    form = desktop.page.nodes.form
    fill(desktop, f"{server.url}/x", name="echo")
    await desktop.fire("node_add")
    assert "already" in str(desktop.value(form.note))
    assert desktop.value(form.name) == "echo"
    await desktop.fire("watch")
    await desktop.fire("nodes_remove_0")
    assert "added at run time" in str(desktop.value(desktop.page.nodes.slots[0].progress))
    with pytest.raises(UserError, match="Node not found"):
        await desktop.fire("nodes_remove_11")


async def test_others_may_not(desktop: Desktop, server: AnyServer) -> None:
    fill(desktop, f"{server.url}/api/generate")
    await desktop.fire("node_add", who=GUEST)
    await desktop.fire("node_test", who=GUEST)
    assert "lacks the right" in str(desktop.value(desktop.page.nodes.form.note))
    assert server.asked == []
    with pytest.raises(AccessError):
        await desktop.place.orchestrator.registry.remove("echo", GUEST)


def test_the_server_refuses_the_events_of_a_guest(served: Served) -> None:
    for name in ("node_add", "node_test", "node_kind", "nodes_remove_0", "nodes_remove_0_ask"):
        assert served.fire(served.id_of(name), served.data(name))["success"] is False


async def test_a_node_that_was_added_is_in_the_tab_after_a_restart(tmp_path: Path, server: AnyServer) -> None:
    async with opened(tmp_path) as first:
        fill(first, f"{server.url}/api/generate")
        await first.fire("node_add")
    async with opened(tmp_path) as again:
        await again.place.orchestrator.registry.load()
        await again.fire("watch")
        assert "mine" in str(again.value(again.page.nodes.slots[4].card))
