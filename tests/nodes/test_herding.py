"""Our engine on another machine: here it is another process, which nobody of ours launched."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from herding.errors import MisconfiguredError, NodeError, UserError
from herding.nodes.herding import HerdingConfig, HerdingNode
from herding.values import Call, Message, Parameters, Request
from tests.engine.conftest import SECRET, start_engine
from tests.support.anyserver import anyserver
from tests.support.herding import ADMIN, Place
from tests.support.nodes import PATIENT
from tests.support.until import until

MODEL = "herding/cria"


@contextmanager
def started() -> Iterator[str]:
    """A running engine; its URL."""
    child = start_engine("--host", "127.0.0.1", "--port", "0", "--model", MODEL)
    try:
        yield child.url
    finally:
        child.client.close()
        child.process.send_signal(signal.SIGTERM)
        child.process.wait(20)
        child.output.close()


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    with started() as url:
        yield url


def node(url: str, secret: str | None = SECRET, **more: Any) -> HerdingNode:
    config = HerdingConfig(kind="herding", name="far", base_url=url, **{"deadlines": PATIENT, **more})
    return HerdingNode(config, secret=lambda name: secret if name == config.secret_env else None)


def call() -> Call:
    return Call("1", MODEL, (Message("user", "Hello! Who are you?"),))


async def until_ready(made: Any) -> None:
    async with asyncio.timeout(60):
        while (await made.status()).state != "ready":  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_it_serves_what_the_engine_has_loaded(engine: str) -> None:
    made = node(engine)
    assert made.serves == ()
    await made.start()
    await until_ready(made)
    assert (made.serves, made.offers) == ((MODEL,), (MODEL,))
    status = await made.status()
    assert status.system is not None
    size = await made.count(call())
    assert size is not None
    assert 0 < size[0] < size[1]
    chunks = [chunk async for chunk in made.stream(call())]
    assert "".join(chunk.text for chunk in chunks)
    assert chunks[-1].finish_reason is not None
    assert chunks[-1].usage is not None
    await made.close()


async def test_it_switches_to_what_the_engine_offers_and_to_nothing_else(engine: str) -> None:
    made = node(engine)
    await until_ready(made)
    steps = [step async for step in made.load(MODEL)]
    assert steps[-1].done
    with pytest.raises(UserError, match="can't load"):
        await anext(made.load("other-model"))
    await made.close()


async def test_a_wrong_secret_is_said_and_reaches_nothing(engine: str) -> None:
    made = node(engine, "wrong-secret")
    status = await made.status()
    assert (status.state, status.serves) == ("down", ())
    assert "rejected the secret" in status.detail
    with pytest.raises(MisconfiguredError):
        await anext(made.stream(call()))
    await made.close()


async def test_without_a_secret_it_is_off() -> None:
    made = node("http://127.0.0.1:9", None)
    await made.start()
    status = await made.status()
    assert (status.state, made.serves) == ("off", ())
    assert "HERDING_NODE_SECRET" in status.detail
    await made.close()


async def test_an_engine_that_is_away_is_down_and_something_else_is_no_engine() -> None:
    away = node("http://127.0.0.1:9")
    assert (await away.status()).state == "down"
    with pytest.raises(NodeError):
        await anext(away.stream(call()))
    await away.close()
    with anyserver() as server:
        for path in ("plain", "number", "object", "html", "endless"):
            other = node(f"{server.url}/{path}")
            assert (await other.status()).state == "down"
            await other.close()


@pytest.mark.parametrize("url", ["ftp://x", "http://a@b", "http://x:0", "http://x?y=1", "x"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL|port"):  # noqa: RUF043
        HerdingConfig(kind="herding", name="far", base_url=url)


@pytest.mark.slow
async def test_a_second_engine_comes_gets_traffic_and_goes_without_a_failed_request(place: Place, engine: str) -> None:
    registry = place.orchestrator.registry
    given = {"kind": "herding", "name": "first", "base_url": engine, "secret": SECRET}
    first = await registry.add(given, ADMIN)
    assert first.kind == "herding"
    await until_ready(place.herd["first"])
    with started() as url:
        await registry.add({**given, "name": "second", "base_url": url}, ADMIN)
        await until_ready(place.herd["second"])
        assert await registry.workers(ADMIN) == ((MODEL, engine), (MODEL, url))
        trial = await registry.test_call({**given, "base_url": url}, "Hello!", ADMIN)
        assert (trial.status, trial.error) == (200, None)
        assert "authorization: Bearer [key removed]" in trial.sent
        request = Request(model=MODEL, messages=(Message("user", "Hello! Who are you?"),))
        asked = [asyncio.create_task(place.orchestrator.pipeline.run(request, ADMIN)) for _ in range(12)]
        await until(lambda: place.herd.slots.load("second").running)
        await registry.remove("second", ADMIN)
        outcomes = await asyncio.gather(*asked)
        assert {outcome.node for outcome in outcomes} == {"first", "second"}
        assert {outcome.status for outcome in outcomes} == {"succeeded"}
        assert "second" not in place.herd
    assert (await place.orchestrator.pipeline.run(request, ADMIN)).node == "first"
    await registry.offline(MODEL, engine, ADMIN)
    assert await registry.workers(ADMIN) == ()


async def test_several_choices_prompts_and_token_ids(engine: str) -> None:
    made = node(engine)
    await until_ready(made)
    able = made.capabilities(MODEL)
    assert able.features == {"n", "prompts", "token_ids"}
    assert not able.takes("presence_penalty")
    two = Parameters(max_tokens=4, temperature=0, more={"n": 2})
    chunks = [chunk async for chunk in made.stream(replace(call(), parameters=two))]
    texts = {0: "", 1: ""}
    for chunk in chunks:
        texts[0] += chunk.text
        for choice in chunk.deltas:
            texts[choice.index] += choice.text
    assert texts[0]
    assert texts[0] == texts[1]
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    counted = await made.count(call())
    assert counted is not None
    assert (usage.input_tokens, usage.output_tokens) == (counted[0], 8)
    given = Parameters(max_tokens=3, more={"return_token_ids": True})
    raw = Call("2", MODEL, text="", prompts=((1, 2, 3), "Hello"), parameters=given)
    chunks = [chunk async for chunk in made.stream(raw)]
    ids: dict[int, list[int]] = {0: [], 1: []}
    for choice in (choice for chunk in chunks for choice in chunk.deltas):
        ids[choice.index] += choice.extra.get("token_ids", [])
    assert {len(found) for found in ids.values()} == {3}
    with pytest.raises(UserError, match="no tools"):
        await anext(made.stream(replace(call(), parameters=Parameters(more={"tools": [{"type": "function"}]}))))
    await made.close()
