"""Servers that speak HTTP and events as few do, and legally, and some that never come to an end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from herding.errors import (
    MAX_RETRY_AFTER,
    BadResponseError,
    DeadlineError,
    HerdingError,
    NodeBusyError,
    StreamInterruptedError,
)
from herding.herd.node_call import NodeCall
from herding.nodes import http
from herding.nodes import openai as openai_node
from herding.nodes.base import Node
from herding.nodes.engine import client as engine_client
from herding.nodes.engine.status import read_status
from herding.nodes.herding import HerdingConfig, HerdingNode
from herding.nodes.responses.sse import data_lines, event_data, text_lines
from herding.nodes.template import TemplateConfig, TemplateNode
from herding.values import Call, Chunk, Message
from tests.support.nodes import PATIENT, openai
from tests.support.raw import saying

LONG = 60.0
HELLO = (Message("user", "hello"),)
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
BOM = b"\xef\xbb\xbf"
DONE = b"data: [DONE]\n\n"


def event(**choice: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


GOOD = event(delta={"content": "Good"}) + event(delta={"content": " day"}, finish_reason="stop")


async def answer(node: Node) -> list[Chunk]:
    """All chunks of a call, within its deadlines."""
    running = NodeCall(node, Call("1", "ok", HELLO))
    try:
        async with asyncio.timeout(LONG):
            return [chunk async for chunk in running.chunks()]
    finally:
        await running.close()
        await node.close()


async def text_of(*said: bytes) -> str:
    """What an OpenAI node makes of an answer."""
    async with saying(*said) as url:
        return "".join(chunk.text for chunk in await answer(openai(url)))


async def failure_of(*said: bytes) -> HerdingError:
    with pytest.raises(HerdingError) as caught:
        await text_of(*said)
    return caught.value


def templated(url: str, **more: Any) -> TemplateNode:
    config: dict[str, Any] = {"body": {"q": "{USER_PROMPT}"}, "response_extract": "answer", **more}
    made = TemplateConfig(kind="template", name="any", models=["ok"], url=url, deadlines=PATIENT, **config)
    return TemplateNode(made, secret=lambda _: None)


# Heads


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 201 Created\r\nContent-Type: text/event-stream\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=UTF-8\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: Identity\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding:\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + EVENTS,
        b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    ],
)
async def test_heads_that_are_as_good_as_the_usual_one(head: bytes) -> None:
    assert await text_of(head, GOOD + DONE) == "Good day"


@pytest.mark.parametrize("status", [b"202 Accepted", b"204 No Content", b"206 Partial Content"])
async def test_a_success_without_an_answer_is_none(status: bytes) -> None:
    error = await failure_of(b"HTTP/1.1 " + status + b"\r\n\r\n")
    assert isinstance(error, BadResponseError)


async def test_a_template_takes_an_answer_that_was_created() -> None:
    head = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n\r\n"
    async with saying(head, b'{"answer": "made"}') as url:
        assert (await answer(templated(url)))[0].text == "made"
    async with saying(b"HTTP/1.1 204 No Content\r\n\r\n") as url:
        with pytest.raises(BadResponseError, match="empty response"):
            await answer(templated(url))


async def test_text_that_is_called_a_page_is_text_and_a_page_is_none() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    async with saying(head, b'{"answer": "made"}') as url:
        assert (await answer(templated(url)))[0].text == "made"
    async with saying(head, b"3 < 4") as url:
        assert (await answer(templated(url, response_extract="")))[0].text == "3 < 4"
    async with saying(head, b"\n<!doctype html>") as url:
        with pytest.raises(BadResponseError, match="text/html instead of text"):
            await answer(templated(url, response_extract=""))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (b"12.5", 12.5),
        (b"9" * 400, MAX_RETRY_AFTER),
        (b"Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER),
        (b"Sat, 01 Jan 2000 00:00:00 GMT", 0),
        (b"-7", 0),
        (b"1.2.3", None),
        (b"soon", None),
    ],
)
async def test_how_long_a_node_wants_to_rest(said: bytes, seconds: float | None) -> None:
    head = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nRetry-After: " + said + b"\r\n\r\n"
    error = await failure_of(head)
    assert isinstance(error, NodeBusyError)
    assert error.retry_after == seconds


# Events


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("start", [b"", BOM])
async def test_lines_end_as_the_standard_allows(start: bytes, end: bytes) -> None:
    whole = start + (GOOD + DONE).replace(b"\n", end)
    assert await text_of(EVENTS, whole) == "Good day"
    assert await text_of(EVENTS, *[whole[at : at + 1] for at in range(len(whole))]) == "Good day"


async def test_usage_alone_is_no_answer() -> None:
    counts = b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 0}}\n\n'
    error = await failure_of(EVENTS, counts + DONE)
    assert isinstance(error, BadResponseError)
    assert "empty response" in error.message
    assert await text_of(EVENTS, counts + GOOD + DONE) == "Good day"
    assert await text_of(EVENTS, event(delta={}, finish_reason="stop") + DONE) == ""  # it has nothing to say


async def test_text_may_come_in_parts() -> None:
    parts: list[Any] = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Good"}, "?", {"type": "text"}]
    assert await text_of(EVENTS, event(delta={"content": parts}, finish_reason="stop")) == "Good"


async def test_an_empty_reason_is_no_end() -> None:
    begun = event(delta={"content": "Good"}, finish_reason="") + event(delta={"content": " da"}, finish_reason="")
    assert isinstance(await failure_of(EVENTS, begun), StreamInterruptedError)
    assert await text_of(EVENTS, begun + event(delta={"content": "y"}, finish_reason="stop")) == "Good day"


async def bytes_of(*parts: bytes) -> AsyncGenerator[bytes, None]:
    for part in parts:
        yield part


def singly(whole: bytes) -> AsyncGenerator[bytes, None]:
    return bytes_of(*[whole[at : at + 1] for at in range(len(whole))])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_plain_events_keep_their_lines(end: str) -> None:
    whole = BOM + "data: one\ndata:  two\n\ndata:\n\ndata: three\n\n".replace("\n", end).encode()
    expected = ["one\n two", "", "three"]
    assert [data async for data in event_data(bytes_of(whole))] == expected
    assert [data async for data in event_data(singly(whole))] == expected


async def test_a_mark_at_the_beginning_hides_no_line() -> None:
    for lines in (data_lines(bytes_of(BOM + b"data: 1\ndata: 2")), text_lines(singly(BOM + b"1\r2"))):
        assert [line async for found in lines for line in found] == ["1", "2"]
    assert [found async for found in text_lines(bytes_of(BOM + b"1"))] == [["1"]]


# What never ends


async def test_a_deadline_is_for_the_whole_exchange() -> None:
    with pytest.raises(DeadlineError) as caught:
        async with http.within(0.05, node="n"):
            await asyncio.sleep(LONG)
    assert caught.value.node == "n"


@pytest.mark.slow
async def test_a_list_of_models_that_drips_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_node, "PROBE_TIMEOUT", 1.0)
    async with saying(b"HTTP/1.1 200 OK\r\nX-Slow:", drips=True) as url, asyncio.timeout(LONG):
        node = openai(url)
        status = await node.status()
        await node.close()
    assert status.state == "down"
    assert "in time" in status.detail


READY: dict[str, Any] = {"state": "ready", "model": "far/m", "models": [{"id": "far/m", "state": "loaded"}]}


@pytest.mark.parametrize(
    "told",
    [
        {"model": {"a": 1}},
        {"model": 5},
        {"state": ["ready"]},
        {"loading": ["x"]},
        {"progress": "half"},
        {"error": {"a": 1}},
        {"active": "many"},
        {"system": {"gpus": 5}},
        {"system": [1]},
    ],
)
async def test_what_tells_of_itself_otherwise_is_no_engine(told: dict[str, Any]) -> None:
    with pytest.raises(BadResponseError, match="not a Herding engine"):
        read_status(READY | told, node="far", offers=())
    assert read_status(READY | {"system": {}, "news": 1}, node="far", offers=()).serves == ("far/m",)


@pytest.mark.parametrize("said", [b'{"models": [{"id": 5}]}', b'{"models": [{"id": {}}]}', b'{"models": 5}', b"[]"])
async def test_a_list_of_models_that_is_none(said: bytes) -> None:
    async with saying(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", said) as url:
        node = HerdingNode(HerdingConfig(kind="herding", name="far", base_url=url), secret=lambda _: "a-secret")
        status = await node.status()
        assert (status.state, status.offers, node.offers) == ("down", (), ())
        await node.close()


async def test_counts_that_are_none_are_an_error_of_the_node() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    async with saying(head, b'{"input_tokens": "7", "context_length": 4096}') as url:
        node = HerdingNode(HerdingConfig(kind="herding", name="far", base_url=url), secret=lambda _: "a-secret")
        with pytest.raises(BadResponseError, match="not a Herding engine"):
            await node.count(Call("1", "ok", HELLO))
        await node.close()


@pytest.mark.slow
async def test_an_engine_that_drips_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_client, "STATUS_TIMEOUT", 1.0)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    async with saying(head, drips=True) as url, asyncio.timeout(LONG):
        node = HerdingNode(HerdingConfig(kind="herding", name="far", base_url=url), secret=lambda _: "a-secret")
        assert (await node.status()).state == "down"
        with pytest.raises(DeadlineError):
            await node.count(Call("1", "ok", HELLO))
        await node.close()
