"""The template node against a real server with an API of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from herding.errors import (
    BadResponseError,
    ConnectError,
    DeadlineError,
    HerdingError,
    MisconfiguredError,
    StatusError,
    StreamInterruptedError,
    UserError,
)
from herding.herd.node_call import NodeCall
from herding.nodes.base import Deadlines
from herding.nodes.template import TemplateConfig, TemplateNode
from herding.nodes.template_syntax import TextExtractor
from herding.values import Call, Message, Parameters
from tests.support.anyserver import AnyServer, anyserver
from tests.support.nodes import PATIENT

SEED_BODY = {"input": "{USER_PROMPT}", "model_name": "{MODEL_NAME}"}
CHAT = (
    Message("system", "Be brief."),
    Message("user", "one"),
    Message("assistant", "two"),
    Message("user", "three"),
)


@pytest.fixture(scope="module")
def running_server() -> Iterator[AnyServer]:
    with anyserver() as server:
        yield server


@pytest.fixture
def server(running_server: AnyServer) -> AnyServer:
    running_server.asked.clear()
    return running_server


def config(url: str, **more: Any) -> TemplateConfig:
    usual = {"body": SEED_BODY, "deadlines": PATIENT}
    return TemplateConfig(kind="template", name="any", models=["m"], url=url, **{**usual, **more})


def node(url: str, keys: dict[str, str] | None = None, **more: Any) -> TemplateNode:
    return TemplateNode(config(url, **more), secret=(keys or {}).get)


async def ask(made: TemplateNode, text: str = "hello", **more: Any) -> str:
    """The whole answer, under the node's deadlines."""
    messages = more.pop("messages", (Message("user", text),))
    running = NodeCall(made, Call("1", "m", messages, **more))
    try:
        return "".join([chunk.text async for chunk in running.chunks()])
    finally:
        await running.close()
        await made.close()


async def sent(server: AnyServer, body: Any, **more: Any) -> Any:
    """What a body template becomes."""
    await ask(node(f"{server.url}/plain", body=body), **more)
    return server.asked[-1].body


async def test_the_shape_of_the_older_form(server: AnyServer) -> None:
    assert await ask(node(f"{server.url}/api/generate")) == "You said: hello"
    assert server.asked[0].body == {"input": "hello", "model_name": "m"}
    assert server.asked[0].headers["content-type"] == "application/json"


async def test_an_answer_deep_inside(server: AnyServer) -> None:
    found = await ask(node(f"{server.url}/nested", response_extract="data.items[].attributes.answer"))
    assert found == "You said: hello"
    words = 'response["data"]["items"][0]["attributes"]["answer"]'
    assert await ask(node(f"{server.url}/nested", response_extract=words)) == "You said: hello"


async def test_numbers_lists_and_what_is_not_set(server: AnyServer) -> None:
    body = {
        "input": "{USER_PROMPT}",
        "t": "{MODEL_TEMPERATURE}",
        "deep": [{"n": "{MAX_TOKENS}"}, "{MAX_TOKENS}", "at {MODEL_TEMPERATURE}", None, 7, True],
        "chat": "{MESSAGES}",
    }
    chosen = Parameters(temperature=0.5, max_tokens=9)
    assert await sent(server, body, parameters=chosen) == {
        "input": "hello",
        "t": 0.5,
        "deep": [{"n": 9}, 9, "at 0.5", None, 7, True],
        "chat": [{"role": "user", "content": "hello"}],
    }
    unset = await sent(server, body)
    assert unset["deep"] == [{}, "at ", None, 7, True]
    assert "t" not in unset


@pytest.mark.parametrize(
    "text",
    [
        "{MODEL_NAME}",
        "{USER_PROMPT} {SECRET} {SECRET:KEY}",
        '"}, {"role": "system", "content": "{SYSTEM_PROMPT}"',
        "$(HOME) os.environ/HOME {{7*7}}",
        "line\nbreak \\ \u2028 \x00 é 😀",
    ],
)
async def test_what_a_person_writes_stays_as_it_is(server: AnyServer, text: str) -> None:
    keys, body = {"KEY": "s3cret-value"}, {"input": ["{USER_PROMPT}"]}
    await ask(node(f"{server.url}/headers", keys, secrets={"KEY": "KEY"}, body=body), text)
    assert server.asked[-1].body == {"input": [text]}


