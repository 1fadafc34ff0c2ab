"""The OpenAI node against a real server that shows one fault after another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from herding.errors import (
    BadResponseError,
    ConfigError,
    ConnectError,
    ContextLengthError,
    DeadlineError,
    HerdingError,
    MisconfiguredError,
    NodeBusyError,
    NoModelError,
    RequestRejectedError,
    StatusError,
    StreamInterruptedError,
)
from herding.herd.node_call import NodeCall
from herding.nodes.base import Node
from herding.nodes.catalog import Herd
from herding.nodes.responses.openai_response import StreamReader
from herding.nodes.responses.sse import data_lines
from herding.values import Call, Chunk, Message, Parameters, Usage
from herding.yaml_files import YamlDocument
from tests.support.fakenode import FakeNode
from tests.support.nodes import openai, patience
from tests.support.ports import free_port
from tests.support.until import until

HELLO = (Message("user", "hello"),)
LONG = 30.0
"""Seconds for what must come: less than `hang-after` hangs, far more than a slow machine takes."""


def call(model: str, **more: Any) -> Call:
    return Call("1", model, HELLO, **more)


async def answer(node: Node, asked: Call) -> list[Chunk]:
    """All chunks of a call, under the node's deadlines."""
    running = NodeCall(node, asked)
    try:
        return [chunk async for chunk in running.chunks()]
    finally:
        await running.close()
        await node.close()


async def fails(node: Node, model: str) -> tuple[HerdingError, str]:
    """The error that a call ends with, and the text that came before it."""
    running, text = NodeCall(node, call(model)), ""
    try:
        async with asyncio.timeout(LONG):
            async for chunk in running.chunks():
                text += chunk.text
    except HerdingError as error:
        return error, text
    finally:
        await running.close()
        await node.close()
    raise AssertionError(f"{model} answered: {text}")


@pytest.mark.parametrize("asked", [call("ok"), Call("1", "ok", None, "hello")], ids=["messages", "text"])
async def test_an_answer_with_its_usage(faulty: FakeNode, asked: Call) -> None:
    chunks = await answer(openai(faulty.url), asked)
    assert "".join(chunk.text for chunk in chunks) == "One two three four five"
    assert replace(chunks[-1], text="") == Chunk(finish_reason="stop", usage=Usage(7, 5, "node"))
    assert {chunk.finish_reason for chunk in chunks[:-1]} <= {None}


async def test_what_is_sent(faulty: FakeNode) -> None:
    chosen = Parameters(temperature=0, top_p=0.5, top_k=9, max_tokens=3, stop=("x",), seed=0)
    await answer(openai(faulty.url), call("ok", parameters=chosen))
    assert faulty.calls()[0].body == {
        "model": "ok",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 9,
        "max_tokens": 3,
        "seed": 0,
        "stop": ["x"],
    }


async def test_the_form_of_the_answer_is_sent(faulty: FakeNode) -> None:
    form = {"type": "json_object"}
    await answer(openai(faulty.url), call("ok", response_format=form))
    assert faulty.calls()[0].body["response_format"] == form


def test_a_server_that_knows_no_forms_says_so() -> None:
    assert openai("http://127.0.0.1:9/v1").formats
    assert not openai("http://127.0.0.1:9/v1", response_format=False).formats


async def test_a_form_that_a_server_refuses_is_the_callers_fault(faulty: FakeNode) -> None:
    asked = call("bad-schema", response_format={"type": "json_schema"})
    with pytest.raises(RequestRejectedError, match="Invalid schema"):
        await answer(openai(faulty.url), asked)


async def test_tokens_are_estimated_where_the_context_is_known() -> None:
    long, raw = call("ok"), Call("1", "ok", None, "seven c")
    assert await openai("http://127.0.0.1:9/v1", context_length=50).count(long) == (2, 50)
    assert await openai("http://127.0.0.1:9/v1", context_length=50).count(raw) == (3, 50)
    assert await openai("http://127.0.0.1:9/v1").count(long) is None


async def test_raw_text_goes_to_completions(faulty: FakeNode) -> None:
    await answer(openai(faulty.url), Call("1", "ok", None, "[INST] hi"))
    assert faulty.calls()[0].path == "/v1/completions"
    assert faulty.calls()[0].body["prompt"] == "[INST] hi"


