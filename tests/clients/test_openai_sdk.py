"""The official Python client: what it gets, and what the server is asked, is the same on every way."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

import openai
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from pydantic import BaseModel

from tests.clients.conftest import Way
from tests.support.upstream import Upstream
from tests.support.upstream.completions import texts_of, vector

Scenario = Callable[[openai.OpenAI, Way], Any]
SCENARIOS: dict[str, Scenario] = {}

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\x00" * 59).decode()
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place.",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
ADD: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "add_numbers",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
    },
}
IN_PARIS = "How is the weather in 'Paris'?"


class City(BaseModel):
    """A structured response."""

    name: str
    country: str
    people: int


def scenario(made: Scenario) -> Scenario:
    """Let `made` run on every way."""
    SCENARIOS[made.__name__] = made
    return made


def user(content: Any, **more: Any) -> list[Any]:
    """A chat of one message."""
    return [{"role": "user", "content": content, **more}]


def gathered(stream: Any) -> Any:
    """The whole response of a stream, put together by the client's own code."""
    state = ChatCompletionStreamState()
    for chunk in stream:
        state.handle_chunk(chunk)
    return state.get_final_completion()


@scenario
def chat(sdk: openai.OpenAI, way: Way) -> Any:
    got = sdk.chat.completions.create(model=way.chat, messages=user("Hello there"))
    assert got.choices[0].message.content == "You said: Hello there"
    assert got.system_fingerprint == "fp_44709d6fcb"
    assert got.service_tier == "default"
    assert got.usage is not None
    assert got.usage.prompt_tokens_details is not None
    assert got.usage.prompt_tokens_details.cached_tokens == 1
    return got


@scenario
def stream_with_usage(sdk: openai.OpenAI, way: Way) -> Any:
    stream = sdk.chat.completions.create(
        model=way.chat, messages=user("Hello there"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices]
    assert "".join(filter(None, pieces)) == "You said: Hello there"
    assert chunks[-1].usage is not None
    assert chunks[-1].choices == []
    return gathered(chunks)


@scenario
def stream_without_usage(sdk: openai.OpenAI, way: Way) -> Any:
    chunks = list(sdk.chat.completions.create(model=way.chat, messages=user("Hello there"), stream=True))
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    return gathered(chunks)


@scenario
def every_parameter(sdk: openai.OpenAI, way: Way) -> Any:
    return sdk.chat.completions.create(
        model=way.chat,
        messages=user("Hello there"),
        temperature=0.5,
        top_p=0.9,
        frequency_penalty=0.25,
        presence_penalty=-0.5,
        logit_bias={"1734": -100},
        max_completion_tokens=50,
        metadata={"team": "blue"},
        prompt_cache_key="shared",
        reasoning_effort="low",
        safety_identifier="user-7",
        seed=7,
        service_tier="flex",
        stop=["\n\n", "END"],
        store=False,
        user="user-7",
        verbosity="low",
        extra_body={
            "top_k": 20,
            "min_p": 0.05,
            "repetition_penalty": 1.1,
            "chat_template_kwargs": {"enable_thinking": False},
        },
    )


@scenario
def older_name_of_the_limit(sdk: openai.OpenAI, way: Way) -> Any:
    got = sdk.chat.completions.create(model=way.chat, messages=user("one two three four"), max_tokens=3)
    assert got.choices[0].finish_reason == "length"
    return got


@scenario
def stop_string(sdk: openai.OpenAI, way: Way) -> Any:
    got = sdk.chat.completions.create(model=way.chat, messages=user("one two three"), stop=["two"])
    assert got.choices[0].message.content == "You said: one "
    return got


@scenario
def names_and_developer(sdk: openai.OpenAI, way: Way) -> Any:
    messages: Any = [{"role": "developer", "content": "Be kind."}, *user("Hello", name="Ada")]
    got = sdk.chat.completions.create(model=way.chat, messages=messages)
    assert got.choices[0].message.content == "Ada said: Hello"
    return got


@scenario
def tool_round_trip(sdk: openai.OpenAI, way: Way) -> Any:
    messages = user(IN_PARIS)
    first = sdk.chat.completions.create(model=way.chat, messages=messages, tools=[WEATHER, ADD], tool_choice="auto")
    assert first.choices[0].finish_reason == "tool_calls"
    (call,) = first.choices[0].message.tool_calls or ()
    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"location": "Paris"}
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}]
    second = sdk.chat.completions.create(model=way.chat, messages=messages, tools=[WEATHER, ADD])
    assert second.choices[0].message.content == "The tools returned: 18 degrees"
    return first, second