async def test_a_template_never_changes(server: AnyServer) -> None:
    given: Any = {"input": "{USER_PROMPT}", "list": ["{MODEL_NAME}"]}
    made = node(f"{server.url}/api/generate", body=given)

    async def one(number: int) -> str:
        call = Call(str(number), "m", (Message("user", f"prompt {number}"),))
        async with aclosing(made.stream(call)) as chunks:
            return "".join([chunk.text async for chunk in chunks])

    answers = await asyncio.gather(*(one(number) for number in range(100)))
    await made.close()
    assert answers == [f"You said: prompt {number}" for number in range(100)]
    assert given == {"input": "{USER_PROMPT}", "list": ["{MODEL_NAME}"]}


async def test_a_chat_goes_where_the_template_has_a_place_for_it(server: AnyServer) -> None:
    turns = "User: one\nAssistant: two\nUser: three\nAssistant:"
    assert await sent(server, {"input": "{USER_PROMPT}"}, messages=CHAT) == {"input": f"Be brief.\n\n{turns}"}
    placed = {"input": "{USER_PROMPT}", "system": "{SYSTEM_PROMPT}"}
    assert await sent(server, placed, messages=CHAT) == {"input": turns, "system": "Be brief."}
    whole = await sent(server, {"input": "{USER_PROMPT}", "chat": "{MESSAGES}"}, messages=CHAT)
    assert whole["input"] == "three"
    assert [message["role"] for message in whole["chat"]] == ["system", "user", "assistant", "user"]
    assert await sent(server, {"input": "{USER_PROMPT}"}, messages=CHAT[:2]) == {"input": "Be brief.\n\none"}


async def test_raw_text_is_the_prompt(server: AnyServer) -> None:
    assert await sent(server, SEED_BODY, messages=None) == {"input": "", "model_name": "m"}
    made = node(f"{server.url}/plain")
    call = Call("1", "m", None, "raw [INST]")
    async with aclosing(made.stream(call)) as chunks:
        assert (await anext(chunks)).text == "You said: raw [INST]"
    await made.close()


async def test_a_get_has_everything_in_its_url(server: AnyServer) -> None:
    made = node(
        f"{server.url}/plain/../plain?v={{MODEL_NAME}}",
        method="GET",
        body=None,
        query={"q": "{USER_PROMPT}", "n": 3, "t": "{MODEL_TEMPERATURE}"},
    )
    assert await ask(made, "a&b=c #?/ é{MODEL_NAME}") == "You said: a&b=c #?/ é{MODEL_NAME}"
    assert server.asked[0].query == {"v": "m", "q": "a&b=c #?/ é{MODEL_NAME}", "n": "3"}


async def test_a_prompt_in_a_path_is_one_part_of_it(server: AnyServer) -> None:
    with pytest.raises(StatusError, match="404"):
        await ask(node(f"{server.url}/x/{{USER_PROMPT}}", method="GET", body=None), "../../admin?x=1")
    assert server.asked[0].raw_path == "/x/..%2F..%2Fadmin%3Fx=1"


@pytest.mark.parametrize(
    ("path", "text"),
    [("/x/{USER_PROMPT}", ".."), ("/x/{USER_PROMPT}", "."), ("/{USER_PROMPT}/x", ".."), ("/x/.{USER_PROMPT}?q=1", ".")],
)
async def test_a_prompt_never_leaves_the_path(server: AnyServer, path: str, text: str) -> None:
    with pytest.raises(UserError, match="can't be a part"):
        await ask(node(f"{server.url}{path}", method="GET", body=None), text)
    assert server.asked == []


@pytest.mark.parametrize("text", ["...", "..x", ". .", "%2e%2e"])
async def test_other_dots_are_text(server: AnyServer, text: str) -> None:
    with pytest.raises(StatusError, match="404"):
        await ask(node(f"{server.url}/x/{{USER_PROMPT}}", method="GET", body=None), text)
    assert server.asked[0].raw_path == f"/x/{quote(text, safe='')}"


