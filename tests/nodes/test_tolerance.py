"""What real servers send, in all its wrappings: good answers are read, errors keep the words of the server."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from herding.errors import (
    BadResponseError,
    HerdingError,
    MisconfiguredError,
    NodeBusyError,
    NoModelError,
    RequestRejectedError,
    StatusError,
)
from herding.herd.node_call import NodeCall
from herding.nodes.base import Node
from herding.nodes.http import error_message
from herding.nodes.responses.decompress import body_of
from herding.nodes.template import TemplateConfig, TemplateNode
from herding.values import Call, Chunk, Message, Parameters, Usage
from tests.support.nodes import PATIENT, openai
from tests.support.rawnode import (
    COUNTS,
    DONE,
    END,
    GOOD,
    SAID,
    TEXT,
    USAGE,
    WHOLE,
    RawNode,
    chunked,
    event,
    rawnode,
    response,
)

HELLO = (Message("user", "hello"),)
NODE_USAGE = Usage(11, 2, "node")


@pytest.fixture
async def server() -> AsyncIterator[RawNode]:
    async with rawnode() as running:
        yield running


async def chunks_of(node: Node, **more: Any) -> list[Chunk]:
    """All chunks of a call."""
    running = NodeCall(node, Call("1", "m", HELLO, **more))
    try:
        return [chunk async for chunk in running.chunks()]
    finally:
        await running.close()
        await node.close()


async def failure_of(node: Node, **more: Any) -> HerdingError:
    """The error of a call."""
    with pytest.raises(HerdingError) as caught:
        await chunks_of(node, **more)
    return caught.value


# Good answers


def deflated(body: str, bits: int) -> bytes:
    squeeze = zlib.compressobj(wbits=bits)
    return squeeze.compress(body.encode()) + squeeze.flush()


def lines(*objects: Any) -> str:
    return "".join(f"{json.dumps(one)}\n" for one in objects)


OLLAMA = [
    {"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": False},
    {"model": "m", "message": {"role": "assistant", "content": " world"}, "done": False},
    {"model": "m", "done": True, "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 2},
]
PARTS = [part.encode() for part in (TEXT, END, USAGE, DONE)]
GOOD_ANSWERS: dict[str, bytes] = {
    "plain": response(GOOD),
    "as text": response(GOOD, kind="text/plain; charset=utf-8"),
    "as json": response(GOOD, kind="application/json"),
    "as bytes": response(GOOD, kind="application/octet-stream"),
    "as a page": response(GOOD, kind="text/html"),
    "without a type": response(GOOD, kind=""),
    "an upper-case type": response(GOOD, kind="TEXT/EVENT-STREAM;charset=UTF-8"),
    "created": response(GOOD, status="201 Created"),
    "accepted": response(GOOD, status="202 Accepted"),
    "a mark": response("\ufeff" + GOOD),
    "blank lines first": response("\n\n\r\n" + GOOD),
    "carriage returns": response(GOOD.replace("\n", "\r\n")),
    "only carriage returns": response(GOOD.replace("\n", "\r")),
    "no spaces": response(GOOD.replace("data: ", "data:")),
    "comments": response(f": PROCESSING\n\n:\n\n{TEXT}: ping\r\n\r\n{END}{USAGE}{DONE}"),
    "fields": response(f"retry: 3000\nid: 7\nevent: message\n{GOOD}"),
    "names": response(GOOD.replace("data:", "event: completion.chunk\ndata:")),
    "unknown fields": response(f"foo: bar\nx\n{GOOD}"),
    "an object in several lines": response(
        TEXT + "".join(f"data: {line}\n" for line in json.dumps({"choices": []}, indent=1).split("\n")) + END + USAGE
    ),
    "pings": response(
        'event: ping\ndata: ""\n\nevent: keepalive\ndata: null\n\nevent: ping\ndata: ping\n\ndata: [PING]\n\n'
        f'data: 7\n\ndata: true\n\ndata: {{"type": "ping"}}\n\ndata:\n\nevent: heartbeat\ndata: {{}}\n\n{GOOD}'
    ),
    "no end mark": response(TEXT + END + USAGE),
    "no reason but an end mark": response(TEXT + USAGE + DONE),
    "a whole object": response(WHOLE),
    "a whole object in lines": response(json.dumps(WHOLE, indent=2), kind="application/json"),
    "a whole object as an event": response(f"data: {json.dumps(WHOLE)}\n\n"),
    "a whole object with a mark": response("\ufeff" + json.dumps(WHOLE)),
    "chunks as lines": response("".join(line + "\n" for line in GOOD.replace("data: ", "").split("\n") if line)),
    "ollama": response(lines(*OLLAMA), kind="application/x-ndjson"),
    "ollama generate": response(
        lines({"response": "Hello", "done": False}, {"response": " world", "done": False}, OLLAMA[-1])
    ),
    "gzip": response(gzip.compress(GOOD.encode()), headers="Content-Encoding: gzip\r\n"),
    "x-gzip": response(gzip.compress(GOOD.encode()), headers="Content-Encoding: X-GZIP\r\n"),
    "gzip, each event by itself": response(b"".join(map(gzip.compress, PARTS)), headers="Content-Encoding: gzip\r\n"),
    "gzip, each event by itself, in chunks": response(
        chunked(b"".join(map(gzip.compress, PARTS)), size=len(gzip.compress(PARTS[0]))),
        headers="Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    ),
    "gzip, each event by itself, byte by byte": response(
        chunked(b"".join(map(gzip.compress, PARTS)), size=1),
        headers="Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    ),
    "gzip, filled up": response(gzip.compress(GOOD.encode()) + bytes(100), headers="Content-Encoding: gzip\r\n"),
    "gzip of an object": response(gzip.compress(json.dumps(WHOLE).encode()), headers="Content-Encoding: gzip\r\n"),
    "deflate": response(deflated(GOOD, 15), headers="Content-Encoding: deflate\r\n"),
    "raw deflate": response(deflated(GOOD, -15), headers="Content-Encoding: deflate\r\n"),
    "identity": response(GOOD, headers="Content-Encoding: identity\r\n"),
    "http/1.0": response(GOOD, version="HTTP/1.0"),
    "chunked": response(chunked(GOOD.encode()), headers="Transfer-Encoding: chunked\r\n"),
    "trailers": response(
        chunked(GOOD.encode(), trailers="X-Checksum: abc\r\n"),
        headers="Transfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n",
    ),
    "gzip in chunks": response(
        chunked(gzip.compress(GOOD.encode()), size=1),
        headers="Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    ),
    "usage in the choice": response(
        TEXT + event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop", "usage": COUNTS}]) + DONE
    ),
    "usage before the end": response(TEXT + USAGE + END + DONE),
    "usage after the end mark": response(TEXT + END + DONE + USAGE),
    "usage as floats": response(
        TEXT + END + event(choices=[], usage={"prompt_tokens": 11.0, "completion_tokens": 2.0})
    ),
    "usage as text": response(TEXT + END + event(choices=[], usage={"prompt_tokens": "11", "completion_tokens": "2"})),
    "usage in an extension": response(TEXT + event({}, "stop", x_groq={"id": "r", "usage": COUNTS}) + DONE),
    "usage with a total": response(TEXT + END + event(choices=[], usage={"prompt_tokens": 11, "total_tokens": 13})),
    "usage in other names": response(TEXT + END + event(choices=[], usage={"input_tokens": 11, "output_tokens": 2})),
    "usage in every chunk": response(
        event({"content": SAID}, usage={"prompt_tokens": 11, "completion_tokens": 1}) + event({}, "stop", usage=COUNTS)
    ),
    "usage and zeros": response(
        TEXT + END + USAGE + event(choices=[], usage={"prompt_tokens": 0, "completion_tokens": 0})
    ),
    "usage of google": response(
        TEXT + END + event(choices=[], usageMetadata={"promptTokenCount": 11, "candidatesTokenCount": 2})
    ),
    "timings": response(
        TEXT
        + event(
            {},
            "stop",
            timings={"prompt_n": 11, "predicted_n": 2},
            usage=None,
            choices=[
                {
                    "index": 0,
                    "delta": {},
                    "finish_reason": "stop",
                    "usage": {"prompt_tokens": 11, "completion_tokens": 2},
                }
            ],
        )
    ),
}


@pytest.mark.parametrize("name", GOOD_ANSWERS)
async def test_a_good_answer_is_read_whatever_its_wrapping(server: RawNode, name: str) -> None:
    chunks = await chunks_of(openai(server.at("x", GOOD_ANSWERS[name]), "m"))
    assert "".join(chunk.text for chunk in chunks) == SAID
    assert (chunks[-1].finish_reason, chunks[-1].usage) == ("stop", NODE_USAGE)


class OnePiece(httpx.AsyncByteStream):
    """A body that is there at once."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