@scenario
def tool_round_trip_streamed(sdk: openai.OpenAI, way: Way) -> Any:
    messages = user(IN_PARIS)
    chunks = list(sdk.chat.completions.create(model=way.chat, messages=messages, tools=[WEATHER], stream=True))
    deltas = [call for chunk in chunks for one in chunk.choices for call in one.delta.tool_calls or ()]
    assert len(deltas) > 2, "the arguments come bit by bit"
    first = gathered(chunks)
    (call,) = first.choices[0].message.tool_calls
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}]
    second = gathered(sdk.chat.completions.create(model=way.chat, messages=messages, tools=[WEATHER], stream=True))
    assert second.choices[0].message.content == "The tools returned: 18 degrees"
    return first, second


@scenario
def parallel_tools(sdk: openai.OpenAI, way: Way) -> Any:
    messages = user("How is the weather in 'Paris', and in 'Rome'?")
    whole = sdk.chat.completions.create(model=way.chat, messages=messages, tools=[WEATHER])
    streamed = gathered(sdk.chat.completions.create(model=way.chat, messages=messages, tools=[WEATHER], stream=True))
    one = sdk.chat.completions.create(model=way.chat, messages=messages, tools=[WEATHER], parallel_tool_calls=False)
    calls: Any = whole.choices[0].message.tool_calls
    assert [call.function.arguments for call in calls] == ['{"location": "Paris"}', '{"location": "Rome"}']
    assert len(one.choices[0].message.tool_calls or ()) == 1
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"{n} degrees"} for n, call in enumerate(calls)]
    messages += [whole.choices[0].message, *results]
    after = sdk.chat.completions.create(model=way.chat, messages=messages, tools=[WEATHER])
    assert after.choices[0].message.content == "The tools returned: 0 degrees | 1 degrees"
    return whole, streamed, one, after


@scenario
def named_required_and_no_tool(sdk: openai.OpenAI, way: Way) -> Any:
    choices: list[Any] = [{"type": "function", "function": {"name": "add_numbers"}}, "required", "none"]
    got = [
        sdk.chat.completions.create(
            model=way.chat, messages=user("Weather: add 3 and 4"), tools=[WEATHER, ADD], tool_choice=choice
        )
        for choice in choices
    ]
    calls: list[Any] = [one.choices[0].message.tool_calls for one in got]
    assert calls[0][0].function.arguments == '{"a": 3, "b": 4}'
    assert calls[1][0].function.name == "get_weather"
    assert calls[2] is None
    return got


@scenario
def functions_of_the_older_api(sdk: openai.OpenAI, way: Way) -> Any:
    messages = user(IN_PARIS)
    first = sdk.chat.completions.create(model=way.chat, messages=messages, functions=[WEATHER["function"]])
    called: Any = first.choices[0].message.function_call
    assert called.name == "get_weather"
    messages += [first.choices[0].message, {"role": "function", "name": "get_weather", "content": "18 degrees"}]
    second = sdk.chat.completions.create(model=way.chat, messages=messages, functions=[WEATHER["function"]])
    return first, second


@scenario
def parts_of_all_kinds(sdk: openai.OpenAI, way: Way) -> Any:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://pictures.example/cat.png"}},
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"RIFFxxxx").decode(), "format": "wav"}},
        {
            "type": "file",
            "file": {
                "filename": "a.pdf",
                "file_data": f"data:application/pdf;base64,{base64.b64encode(b'%PDF').decode()}",
            },
        },
        {"type": "file", "file": {"file_id": "file-6F2ksmvXxt4VdoqmHRw6kL"}},
    ]
    got = sdk.chat.completions.create(model=way.chat, messages=user(parts))
    assert got.choices[0].message.content == (
        "You said: What is this? [image image/png, 67 bytes, detail low] [image https://pictures.example/cat.png]"
        " [audio wav, 8 bytes] [file a.pdf application/pdf, 4 bytes] [file file-6F2ksmvXxt4VdoqmHRw6kL]"
    )
    return got


@scenario
def text_in_several_parts(sdk: openai.OpenAI, way: Way) -> Any:
    messages = user([{"type": "text", "text": "Weather"}])
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages += [{"role": "assistant", "content": "I look.", "tool_calls": [call]}]
    parts = [{"type": "text", "text": "18 degrees"}, {"type": "text", "text": "no rain"}]
    messages += [{"role": "tool", "tool_call_id": "c1", "content": parts}]
    got = sdk.chat.completions.create(model=way.chat, messages=messages, tools=[WEATHER])
    assert got.choices[0].message.content == "The tools returned: 18 degrees no rain"
    return got


@scenario
def image_among_earlier_messages(sdk: openai.OpenAI, way: Way) -> Any:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    messages = [*user([picture]), {"role": "assistant", "content": "A picture."}, *user("Which one?")]
    got = sdk.chat.completions.create(model=way.chat, messages=messages)
    assert got.usage is not None
    assert got.usage.prompt_tokens > 85
    return got


