"""Nodes that come, change and go while Herding runs."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from herding.access.encryption import Cipher
from herding.errors import AccessError, ConflictError, HerdingError, NodeError, NotFoundError, UserError
from herding.herd.fleet import Fleet
from herding.herd.registry import Registry
from herding.nodes.ssrf_guard import SsrfGuard
from herding.values import Delta, Done, Message, Principal, Request
from tests.support.anyserver import AnyServer, anyserver
from tests.support.fakenode import FakeNode
from tests.support.herding import ADMIN, GUEST, KEY, Place
from tests.support.people import principal
from tests.support.until import until

USER = principal("ada", "user")
SECRET = "sk-canary-0123456789"
BODY = {"input": "{USER_PROMPT}", "model_name": "{MODEL_NAME}"}


@pytest.fixture
def server() -> Iterator[AnyServer]:
    with anyserver() as running:
        yield running


@pytest.fixture
def registry(place: Place) -> Registry:
    return place.orchestrator.registry


def template(url: str, **more: Any) -> dict[str, Any]:
    return {"kind": "template", "name": "any", "models": ["chatglm2-6b"], "url": url, "body": BODY, **more}


def openai(url: str, **more: Any) -> dict[str, Any]:
    return {"kind": "openai", "name": "hosted", "models": ["ok"], "base_url": url, **more}


async def ask(place: Place, text: str = "hello", model: str = "chatglm2-6b", who: Principal = ADMIN) -> str:
    request = Request(model=model, messages=(Message("user", text),))
    return (await place.orchestrator.pipeline.run(request, who)).answer


async def again(place: Place, *, key: bytes = KEY, guard: SsrfGuard | None = None) -> Registry:
    """The registry after a restart."""
    fleet = Fleet({})
    made = Registry(fleet=fleet, store=place.store, cipher=Cipher(key), guard=guard or SsrfGuard(loopback=True))
    await made.load()
    return made


async def closed(made: Registry) -> None:
    for node in made._fleet.values():
        await node.close()


async def test_a_node_that_is_added_answers_at_once(place: Place, registry: Registry, server: AnyServer) -> None:
    info = await registry.add(template(f"{server.url}/api/generate"), ADMIN)
    assert (info.name, info.kind, info.status.state, info.status.serves) == (
        "any",
        "template",
        "ready",
        ("chatglm2-6b",),
    )
    assert await ask(place) == "You said: hello"
    assert registry.names(ADMIN) == {"any"}
    assert {node.name for node in await place.orchestrator.nodes.list_all(ADMIN)} == {"echo", "any"}


async def test_it_is_there_after_a_restart_with_its_secret(place: Place, registry: Registry, faulty: FakeNode) -> None:
    await registry.add(openai(faulty.url, secret=SECRET, models=["echo-headers"]), ADMIN)
    later = await again(place)
    node = later._fleet["hosted"]
    assert node.serves == ("echo-headers",)
    assert faulty.calls() == []
    assert "[key removed]" in await ask(place, model="echo-headers")
    assert faulty.calls()[0].headers["authorization"] == f"Bearer {SECRET}"
    await closed(later)


async def test_another_key_or_guard_leaves_it_off_with_words(
    place: Place, registry: Registry, faulty: FakeNode
) -> None:
    await registry.add(openai(faulty.url, secret=SECRET), ADMIN)
    for options, words in (({"key": b"j" * 32}, "Can't decrypt"), ({"guard": SsrfGuard()}, "HERDING_ALLOWED_HOSTS")):
        later = await again(place, **options)
        status = await later._fleet["hosted"].status()
        assert status.state == "off"
        assert words in status.detail
        assert later._fleet["hosted"].serves == ()
        await closed(later)


async def test_a_node_that_cannot_be_any_more_is_off_and_in_nobodys_way(
    place: Place, registry: Registry, server: AnyServer
) -> None:
    await registry.add(template(f"{server.url}/api/generate"), ADMIN)
    (kept,) = await place.store.nodes()
    config = openai("http://127.0.0.1:8000/v1?key=1", name="old")
    await place.store.add_node(replace(kept, name="old", kind="openai", config=config, at=kept.at + 1))
    later = await again(place)
    assert (await later._fleet["old"].status()).state == "off"
    assert await later.workers(ADMIN) == (("chatglm2-6b", f"{server.url}/api/generate"),)
    with pytest.raises(NotFoundError):
        await later.offline("ok", "http://127.0.0.1:8000/v1?key=1", ADMIN)
    await later.remove("old", ADMIN)
    assert later.names(ADMIN) == {"any"}
    await closed(later)


async def test_no_secret_is_kept_in_the_open_returned_or_logged(
    place: Place, registry: Registry, faulty: FakeNode, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    header = {"Authorization": f"Bearer {SECRET}"}
    told = [
        await registry.add(openai(faulty.url, secret=SECRET), ADMIN),
        await registry.add(template(faulty.url, headers=header), ADMIN),
        await registry.test_call(
            openai(f"{faulty.url}", name="x", secret=SECRET, models=["echo-headers"]), "hi", ADMIN
        ),
        await registry.test_call(openai(faulty.url, name="x", secret=SECRET, models=["status:500"]), SECRET, ADMIN),
        await registry.records(ADMIN),
        await registry.workers(ADMIN),
        await place.orchestrator.nodes.list_all(ADMIN),
    ]
    with pytest.raises(ConflictError) as caught:
        await registry.add(openai(faulty.url, secret=SECRET), ADMIN)
    assert SECRET not in repr(told) + str(caught.value) + caplog.text
    assert [record.sealed for record in await registry.records(ADMIN)] == [None, None]
    await place.store.close()
    assert not any(SECRET.encode() in file.read_bytes() for file in _files(tmp_path))


async def test_credentials_in_a_template_are_kept_as_secrets_wherever_they_are(
    place: Place, registry: Registry, server: AnyServer
) -> None:
    spec = template(f"{server.url}/headers", response_extract="answer") | {
        "headers": {"Authorization": "Bearer sk-in-header", "X-Auth": "auth-in-header", "X-Key-Version": "2"},
        "query": {"key": "key-in-query", "q": "plain"},
        "body": {"input": "{USER_PROMPT}", "deep": [{"api_key": "key-in-body", "stop_token": "###"}], "password": "pw"},
    }
    tried = await registry.test_call(spec, "sk-in-header is 2", ADMIN)
    assert tried.line.endswith("?key=[key removed]&q=plain")
    assert "authorization: Bearer [key removed]" in tried.sent
    assert json.loads(tried.body) == {
        "input": "[key removed] is 2",
        "deep": [{"api_key": "[key removed]", "stop_token": "###"}],
        "password": "pw",
    }
    await registry.add(spec, ADMIN)
    shown = repr(await registry.records(ADMIN))
    secrets = ("sk-in-header", "auth-in-header", "key-in-query", "key-in-body")
    assert not any(secret in shown for secret in secrets)
    assert "'X-Key-Version': '2'" in shown
    await ask(place)
    sent = server.asked[-1]
    assert (sent.headers["authorization"], sent.headers["x-auth"]) == ("Bearer sk-in-header", "auth-in-header")
    assert sent.query == {"key": "key-in-query", "q": "plain"}
    assert sent.body["deep"] == [{"api_key": "key-in-body", "stop_token": "###"}]


def _files(home: Path) -> list[Path]:
    return list(home.glob("herding.sqlite*"))


async def test_only_those_with_the_right_may(registry: Registry, server: AnyServer) -> None:
    spec = template(f"{server.url}/api/generate")
    await registry.add(spec, ADMIN)
    stranger = replace(ADMIN, nodes=("echo",))
    for who in (GUEST, USER):
        for work in _everything(registry, spec, who):
            with pytest.raises(AccessError):
                await work
    for work in (registry.remove("any", stranger), registry.update("any", spec, stranger)):
        with pytest.raises(NotFoundError):
            await work
    assert await registry.records(stranger) == ()
    assert registry.names(ADMIN) == {"any"}


def _everything(registry: Registry, spec: dict[str, Any], who: Principal) -> list[Any]:
    return [
        registry.add({**spec, "name": "b"}, who),
        registry.register(spec, "m", who),
        registry.update("any", spec, who),
        registry.remove("any", who),
        registry.offline("chatglm2-6b", spec["url"], who),
        registry.workers(who),
        registry.records(who),
        registry.test_call(spec, "hi", who),
    ]


HOSTED = {"kind": "openai", "name": "x", "base_url": "http://127.0.0.1:1", "models": ["m"]}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"kind": "local", "name": "x"}, "'kind' must be one of"),
    ({"kind": "echo", "name": "x"}, "'kind' must be one of"),
    ({**HOSTED, "speed": 1}, "speed: unknown field"),
    ({**HOSTED, "models": []}, "models, embedding_models or rerank_models"),
    ({**HOSTED, "name": "a b"}, "A node name"),
    ({**HOSTED, "models": ["m", "m"]}, "different models"),
    ({**HOSTED, "models": [" m"]}, "without spaces"),
    ({**HOSTED, "base_url": "http://10.0.0.1:1"}, "private network"),
    ({**HOSTED, "base_url": "http://a@10.0.0.1:1"}, "base_url"),
    ({**HOSTED, "base_url": "http://012.0.0.1/v1"}, "invalid host"),
    ({**HOSTED, "base_url": "http://a..b/v1"}, "invalid host"),
    ({**HOSTED, "base_url": "http://xn--zzzzzzzzz/v1"}, "invalid host"),
    (template("http://xn--zzzzzzzzz/v1"), "invalid host"),
    ({**HOSTED, "api_key_env": "HF_TOKEN"}, "nodes file"),
    ({**HOSTED, "secret": "abc"}, "4 to"),
    ({**HOSTED, "secret": "a\r\nX: b"}, "printable ASCII"),
    ({"kind": "herding", "name": "x", "base_url": "http://127.0.0.1:1"}, "secret"),
    ({"kind": "template", "name": "x", "models": ["m"], "url": "http://127.0.0.1:1", "body": {}}, "USER_PROMPT"),
    (template("http://127.0.0.1:1", headers={"X": "{SECRET:HF_TOKEN}"}), "HF_TOKEN' is missing"),
    (template("http://127.0.0.1:1", secrets={"a-b": "long enough"}), "Names of secrets"),
    (template("http://127.0.0.1:1", secrets="all"), "object with at most"),
    (template("http://127.0.0.1:1", owner=7), "owner"),
    (template("http://127.0.0.1:1", name="echo"), "already"),
    (template("http://127.0.0.1:1", response_extract="\ud800"), "half of a surrogate pair"),
    ({}, "'kind' must be one of"),
]


@pytest.mark.parametrize(("given", "words"), WRONG)
async def test_what_cannot_be_is_refused_with_words(place: Place, given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        await place.orchestrator.registry.add(given, ADMIN)
    assert await place.store.nodes() == ()
    assert set(place.herd) == {"echo"}


async def test_a_secret_of_the_environment_is_out_of_reach(
    place: Place, registry: Registry, server: AnyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("SECRET", SECRET)
    body = {**BODY, "a": "os.environ/HF_TOKEN", "b": "$(HF_TOKEN) ${HF_TOKEN}", "c": "{HF_TOKEN}"}
    await registry.add(template(f"{server.url}/api/generate", body=body), ADMIN)
    said = "{SECRET:HF_TOKEN} {SECRET} os.environ/HF_TOKEN"
    assert await ask(place, said) == f"You said: {said}"
    assert SECRET not in json.dumps([asked.body for asked in server.asked] + [asked.headers for asked in server.asked])


async def test_a_node_that_moves_must_get_its_secret_again(place: Place, registry: Registry, server: AnyServer) -> None:
    moved = f"{server.url}/headers"
    old = template("https://models.example/v1", headers={"X-Key": "{SECRET}"}, secret=SECRET)
    guarded = Registry(
        fleet=place.herd,
        store=place.store,
        cipher=Cipher(KEY),
        guard=SsrfGuard(loopback=True, resolve=_public),
    )
    await guarded.add(old, ADMIN)
    edited = template(moved, headers={"X-Key": "{SECRET}"})
    for work in (guarded.update("any", edited, ADMIN), guarded.test_call(edited, "hi", ADMIN)):
        with pytest.raises(UserError, match="Enter the secret for the new URL") as caught:
            await work
        assert caught.value.param == "secret"
    assert server.asked == []
    await guarded.update("any", template("https://models.example/v2", headers={"X-Key": "{SECRET}"}), ADMIN)
    assert guarded._decrypt(guarded._records["any"]) == {"SECRET": SECRET}
    await guarded.update("any", template(moved, secret=""), ADMIN)
    await ask(place)
    assert SECRET not in json.dumps(server.asked[0].headers)


async def _public(host: str, port: int, _: Any) -> list[Any]:
    return [{"hostname": host, "host": "93.184.215.14", "port": port, "family": 2, "proto": 0, "flags": 0}]


async def test_a_row_that_was_moved_in_the_database_has_no_secret(
    place: Place, registry: Registry, faulty: FakeNode
) -> None:
    await registry.add(openai("http://127.0.0.1:9/v1", secret=SECRET), ADMIN)
    (record,) = await place.store.nodes()
    await place.store.update_node(
        replace(record, config={**record.config, "base_url": faulty.url}, origin=faulty.url.removesuffix("/v1"))
    )
    later = await again(place)
    assert (await later._fleet["hosted"].status()).state == "off"
    assert faulty.seen == []
    await closed(later)


async def test_a_change_takes_effect_and_keeps_the_name(place: Place, registry: Registry, server: AnyServer) -> None:
    await registry.add(template(f"{server.url}/api/generate"), ADMIN)
    await registry.update("any", template(f"{server.url}/number", response_extract="answer"), ADMIN)
    assert await ask(place) == "42"
    with pytest.raises(UserError, match="can't be changed"):
        await registry.update("any", openai(server.url), ADMIN)
    with pytest.raises(NotFoundError):
        await registry.update("echo", template(server.url), ADMIN)
    assert await ask(place) == "42"


async def test_requests_that_come_during_a_change_wait_for_the_node_as_it_will_be(
    place: Place, registry: Registry, server: AnyServer
) -> None:
    await registry.add(template(f"{server.url}/slow/0.5"), ADMIN)
    asked = [asyncio.create_task(ask(place))]
    while not server.asked:  # noqa: ASYNC110 (another thread's list)
        await asyncio.sleep(0.01)
    change = asyncio.create_task(registry.update("any", template(f"{server.url}/number"), ADMIN))
    while place.herd.takes("any"):  # noqa: ASYNC110 (there is no event for it)
        await asyncio.sleep(0)
    asked += [asyncio.create_task(ask(place)) for _ in range(5)]
    await change
    assert await asyncio.gather(*asked) == ["You said: hello"] + ['{"answer":42}'] * 5
    assert [event.kind for event in place.herd.events.latest()] == ["changed", "added"]


async def test_a_node_goes_when_its_requests_are_over(place: Place, registry: Registry, server: AnyServer) -> None:
    await registry.add(template(f"{server.url}/slow/0.5"), ADMIN)
    running = asyncio.create_task(ask(place))
    await until(lambda: server.asked)
    await registry.remove("any", ADMIN)
    assert await running == "You said: hello"
    assert set(place.herd) == {"echo"}
    assert await place.store.nodes() == ()
    with pytest.raises(HerdingError):
        await ask(place)
    with pytest.raises(NotFoundError):
        await registry.remove("any", ADMIN)


async def test_a_node_of_the_file_is_not_the_registrys(registry: Registry) -> None:
    with pytest.raises(NotFoundError, match="added at run time"):
        await registry.remove("echo", ADMIN)


async def test_one_model_at_several_urls_is_several_nodes(place: Place, registry: Registry, server: AnyServer) -> None:
    given = {"kind": "template", "url": f"{server.url}/api/generate", "body": BODY}
    first = await registry.register(given, "org/chat glm", ADMIN)
    second = await registry.register({**given, "url": f"{server.url}/plain"}, "org/chat glm", ADMIN)
    assert (first.name, second.name) == ("org-chat-glm", "org-chat-glm-1")
    with pytest.raises(ConflictError, match=r"LLM\(model_name\(org/chat glm\), url=.*\) has registered!"):
        await registry.register(given, "org/chat glm", ADMIN)
    await asyncio.gather(*(ask(place, model="org/chat glm") for _ in range(20)))
    assert {asked.path for asked in server.asked} == {"/api/generate", "/plain"}
    assert await registry.workers(ADMIN) == (("org/chat glm", given["url"]), ("org/chat glm", f"{server.url}/plain"))
    await registry.offline("org/chat glm", given["url"], ADMIN)
    assert await registry.workers(ADMIN) == (("org/chat glm", f"{server.url}/plain"),)
    with pytest.raises(NotFoundError, match=r"No llm worker to remove\."):
        await registry.offline("org/chat glm", given["url"], ADMIN)


async def test_offline_takes_one_model_off_no_node_that_has_more(registry: Registry, server: AnyServer) -> None:
    await registry.add(template(server.url, models=["a", "b"]), ADMIN)
    with pytest.raises(UserError, match="serves more models"):
        await registry.offline("a", server.url, ADMIN)
    with pytest.raises(UserError, match="Send model_name"):
        await registry.offline("", "", ADMIN)


async def test_a_test_call_tells_all_and_leaves_nothing(place: Place, registry: Registry, server: AnyServer) -> None:
    spec = template(f"{server.url}/nested", response_extract="data.items[].attributes.answer", secret=SECRET)
    spec["headers"] = {"X-Key": "{SECRET}"}
    told = await registry.test_call(spec, "who are you?", ADMIN)
    assert told.line == f"POST {server.url}/nested"
    assert "x-key: [key removed]" in told.sent
    assert json.loads(told.body) == {"input": "who are you?", "model_name": "chatglm2-6b"}
    assert told.status == 200
    assert "content-type: application/json" in told.received
    assert json.loads(told.answer)["code"] == "200"
    assert (told.extracted, told.error) == ("You said: who are you?", None)
    assert told.milliseconds > 0
    assert await place.rows() == []
    assert registry.names(ADMIN) == frozenset()
    assert await place.store.nodes() == ()


FAILING = {
    "html": (200, "text/html", ""),
    "error-in-200": (200, "The GPU is on fire", "GPU"),
    "status/500": (500, "HTTP 500", "as asked"),
    "endless": (200, "too long", "blah"),
    "redirect": (307, "redirect", ""),
}


@pytest.mark.parametrize("path", FAILING)
async def test_a_test_call_that_fails_says_why(registry: Registry, server: AnyServer, path: str) -> None:
    status, error, answer = FAILING[path]
    told = await registry.test_call(template(f"{server.url}/{path}"), "hi", ADMIN)
    assert told.status == status
    assert error in str(told.error)
    assert answer in told.answer
    assert len(told.answer) < 20_000


async def test_a_test_call_to_nobody_has_no_status(registry: Registry) -> None:
    told = await registry.test_call(template("http://127.0.0.1:9/x"), "hi", ADMIN)
    assert told.status is None
    assert "Can't reach" in str(told.error)
    with pytest.raises(UserError, match="may not use"):
        await registry.test_call(template("http://169.254.169.254/latest"), "hi", ADMIN)


async def test_whoever_leaves_does_not_stop_a_change(registry: Registry, server: AnyServer) -> None:
    task = asyncio.create_task(registry.add(template(f"{server.url}/api/generate"), ADMIN))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: "any" in registry.names(ADMIN))


async def test_a_broken_node_fails_with_its_own_words(place: Place, registry: Registry, server: AnyServer) -> None:
    await registry.add(template(f"{server.url}/html"), ADMIN)
    with pytest.raises(NodeError, match="text/html"):
        await ask(place)


async def test_users_in_turns_get_their_own_answers(place: Place, registry: Registry, server: AnyServer) -> None:
    await registry.add(template(f"{server.url}/api/generate"), ADMIN)

    async def one(name: str, number: int) -> None:
        said = f"{name} {number} {{MODEL_NAME}}"
        assert await ask(place, said, who=principal(name, "user")) == f"You said: {said}"

    await asyncio.gather(*(one(name, number) for number in range(100) for name in ("ada", "bob")))


async def test_a_stream_is_cut_by_the_reader(place: Place, registry: Registry, server: AnyServer) -> None:
    await registry.add(template(f"{server.url}/sse", stream="sse", response_extract="piece"), ADMIN)
    request = Request(model="chatglm2-6b", messages=(Message("user", "a b c"),))
    async with aclosing(place.orchestrator.pipeline.stream(request, ADMIN)) as events:
        found = [event async for event in events]
    assert len([event for event in found if isinstance(event, Delta)]) >= 3
    assert isinstance(found[-1], Done)