async def test_a_few_bytes_that_become_many_leave_others_their_turn() -> None:
    turns = pieces = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    bomb = OnePiece(gzip.compress(b"data: {}\n\n" * 300_000))
    async for piece in body_of(httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=bomb)):
        assert len(piece) < 100_000
        pieces += 1
    counting.cancel()
    assert turns >= pieces - 1 > 20


async def test_bytes_arrive_in_any_pieces(server: RawNode) -> None:
    for size in (1, 2, 3, 50):
        for whole in (GOOD, "\ufeff" + GOOD, json.dumps(WHOLE, indent=1), lines(*OLLAMA), f"event: x\n{GOOD}"):
            body = response(chunked(whole.encode(), size=size), headers="Transfer-Encoding: chunked\r\n")
            chunks = await chunks_of(openai(server.at("x", body), "m"))
            assert "".join(chunk.text for chunk in chunks) == SAID
            assert chunks[-1].usage == NODE_USAGE


async def test_a_response_that_is_there_at_once_is_one_chunk(server: RawNode) -> None:
    for body in (response(GOOD), response(WHOLE)):
        assert await chunks_of(openai(server.at("x", body), "m")) == [Chunk(SAID, "stop", NODE_USAGE)]


async def test_a_connection_that_breaks_while_the_usage_is_awaited_does_no_harm(server: RawNode) -> None:
    body = (TEXT + END + DONE).encode()
    cut = response(b"%x\r\n%s\r\n" % (len(body), body), headers="Transfer-Encoding: chunked\r\n")
    chunks = await chunks_of(openai(server.at("x", cut), "m"))
    assert "".join(chunk.text for chunk in chunks) == SAID
    assert (chunks[-1].finish_reason, chunks[-1].usage) == ("stop", None)


