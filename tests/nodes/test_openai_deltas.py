"""Deltas as servers send them, in the form that clients put together: tool calls, and fields beside the message."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from herding.nodes.responses.openai_choices import ToolCallNumbers, merge
from herding.nodes.responses.openai_response import StreamReader


def call(arguments: str, **more: Any) -> dict[str, Any]:
    name = {"name": more.pop("name")} if "name" in more else {}
    return {**more, "function": {**name, "arguments": arguments}}


@pytest.mark.parametrize(
    "deltas",
    [
        pytest.param(
            [
                call("", index=0, id="a", type="function", name="f"),
                call("{1}", index=0),
                call("", index=1, id="b", type="function", name="g"),
                call("{2}", index=1),
            ],
            id="as OpenAI",
        ),
        pytest.param(
            [call("{1}", id="a", type="function", name="f"), call("{2}", id="b", type="function", name="g")],
            id="whole, without an index",
        ),
        pytest.param(
            [
                call("{", index=0, id="a", type="function", name="f"),
                call("1}", index=0, id="a", type="function", name=None),
                call("{", index=0, id="b", type="function", name="g"),
                call("2}", index=0, id="", type="function"),
            ],
            id="with one index for all, and the id again",
        ),
        pytest.param(
            [
                call("{1}", index=3, id="a", type="function", name="f"),
                call("{", index=7, id="b", type="function", name="g"),
                call("2}", index=7, id="b", type="function", name="g"),
            ],
            id="with other numbers, and the name again",
        ),
    ],
)
def test_deltas_become_whole_calls(deltas: list[dict[str, Any]]) -> None:
    numbers, whole = ToolCallNumbers(), dict[str, Any]()
    sent = [numbers.add(delta) for delta in deltas]
    for delta in sent:
        merge(whole, {"tool_calls": [delta]})
    assert whole["tool_calls"] == [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{1}"}},
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{2}"}},
    ]
    assert sum("id" in delta for delta in sent) == 2, "clients join the texts of deltas, the id as well"


def test_what_a_call_has_besides_its_function_stays() -> None:
    signed = {"extra_content": {"google": {"thought_signature": "s"}}}
    assert ToolCallNumbers().add({**call("{}", id="a", name="f"), **signed})["extra_content"] == signed["extra_content"]
    assert ToolCallNumbers().add({"type": "custom", "custom": {"input": "x"}})["custom"] == {"input": "x"}


def test_texts_of_a_message_grow_and_those_beside_it_are_replaced() -> None:
    message: dict[str, Any] = {}
    for text in ("a", "b"):
        merge(message, {"refusal": text, "audio": {"transcript": text}})
    assert message == {"refusal": "ab", "audio": {"transcript": "ab"}}
    choice: dict[str, Any] = {}
    for token in ("a", "b"):
        found = {"logprobs": {"content": [token]}, "content_filter_results": {"hate": {"severity": "safe"}}}
        merge(choice, {**found, "native_finish_reason": token}, texts_grow=False)
    assert choice == {
        "logprobs": {"content": ["a", "b"]},
        "content_filter_results": {"hate": {"severity": "safe"}},
        "native_finish_reason": "b",
    }


@pytest.mark.parametrize("entry", [lambda n: {"index": n, "text": "x"}, lambda n: n], ids=["entries", "numbers"])
def test_a_list_of_any_length_grows_in_time(entry: Callable[[int], Any]) -> None:
    message: dict[str, Any] = {}
    began = time.process_time()
    for number in (*range(20_000), *range(20_000)):
        merge(message, {"list": [entry(number)]})
    assert time.process_time() - began < 2, "each delta looked at all entries before it"
    assert len(message["list"]) == (20_000 if isinstance(entry(0), dict) else 40_000)
    assert message["list"][7] in ({"index": 7, "text": "xx"}, 7)


@pytest.mark.parametrize("before", ["a text", "", 7, None, ["a list"]])
def test_a_field_may_change_its_kind_in_mid_stream(before: Any) -> None:
    message = {"function": before, "inner": {"details": before}}
    merge(message, {"function": {"name": "f"}, "inner": {"details": {"a": 1}}})
    merge(message, {"function": {"arguments": "{}"}, "inner": {"details": {"b": 2}}})
    assert message == {"function": {"name": "f", "arguments": "{}"}, "inner": {"details": {"a": 1, "b": 2}}}


def test_fields_of_the_response_come_before_its_first_text() -> None:
    delta = {"role": "assistant", "content": "Hello"}
    event = {"service_tier": "flex", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    first, second = StreamReader("node").read([json.dumps(event).encode()])
    assert (first.extra, first.text) == ({"service_tier": "flex"}, "")
    assert second.text == "Hello"


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_json_has_not_is_null(number: str) -> None:
    delta = '{"choices": [{"index": 0, "delta": {"content": "a", "x": [%s]}, "logprobs": [%s, 0.5]}]}'
    (chunk,) = StreamReader("any").read([(delta % (number, number)).encode()])
    assert (chunk.deltas[0].fields, chunk.deltas[0].extra) == ({"x": [None]}, {"logprobs": [None, 0.5]})


@pytest.mark.parametrize("deep", ["[" * 900 + "]" * 900, '{"a":' * 300 + "1" + "}" * 300])
@pytest.mark.parametrize("line_end", ["", "\n"])
def test_an_event_that_is_too_deep_to_pass_on_is_refused(deep: str, line_end: str) -> None:
    event = f'{{"choices": [{{"index": 0, {line_end}"delta": {{"content": "a", "x": {deep}}}}}]}}'
    reader = StreamReader("any")
    assert reader.read([line.encode() for line in event.split("\n")]) == []
    assert reader.failure is not None
    assert "nested too deeply" in reader.failure.message


def test_each_line_of_an_event_in_several_lines_may_be_json_by_itself() -> None:
    event = {"choices": [{"index": 0, "delta": {"content": "a", "x": {"ids": [1, 2], "more": [{}], "last": [None]}}}]}
    lines = [line.encode() for line in json.dumps(event, indent=1).split("\n")]
    reader = StreamReader("any")
    (chunk,) = reader.read(lines)
    assert chunk.deltas[0].fields == {"x": {"ids": [1, 2], "more": [{}], "last": [None]}}
    whole = json.dumps(event).encode()
    assert reader.read([*lines[:3], whole]) == []
    assert reader.failure is not None
    assert "not valid JSON" in reader.failure.message


def test_an_event_that_never_ends_is_refused_soon() -> None:
    reader = StreamReader("any")
    begun = time.process_time()
    reader.read([b'{"a": [', *[b"1,"] * 200_000])
    assert reader.failure is not None
    assert time.process_time() - begun < 30  # to try the whole after each line would take ten minutes