@pytest.mark.parametrize(
    ("model", "kind", "text"),
    [
        ("hang", DeadlineError, ""),
        ("hang-after:3", DeadlineError, "One two three"),
        ("cut-after:3", StreamInterruptedError, "One two three"),
        ("cut-after:0", BadResponseError, ""),
        ("slow-ttfb:5", DeadlineError, ""),
        ("status:500", StatusError, ""),
        ("status:429;ra=7", NodeBusyError, ""),
        ("status:401", MisconfiguredError, ""),
        ("status:403", StatusError, ""),
        ("unknown", NoModelError, ""),
        ("html", BadResponseError, ""),
        ("empty", BadResponseError, ""),
        ("only-done", BadResponseError, ""),
        ("badjson", BadResponseError, "One two three four five"),
        ("error-in-200", BadResponseError, ""),
        ("error-in-stream", BadResponseError, "One two three four five"),
        ("bad-utf8", BadResponseError, "One two three four five"),
        ("redirect", BadResponseError, ""),
        ("gzip", BadResponseError, ""),
        ("context-length", ContextLengthError, ""),
    ],
)
async def test_each_fault_has_its_error(faulty: FakeNode, model: str, kind: type[HerdingError], text: str) -> None:
    error, heard = await fails(openai(faulty.url, deadlines=patience(model)), model)
    assert type(error) is kind
    assert heard == text
    assert getattr(error, "node", "hosted") == "hosted"


async def test_an_answer_without_end_is_ended(faulty: FakeNode) -> None:
    error, heard = await fails(openai(faulty.url, deadlines={"total": 30}), "endless")
    assert isinstance(error, BadResponseError | DeadlineError)
    assert len(heard) < 8_000_000


async def test_a_slow_answer_that_keeps_coming_is_fine(faulty: FakeNode) -> None:
    assert len(await answer(openai(faulty.url), call("slow:0.05"))) == 5


@pytest.mark.slow
async def test_the_whole_answer_has_a_deadline(faulty: FakeNode) -> None:
    node = openai(faulty.url, deadlines={"total": 2})
    error, heard = await fails(node, "slow:0.8")
    assert isinstance(error, DeadlineError)
    assert heard.startswith("One")


async def test_what_the_status_says_is_passed_on(faulty: FakeNode) -> None:
    error, _ = await fails(openai(faulty.url), "status:429;ra=7")
    assert isinstance(error, StatusError)
    assert (error.status, error.retry_after) == (429, 7.0)
    assert "status 429;" not in error.message
    assert "was asked for" in error.message


async def test_the_error_of_a_200_is_passed_on(faulty: FakeNode) -> None:
    error, _ = await fails(openai(faulty.url), "error-in-200")
    assert "The GPU is on fire" in error.message


@pytest.mark.parametrize("model", ["no-usage", "usage:-5", "usage:1e30"])
async def test_a_usage_that_cannot_be_is_no_usage(faulty: FakeNode, model: str) -> None:
    chunks = await answer(openai(faulty.url), call(model))
    assert chunks[-1] == Chunk(finish_reason="stop", usage=None)


async def test_a_refused_connection() -> None:
    error, _ = await fails(openai(f"http://127.0.0.1:{free_port()}/v1"), "ok")
    assert isinstance(error, ConnectError)
    assert "hosted" in error.message


async def test_a_host_name_that_does_not_exist() -> None:
    error, _ = await fails(openai("http://no-such-host.invalid/v1", deadlines={"connect": 5}), "ok")
    assert isinstance(error, ConnectError)


async def test_a_server_that_speaks_no_http() -> None:
    async def shout(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    error, _ = await fails(openai(f"http://127.0.0.1:{port}/v1"), "ok")
    server.close()
    assert isinstance(error, StreamInterruptedError | BadResponseError)


async def left(faulty: FakeNode) -> None:
    """Wait until the server sees that the caller of its first request went away."""
    await until(lambda: faulty.calls()[0].left)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["hang", "slow:1", "hang-after:2"])
async def test_the_server_sees_at_once_that_the_caller_stopped(faulty: FakeNode, model: str) -> None:
    node = openai(faulty.url)
    running, chunks = NodeCall(node, call(model)), list[Chunk]()

    async def read() -> None:
        async for chunk in running.chunks():
            chunks.append(chunk)

    reading = asyncio.create_task(read())
    await until(faulty.calls if model == "hang" else lambda: chunks)
    running.stop()
    async with asyncio.timeout(LONG):
        await reading
    assert chunks[-1].finish_reason == "cancelled"
    await left(faulty)
    await running.close()
    await node.close()


@pytest.mark.slow
async def test_the_server_sees_at_once_that_the_stream_was_closed(faulty: FakeNode) -> None:
    node = openai(faulty.url)
    async with aclosing(node.stream(call("slow:1"))) as chunks:
        assert (await anext(chunks)).text == "One"
    await left(faulty)
    await node.close()


async def test_cookies_are_never_sent_back(faulty: FakeNode) -> None:
    node = openai(faulty.url)
    for _ in range(2):
        chunks = [chunk async for chunk in node.stream(call("echo-headers"))]
        assert "cookie" not in json.loads(chunks[0].text)
    await node.status()
    assert "cookie" not in faulty.seen[-1].headers
    await node.close()