# What a server refuses to understand


def refusing(name: str, message: str, **more: Any) -> Any:
    """A server that does not know a parameter."""

    def script(body: dict[str, Any]) -> bytes:
        if name not in body or body[name] is False:
            return response(GOOD)
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        return response({"error": error | more}, status="400 Bad Request")

    return script


TOKENS_REFUSED = [
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "max_tokens: Extra inputs are not permitted",
    "Unrecognized request argument supplied: max_tokens",
    "Unknown field: max_tokens",
    "please use max_completion_tokens",
]


@pytest.mark.parametrize("message", TOKENS_REFUSED)
async def test_the_maximum_goes_under_its_other_name_and_that_is_remembered(server: RawNode, message: str) -> None:
    node = openai(server.at("x", refusing("max_tokens", message)), "m")
    asked = Call("1", "m", HELLO, parameters=Parameters(max_tokens=5))
    for _ in range(2):
        assert [chunk async for chunk in node.stream(asked)]
    await node.close()
    assert [body.get("max_tokens") for body in server.bodies] == [5, None, None]
    assert [body.get("max_completion_tokens") for body in server.bodies] == [None, 5, 5]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (
            "422 Unprocessable Entity",
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "x"}]},
        ),
        ("400 Bad Request", {"error": {"message": "stream_options is not supported", "param": "stream_options"}}),
        ("400 Bad Request", {"error": 'json: unknown field "stream_options"'}),
        ("422 Unprocessable Entity", {"detail": "Unexpected parameter 'stream_options'"}),
    ],
)
async def test_an_option_of_the_transport_is_left_out_once_and_for_all(
    server: RawNode, status: str, error: Any
) -> None:
    def script(body: dict[str, Any]) -> bytes:
        return response(error, status=status) if "stream_options" in body else response(TEXT + END + DONE)

    node = openai(server.at("x", script), "m", "other")
    for _ in range(2):
        assert [chunk async for chunk in node.stream(Call("1", "m", HELLO))]
    assert [("stream_options" in body) for body in server.bodies] == [True, False, False]
    assert [chunk async for chunk in node.stream(Call("1", "other", HELLO))]
    assert "stream_options" in server.bodies[3], "it is remembered for one model"
    await node.close()