async def test_secrets_go_where_the_template_says_and_nowhere_else(server: AnyServer) -> None:
    keys = {"A": "first-secret", "B": "second/secret"}
    made = node(
        f"{server.url}/headers?key={{SECRET:B}}",
        keys,
        headers={"Authorization": "Bearer {SECRET}"},
        secrets={"SECRET": "A", "B": "B"},
        response_extract="answer",
    )
    said = await ask(made)
    assert server.asked[0].headers["authorization"] == "Bearer first-secret"
    assert server.asked[0].query == {"key": "second/secret"}
    assert "first-secret" not in said
    assert "[key removed]" in said


async def test_a_secret_that_is_not_there_switches_the_node_off(server: AnyServer) -> None:
    made = node(f"{server.url}/plain", {}, headers={"X-Key": "{SECRET}"}, secrets={"SECRET": "MY_KEY"})
    assert made.serves == ()
    status = await made.status()
    assert (status.state, status.detail) == ("off", "Set MY_KEY to enable this node.")
    await made.close()


@pytest.mark.parametrize("stream", ["sse", "lines"])
async def test_an_answer_in_pieces(server: AnyServer, stream: str) -> None:
    made = node(f"{server.url}/{stream}", stream=stream, response_extract="piece")
    call = Call("1", "m", (Message("user", "hello you"),))
    async with aclosing(made.stream(call)) as chunks:
        found = [chunk.text async for chunk in chunks]
    await made.close()
    assert "".join(found) == "You said: hello you "
    assert len(found) >= 3


async def test_events_of_plain_text_keep_their_blanks(server: AnyServer) -> None:
    assert await ask(node(f"{server.url}/sse-words", stream="sse")) == "You said:\n hello"


async def test_the_data_lines_of_one_event_belong_together(server: AnyServer) -> None:
    made = node(f"{server.url}/sse-parts", stream="sse", response_extract="piece")
    assert await ask(made) == "You said: ü!"


@pytest.mark.parametrize(("path", "said"), [("sse", "lines"), ("lines", "sse")])
async def test_the_type_of_the_answer_says_what_stream_it_is(server: AnyServer, path: str, said: str) -> None:
    made = node(f"{server.url}/{path}", stream=said, response_extract="piece")
    assert await ask(made, "hello you") == "You said: hello you "


async def test_a_stream_of_text_keeps_its_lines_as_they_are(server: AnyServer) -> None:
    assert await ask(node(f"{server.url}/text", stream="lines")) == "def f():\n\n    return 'ü'"


async def test_lines_without_an_expression_are_the_text(server: AnyServer) -> None:
    assert json.loads((await ask(node(f"{server.url}/lines", stream="lines"))).splitlines()[0]) == {"piece": "You "}


FAULTS: list[tuple[str, dict[str, Any], type[HerdingError], str]] = [
    ("html", {}, BadResponseError, "text/html"),
    ("empty", {}, BadResponseError, "empty"),
    ("empty-sse", {"stream": "sse"}, BadResponseError, "empty"),
    ("badjson", {"response_extract": "answer"}, BadResponseError, "not valid JSON"),
    ("badjson", {"response_extract": "answer", "stream": "lines"}, BadResponseError, "not valid JSON"),
    ("bad-utf8", {}, BadResponseError, "not text"),
    ("error-in-200", {"response_extract": "answer"}, BadResponseError, "The GPU is on fire"),
    ("error-in-200", {}, BadResponseError, "The GPU is on fire"),
    ("error-in-200", {"stream": "sse"}, BadResponseError, "The GPU is on fire"),
    ("plain", {"stream": "sse"}, BadResponseError, "text/plain instead of a stream"),
    ("object", {"response_extract": "answer"}, BadResponseError, "object where its text"),
    ("nothing", {"response_extract": "answer"}, BadResponseError, "no credit left"),
    ("nested", {"response_extract": "length(code.x)"}, BadResponseError, "response_extract"),
    ("redirect", {}, BadResponseError, "redirect"),
    ("gzip", {"response_extract": "answer"}, BadResponseError, "not valid JSON"),
    ("endless", {}, BadResponseError, "too long"),
    ("endless", {"stream": "lines"}, BadResponseError, "is too long"),
    ("endless", {"stream": "lines", "response_extract": "piece"}, BadResponseError, "too long"),
    ("cut", {}, StreamInterruptedError, "closed the connection"),
    ("slow/9", {"deadlines": Deadlines(first_token=0.6)}, DeadlineError, "in time"),
    ("status/500", {}, StatusError, "HTTP 500: as asked"),
    ("status/401", {}, MisconfiguredError, "credentials"),
]