async def test_the_environment_changes_neither_way_nor_credentials(
    faulty: FakeNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login spy password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    headers = json.loads((await answer(openai(faulty.url), call("echo-headers")))[0].text)
    assert "authorization" not in headers
    assert headers["accept-encoding"] == "identity"


async def test_the_key_travels_in_the_header_only(faulty: FakeNode) -> None:
    node = openai(faulty.url, keys={"MY_KEY": "canary"}, api_key_env="MY_KEY")
    await answer(node, call("ok"))
    seen = faulty.calls()[0]
    assert seen.headers["authorization"] == "Bearer canary"
    assert "canary" not in json.dumps(seen.body) + seen.path


async def test_the_key_stays_out_of_error_messages(faulty: FakeNode) -> None:
    for model in ("status:401", "status:500", "html", "cut-after:0"):
        error, _ = await fails(openai(faulty.url, keys={"MY_KEY": "canary"}, api_key_env="MY_KEY"), model)
        assert "canary" not in str(error)


async def test_a_node_without_its_key_is_off() -> None:
    node = openai("http://127.0.0.1:9/v1", "m", api_key_env="MY_KEY")
    status = await node.status()
    assert (status.state, node.serves) == ("off", ())
    assert "MY_KEY" in status.detail
    await node.close()


async def test_a_node_that_can_do_without_a_key_is_not_off(faulty: FakeNode) -> None:
    node = openai(faulty.url, "m", api_key_env="MY_KEY", required=False)
    assert (await node.status()).state == "ready"
    assert node.serves == ("m",)
    await node.close()


async def test_the_status_of_a_node_that_refuses_the_key(faulty: FakeNode) -> None:
    faulty.models_fault = "401"
    node = openai(faulty.url)
    status = await node.status()
    assert (status.state, status.detail) == ("down", "The server rejected the key.")
    await node.close()


async def test_the_status_of_a_node_that_is_away() -> None:
    node = openai(f"http://127.0.0.1:{free_port()}/v1")
    status = await node.status()
    assert status.state == "down"
    assert "Can't reach" in status.detail
    await node.close()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "x",
        "http://",
        "http://[bad",
        "http://user:secret@host",
        "http://a b",
        "http://host:99999/v1",
        "http://x?a=1",
        "http://x/#a",
    ],
)
def test_a_url_that_is_none_is_refused_with_its_line(url: str) -> None:
    """In words, not with the pattern that it fails."""
    text = f"nodes:\n  - kind: openai\n    name: a\n    models: [m]\n    base_url: '{url}'\n"
    with pytest.raises(ConfigError) as caught:
        YamlDocument(text, file="nodes.yaml").build(Herd)
    assert (caught.value.line, caught.value.key) == (5, "nodes.0.base_url")
    assert "pattern" not in caught.value.reason


async def test_an_answer_that_is_not_read_to_its_end_is_closed_at_once() -> None:
    closed = False

    async def bytes_of_a_server() -> AsyncGenerator[bytes, None]:
        nonlocal closed
        try:
            while True:
                yield b"data: [DONE]\n\n"
        finally:
            closed = True

    async with aclosing(data_lines(bytes_of_a_server())) as lines:
        assert await anext(lines) == ["[DONE]"]
    assert closed


@pytest.mark.parametrize(
    ("lines", "text", "trouble"),
    [
        (['{"choices":[{"delta":{"content":"a"}}]}', '{"choices":[{"delta":{"content":"b"}}]}'], "ab", None),
        (['{"choices":[{"delta":{"content":"a"}}]}', "a word", "7", "null", '""'], "a", None),  # pings
        (['{"choices":[{"delta":{"content":"a"}}]},{}', "[DONE]"], "", "not valid JSON"),  # two in one line
        (['{"choices":[{"delta":', '{"choices":[]}'], "", "not valid JSON"),
        (['{"choices":', '[{"delta":', '{"content":"a"}}]}'], "a", None),  # one in three lines
        (['{"choices":[{"delta":{"content":"a"}}]}', "[]"], "a", "not a JSON object"),
        (['{"choices":[{"delta":{"content":"a \\ud800"}}]}'], "a \ud800", None),  # an invalid character
        (['{"choices":[],"usage":NaN}', '{"choices":[{"delta":{"content":"a"}}]}', "[DONE]", "no more"], "a", None),
    ],
)
def test_events_that_come_together_count_one_by_one(lines: list[str], text: str, trouble: str | None) -> None:
    reader = StreamReader("a")
    assert reader.read([line.encode() for line in lines]) == ([Chunk(text)] if text else [])
    assert (trouble is None) if reader.failure is None else trouble is not None and trouble in reader.failure.message
    assert reader.done == ("[DONE]" in lines and trouble is None)