async def test_several_refusals_follow_each_other(server: RawNode) -> None:
    def script(body: dict[str, Any]) -> bytes:
        for name in ("max_tokens", "stream_options"):
            if name in body:
                return response({"error": f"Unknown field {name}"}, status="400 Bad Request")
        if body["stream"]:
            return response({"error": "This model does not support streaming"}, status="400 Bad Request")
        return response(WHOLE)

    chunks = await chunks_of(openai(server.at("x", script), "m"), parameters=Parameters(max_tokens=5))
    assert "".join(chunk.text for chunk in chunks) == SAID
    assert len(server.bodies) == 4


@pytest.mark.parametrize(
    "message",
    [
        "Unsupported parameter: 'temperature' is not supported with this model.",
        "max_tokens is too large: 5. This model supports at most 4 completion tokens.",
        "max_tokens must be positive",
        "The stream of your thoughts is too long",
    ],
)
async def test_what_the_caller_asked_for_is_never_left_out(server: RawNode, message: str) -> None:
    def script(_: dict[str, Any]) -> bytes:
        return response({"error": {"message": message}}, status="400 Bad Request")

    error = await failure_of(openai(server.at("x", script), "m"), parameters=Parameters(temperature=1, max_tokens=5))
    assert isinstance(error, RequestRejectedError)
    assert error.reported.message == message
    assert len(server.bodies) == 1


async def test_a_server_that_takes_neither_name_is_asked_twice(server: RawNode) -> None:
    def script(body: dict[str, Any]) -> bytes:
        name = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
        return response({"error": f"unknown field {name}"}, status="400 Bad Request")

    error = await failure_of(openai(server.at("x", script), "m"), parameters=Parameters(max_tokens=5))
    assert isinstance(error, RequestRejectedError)
    assert len(server.bodies) == 2


async def test_the_nodes_file_sets_the_form_beforehand(server: RawNode) -> None:
    options = {"stream": False, "max_tokens_field": "max_completion_tokens"}
    chunks = await chunks_of(
        openai(server.at("x", response(WHOLE)), "m", **options), parameters=Parameters(max_tokens=5)
    )
    assert ("".join(chunk.text for chunk in chunks), chunks[-1].usage) == (SAID, NODE_USAGE)
    [body] = server.bodies
    assert (body["stream"], body["max_completion_tokens"]) == (False, 5)
    assert {"stream_options", "max_tokens"}.isdisjoint(body)
    await chunks_of(openai(server.at("y", response(TEXT + END + DONE)), "m", stream_options=False))
    assert "stream_options" not in server.bodies[1]


# The words of errors