@scenario
def spoken_response(sdk: openai.OpenAI, way: Way) -> Any:
    more: Any = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    got = sdk.chat.completions.create(model=way.chat, messages=user("Hello"), **more)
    assert got.choices[0].message.audio is not None
    assert got.choices[0].message.audio.transcript == "You said: Hello"
    return got


@scenario
def several_choices(sdk: openai.OpenAI, way: Way) -> Any:
    got = sdk.chat.completions.create(model=way.chat, messages=user("Hello"), n=2)
    assert [one.message.content for one in got.choices] == ["You said: Hello", "You said: Hello (choice 1)"]
    streamed = gathered(sdk.chat.completions.create(model=way.chat, messages=user("Hello"), n=2, stream=True))
    assert [one.message.content for one in streamed.choices] == ["You said: Hello", "You said: Hello (choice 1)"]
    return got, streamed


@scenario
def logprobs(sdk: openai.OpenAI, way: Way) -> Any:
    asked: Any = {"model": way.chat, "messages": user("Grüße"), "logprobs": True, "top_logprobs": 2}
    got = sdk.chat.completions.create(**asked)
    assert got.choices[0].logprobs is not None
    assert [one.token for one in got.choices[0].logprobs.content or ()] == ["You", " said:", " Grüße"]
    streamed = gathered(sdk.chat.completions.create(**asked, stream=True))
    assert streamed.choices[0].logprobs.content == got.choices[0].logprobs.content
    return got, streamed


@scenario
def reasoning(sdk: openai.OpenAI, way: Way) -> Any:
    messages = user("Think about it")
    got: Any = sdk.chat.completions.create(model=way.reasoner, messages=messages, reasoning_effort="high")
    thought = "The user wrote 14 characters. I think with high effort."
    assert got.choices[0].message.reasoning_content == thought
    assert got.usage.completion_tokens_details.reasoning_tokens > 5
    chunks: Any = list(sdk.chat.completions.create(model=way.reasoner, messages=messages, stream=True))
    pieces = [getattr(chunk.choices[0].delta, "reasoning_content", None) for chunk in chunks]
    assert "".join(filter(None, pieces)) == "The user wrote 14 characters."
    return got, gathered(chunks)


@scenario
def reasoning_that_comes_back(sdk: openai.OpenAI, way: Way) -> Any:
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = user(IN_PARIS)
    messages += [{"role": "assistant", "content": "", "reasoning_content": "Let me look.", "tool_calls": [call]}]
    messages += [{"role": "tool", "tool_call_id": "c1", "content": "rain"}]
    got: Any = sdk.chat.completions.create(model=way.reasoner, messages=messages, tools=[WEATHER])
    assert got.choices[0].message.reasoning_content.endswith("Before, I thought: Let me look.")
    return got


@scenario
def refusal(sdk: openai.OpenAI, way: Way) -> Any:
    got = sdk.chat.completions.create(model=way.chat, messages=user("Please refuse"))
    assert got.choices[0].message.refusal == "I can't help with that."
    assert got.choices[0].message.content is None
    streamed = gathered(sdk.chat.completions.create(model=way.chat, messages=user("Please refuse"), stream=True))
    assert streamed.choices[0].message.refusal == "I can't help with that."
    return got, streamed