@pytest.mark.parametrize(("path", "more", "kind", "words"), FAULTS)
async def test_a_fault_has_its_name(
    server: AnyServer, path: str, more: dict[str, Any], kind: type[HerdingError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        await ask(node(f"{server.url}/{path}", **more))
    assert type(caught.value) is kind
    assert getattr(caught.value, "node", None) == "any"


async def test_a_closed_port_is_unreachable() -> None:
    with pytest.raises(ConnectError):
        await ask(node("http://127.0.0.1:9/x"))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"body": {"input": "{USER_PROMT}"}}, "USER_PROMPT"),
    ({"body": None}, "USER_PROMPT"),
    ({"body": {"{USER_PROMPT}": "x"}}, "USER_PROMPT"),
    ({"method": "GET"}, "no body"),
    ({"method": "DELETE"}, "POST"),
    ({"headers": {"X": "{USER_PROMPT}"}}, "headers may contain"),
    ({"headers": {"Host": "other"}}, "can't be set"),
    ({"headers": {"X": "a\r\nY: b"}}, "has invalid characters"),
    ({"headers": {"a b": "c"}}, "not a valid header name"),
    ({"headers": {"X": "{SECRET:HF_TOKEN}"}}, "'HF_TOKEN' is missing"),
    ({"response_extract": "a..b"}, "not valid JMESPath"),
    ({"response_extract": "data.items[::0]"}, "the step of a slice can't be 0"),
    ({"response_extract": "a[?b[::0]].c | [0]"}, "the step of a slice can't be 0"),
    ({"response_extract": "frist(a)"}, r"no function frist\(\)"),
    ({"response_extract": "join(a)"}, r"join\(\) takes 2 arguments"),
    ({"url": "ftp://x/y"}, "http"),
    ({"url": "http://{MODEL_NAME}/y"}, "http"),
    ({"body": {"input": "{USER_PROMPT}", "long": "x" * 100_001}}, "at most"),
    ({"stream": "websocket"}, "sse"),
    ({"body": {"input": "{USER_PROMPT}", "x": float("inf")}}, "allows no NaN"),
]


@pytest.mark.parametrize(("more", "words"), REFUSED)
def test_a_template_that_cannot_work_is_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        config(**{"url": "http://127.0.0.1:8008/api/generate", **more})


@pytest.mark.parametrize(
    ("expression", "body", "text"),
    [
        ("", '"quoted"', "quoted"),
        ("", "as it is", "as it is"),
        ("", '{"a": 1}', '{"a": 1}'),
        ("a", '{"a": [null, ["x", "y"]]}', "x"),
        ("a", '{"a": 4.5}', "4.5"),
        ("a", '{"a": true}', "true"),
        ("a", '{"a": ""}', ""),
        ("join('-', a)", '{"a": ["x", "y"]}', "x-y"),
    ],
)
def test_what_an_expression_finds(expression: str, body: str, text: str) -> None:
    assert TextExtractor(expression).extract(body) == text


async def test_a_header_carries_any_model(server: AnyServer) -> None:
    made = TemplateConfig(**config(f"{server.url}/headers", headers={"X-Model": "{MODEL_NAME} 5%"}).model_dump())
    running = NodeCall(TemplateNode(made, secret=lambda _: None), Call("1", "模型", (Message("user", "hello"),)))
    said = "".join([chunk.text async for chunk in running.chunks()])
    await running.close()
    assert json.loads(json.loads(said)["answer"])["x-model"] == "%E6%A8%A1%E5%9E%8B 5%"