WORDS = "prompt is too long by 7 tokens"
SHAPES: dict[str, Any] = {
    "openai": {"error": {"message": WORDS, "type": "invalid_request_error", "param": "messages", "code": "too_long"}},
    "a text": {"error": WORDS},
    "google": [{"error": {"code": 400, "message": WORDS, "status": "INVALID_ARGUMENT"}}],
    "vllm": {"object": "error", "message": WORDS, "type": "BadRequestError", "param": None, "code": 400},
    "anthropic": {"type": "error", "error": {"type": "invalid_request_error", "message": WORDS}},
    "code and msg": {"code": 20012, "msg": WORDS, "data": None},
    "success": {"success": False, "message": WORDS},
    "cohere": {"id": "1", "message": WORDS},
    "amazon": {"Message": WORDS},
    "amazon type": {"__type": "ValidationException", "message": WORDS},
    "azure": {"error": {"code": "BadRequest", "message": WORDS, "innererror": {"code": "x"}}},
    "fastapi": {"detail": WORDS},
    "fastapi list": {"detail": [{"loc": ["body", "messages"], "msg": WORDS, "type": "value_error"}]},
    "fastapi object": {"detail": {"error": WORDS}},
    "cloudflare": {"success": False, "errors": [{"code": 7003, "message": WORDS}], "messages": []},
    "problem": {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": WORDS},
    "nest": {"statusCode": 400, "message": [WORDS], "error": "Bad Request"},
    "minimax": {"base_resp": {"status_code": 1004, "status_msg": WORDS}},
    "baidu": {"error_code": 17, "error_msg": WORDS},
    "oauth": {"error": "invalid_request", "error_description": WORDS},
    "apigee": {"fault": {"faultstring": WORDS, "detail": {"errorcode": "x"}}},
    "openrouter": {
        "error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": json.dumps({"error": WORDS})}}
    },
    "fields": {"errors": {"messages": [WORDS]}},
    "litellm": {"error": {"message": f"litellm.BadRequestError: {WORDS}", "type": None, "param": None, "code": "400"}},
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_words_are_found_and_the_status_is_kept(server: RawNode, shape: str) -> None:
    for status in (400, 413, 422):
        error = await failure_of(openai(server.at("x", response(SHAPES[shape], status=f"{status} No")), "m"))
        assert isinstance(error, RequestRejectedError), error
        assert (error.status, WORDS in error.message, WORDS in error.reported.message) == (status, True, True)


@pytest.mark.parametrize("shape", SHAPES)
async def test_within_a_response_of_success_they_are_found_too(server: RawNode, shape: str) -> None:
    said = SHAPES[shape]
    for body in (response(said), response(f"data: {json.dumps(said)}\n\n{DONE}"), response(f"{json.dumps(said)}\n")):
        error = await failure_of(openai(server.at("x", body), "m"))
        assert WORDS in error.message, error
        assert isinstance(error, BadResponseError | RequestRejectedError)


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_event_that_is_named_an_error_is_one_in_any_shape(server: RawNode, shape: str) -> None:
    for before in ("", TEXT):
        said = f"{before}event: error\ndata: {json.dumps(SHAPES[shape])}\n\n"
        error = await failure_of(openai(server.at("x", response(said)), "m"))
        assert WORDS in error.message


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (f"  {WORDS}\n", "text/plain", WORDS),
        (WORDS, "", WORDS),
        (WORDS, "application/json", WORDS),
        (
            "<html><head><title>502 Bad &amp; Gateway</title></head><body>x</body></html>",
            "text/html",
            "502 Bad & Gateway",
        ),
        ("<h1>Not today</h1><p>x</p>", "text/html", "Not today"),
        ("<p>Something <b>else</b></p>", "text/html", "Something else"),
        ("", "text/plain", "HTTP 500."),
        ("{}", "application/json", "HTTP 500."),
        ("\x00\x07" + WORDS, "text/plain", WORDS),
    ],
)
async def test_words_that_are_no_json(server: RawNode, body: str, kind: str, words: str) -> None:
    error = await failure_of(openai(server.at("x", response(body, kind=kind, status="500 Internal Server Error")), "m"))
    assert isinstance(error, StatusError)
    assert words in error.message


async def test_words_are_short_and_without_keys(server: RawNode) -> None:
    ours, theirs = "our-own-key-123", "sk-proj-abcdefghijklmnop1234567890"
    said = {"error": {"message": f"Incorrect API key: {ours} or {theirs}. " + "long " * 1000}}
    node = openai(
        server.at("x", response(said, status="400 Bad Request")), "m", keys={"THE_KEY": ours}, api_key_env="THE_KEY"
    )
    error = await failure_of(node)
    assert isinstance(error, StatusError)
    for text in (error.message, error.reported.message):
        assert ours not in text
        assert theirs not in text
        assert len(text) < 600