@scenario
def structured_output(sdk: openai.OpenAI, way: Way) -> Any:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    formats: list[Any] = [
        {"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}},
        {"type": "json_object"},
    ]
    got = [
        sdk.chat.completions.create(model=way.chat, messages=user("The 'name' in JSON"), response_format=one)
        for one in formats
    ]
    assert [json.loads(one.choices[0].message.content or "") for one in got] == [{"name": "name"}, {"name": "a name"}]
    return got


@scenario
def parsed(sdk: openai.OpenAI, way: Way) -> Any:
    got = sdk.chat.completions.parse(model=way.chat, messages=user("'Paris', 'France', 2100000"), response_format=City)
    assert got.choices[0].message.parsed == City(name="Paris", country="France", people=2100000)
    tool = sdk.chat.completions.parse(
        model=way.chat, messages=user("The city 'Rome'"), tools=[openai.pydantic_function_tool(City, name="tell_city")]
    )
    (call,) = tool.choices[0].message.tool_calls or ()
    assert isinstance(call.function.parsed_arguments, City)
    return got, tool


@scenario
def helper_for_streams(sdk: openai.OpenAI, way: Way) -> Any:
    with sdk.chat.completions.stream(
        model=way.chat, messages=user("'Paris', 'France', 2100000"), response_format=City
    ) as events:
        kinds = {event.type for event in events}
        final = events.get_final_completion()
    assert {"content.delta", "content.done"} <= kinds
    assert final.choices[0].message.parsed == City(name="Paris", country="France", people=2100000)
    with sdk.chat.completions.stream(model=way.chat, messages=user(IN_PARIS), tools=[WEATHER]) as events:
        called = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert called[0].parsed_arguments == {"location": "Paris"}
    return final, events.get_final_completion()


@scenario
def raw_text(sdk: openai.OpenAI, way: Way) -> Any:
    assert way.raw is not None
    got = sdk.completions.create(model=way.raw, prompt="one two", n=2, echo=True, logprobs=1, suffix="end")
    assert [one.text for one in got.choices] == ["one two after two comes end 0", "one two after two comes end 1"]
    assert got.choices[0].logprobs is not None
    chunks = list(sdk.completions.create(model=way.raw, prompt="one two", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == " after two comes more 0"
    return got


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_on_every_way(name: str, way: Way, ways: dict[str, Way], server: Upstream) -> None:
    direct = _run(SCENARIOS[name], ways["direct"], server)
    if way.name != "direct":
        assert list(differences(direct, _run(SCENARIOS[name], way, server))) == []


def _run(scenario: Scenario, way: Way, server: Upstream) -> dict[str, Any]:
    """What the client got and what the server was asked, without what differs from call to call."""
    server.asked.clear()
    with way.sdk() as sdk:
        got = scenario(sdk, way)
    responses = got if isinstance(got, list | tuple) else [got]
    return {
        "got": [_without(one.model_dump(mode="json", warnings=False), "id", "created") for one in responses],
        "asked": [_without(one.body, "stream", "stream_options", "messages") for one in server.asked],
        "messages": [[_message(one) for one in asked.body.get("messages", ())] for asked in server.asked],
    }


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """The message; a text that is its only part is its content."""
    match message.get("content"):
        case [{"type": "text", "text": str(text), **others}] if not others:
            return {**message, "content": text}
    return message


def _without(given: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Where two JSON values differ; null, an empty list and no field at all are the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            yield from differences(one.get(name), other.get(name), f"{place}.{name}")
    elif isinstance(one, list) and isinstance(other, list):
        for number, pair in enumerate(zip_longest(one, other)):
            yield from differences(*pair, f"{place}[{number}]")
    elif one != other and (one or other or isinstance(one, int | float) or isinstance(other, int | float)):
        yield f"{place}: {one!r} became {other!r}"


@pytest.mark.parametrize("name", ["direct", "herding"])
def test_texts_and_token_ids(name: str, ways: dict[str, Way], server: Upstream) -> None:
    way, ids = ways[name], [list(b"one"), list(b"two")]
    with way.sdk() as sdk:
        prompts: list[Any] = [["one", "two"], ids, ids[0]]
        got = [sdk.completions.create(model=way.chat, prompt=prompt, max_tokens=9) for prompt in prompts]
    texts = [" after one comes more 0", " after two comes more 0"]
    assert [[one.text for one in completion.choices] for completion in got] == [texts, texts, texts[:1]]
    assert [one.body["prompt"] for one in server.asked[-3:]] == prompts


@pytest.mark.parametrize("name", ["direct", "herding"])
def test_embeddings(name: str, ways: dict[str, Way], server: Upstream) -> None:
    way = ways[name]
    assert way.embedder is not None
    with way.sdk() as sdk:
        inputs: list[Any] = ["one", ["one", "two"], list(b"one"), [list(b"one"), list(b"two")]]
        got = [sdk.embeddings.create(model=way.embedder, input=one) for one in inputs]
        small = sdk.embeddings.create(model=way.embedder, input="one", dimensions=4, encoding_format="float")
    expected = [vector("one"), vector("two")]
    assert [[item.embedding for item in one.data] for one in got] == [expected[:1], expected, expected[:1], expected]
    assert small.data[0].embedding == pytest.approx(vector("one", 4))
    assert [texts_of(one.body["input"], "") for one in server.asked[-5:-1]] == [["one"], ["one", "two"]] * 2
    assert got[1].usage.prompt_tokens == 2


def test_errors_of_the_server(way: Way, server: Upstream) -> None:
    messages: list[Any] = [*user("Hello"), {"role": "tool", "tool_call_id": "nobody", "content": "x"}, *user("Well?")]
    with way.sdk() as sdk, pytest.raises(openai.BadRequestError) as refused:
        sdk.with_options(max_retries=2).chat.completions.create(model=way.chat, messages=messages)
    assert "must be a response to a preceding 'tool_calls'" in refused.value.message
    assert refused.value.param == "messages.[1].role"
    assert refused.value.type == "invalid_request_error"


async def test_the_client_that_does_not_block(way: Way) -> None:
    asked: Any = {"messages": user(IN_PARIS), "tools": [WEATHER]}
    async with way.async_sdk() as sdk, sdk.chat.completions.stream(model=way.chat, **asked) as events:
        final = await events.get_final_completion()
    calls: Any = final.choices[0].message.tool_calls
    assert calls[0].function.arguments == '{"location": "Paris"}'