@pytest.mark.parametrize(
    ("said", "kind", "status"),
    [
        ({"error": {"message": "Insufficient credits", "code": 402}}, StatusError, 402),
        ({"error": {"message": "Flagged", "code": "403"}}, StatusError, 403),
        ({"error": {"message": "No such model", "code": "model_not_found"}}, NoModelError, 404),
        ({"error": {"message": "Slow down", "type": "rate_limit_error"}}, NodeBusyError, 429),
        ({"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}, NodeBusyError, 429),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, NodeBusyError, 529),
        ({"error": {"message": "Exhausted", "status": "RESOURCE_EXHAUSTED"}}, NodeBusyError, 429),
        (
            {"error": {"message": "Too long", "code": "string_above_max", "type": "invalid_request_error"}},
            RequestRejectedError,
            400,
        ),
        ({"object": "error", "message": "Too long", "type": "BadRequestError", "code": 400}, RequestRejectedError, 400),
        ({"error": {"message": "Crashed", "type": "server_error"}}, StatusError, 500),
    ],
)
async def test_an_error_within_a_response_has_the_status_of_its_code(
    server: RawNode, said: Any, kind: type[StatusError], status: int
) -> None:
    for body in (
        response(said),
        response(f"data: {json.dumps(said)}\n\n"),
        response(f"{TEXT}data: {json.dumps(said)}\n\n"),
    ):
        error = await failure_of(openai(server.at("x", body), "m"))
        assert type(error) is kind
        assert error.status == status


async def test_only_401_is_about_our_key(server: RawNode) -> None:
    for said in (response({"error": "No"}, status="401 No"), response({"error": {"message": "No", "code": 401}})):
        assert isinstance(await failure_of(openai(server.at("x", said), "m")), MisconfiguredError)
    for status in (402, 403, 407):
        error = await failure_of(openai(server.at("x", response({"error": "No"}, status=f"{status} No")), "m"))
        assert isinstance(error, StatusError)
        assert error.status == status


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            response("<!doctype html><title>Sign in</title>", kind="text/html"),
            "web page instead of a response: 'Sign in'",
        ),
        (response("<!doctype html><title>Sign in</title>"), "web page"),
        (
            response("", status="307 Temporary Redirect", headers="Location: https://a.example/v1?key=x\r\n"),
            "to https://a.example/v1,",
        ),
        (response("The model is asleep."), "'The model is asleep'"),
        (response("data: Internal failure\n\n"), "'Internal failure'"),
        (response(""), "empty response"),
        (response("\n\n"), "empty response"),
        (response(DONE), "empty response"),
        (response("[]"), "not a JSON object"),
        (response('{"choices": ['), "not valid JSON"),
        (response(GOOD, headers="Content-Encoding: br\r\n"), "compressed with 'br'"),
        (response(GOOD, headers="Content-Encoding: gzip\r\n"), "can't be decompressed"),
    ],
)
async def test_what_is_no_answer_is_named(server: RawNode, body: bytes, words: str) -> None:
    error = await failure_of(openai(server.at("x", body), "m"))
    assert isinstance(error, BadResponseError)
    assert words in error.message


@pytest.mark.parametrize("shape", SHAPES)
async def test_embeddings_and_templates_keep_the_words_too(server: RawNode, shape: str) -> None:
    for body in (response(SHAPES[shape], status="400 Bad Request"), response(SHAPES[shape])):
        url = server.at("x", body)
        node = openai(url, embedding_models=["m"])
        with pytest.raises(HerdingError, match=WORDS):
            await node.embed("m", ["a text"])
        await node.close()
        config = TemplateConfig(
            kind="template",
            name="any",
            models=["m"],
            url=url,
            body={"input": "{USER_PROMPT}"},
            response_extract="answer.text",
            deadlines=PATIENT,
        )
        assert WORDS in (await failure_of(TemplateNode(config, secret=lambda _: None))).message


def test_words_that_are_not_there_are_empty() -> None:
    for data in ({}, [], None, 7, {"error": None}, {"error": {}}, {"choices": []}, {"error": [[[[[["deep"]]]]]]}):
        assert error_message(data) == ""
