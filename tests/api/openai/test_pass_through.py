"""What clients send to a hosted model, and what comes back besides text, through the whole of Herding."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from herding.errors import HerdingError
from herding.nodes.capabilities import CapabilitiesConfig
from herding.values import Outcome
from tests.api.conftest import ADMIN, client, web
from tests.api.events import events
from tests.support.herding import Place, herding
from tests.support.nodes import echo, openai
from tests.support.raw import saying

pytestmark = pytest.mark.one_database

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
DONE = b"data: [DONE]\n\n"
HI = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def event(delta: Any = None, finish: str | None = None, *, index: int = 0, **more: Any) -> bytes:
    """One event with one choice; `more` are fields of the choice."""
    choice = {"index": index, "delta": delta, "finish_reason": finish, **more}
    return whole(choices=[choice])


def whole(**fields: Any) -> bytes:
    return b"data: " + json.dumps({"id": "1", "object": "chat.completion.chunk", **fields}).encode() + b"\n\n"


STOP = event({}, "stop") + DONE
GOOD = event({"role": "assistant", "content": "Good"}) + STOP


class Hosted:
    """A Herding with one hosted model `ok`, whose server says the same to everybody."""

    def __init__(self, api: httpx.AsyncClient, place: Place, seen: list[Any]) -> None:
        self.api, self.place, self._seen = api, place, seen

    @property
    def sent(self) -> dict[str, Any]:
        """The last body that the server got, without what every body has."""
        own = ("model", "stream", "stream_options")
        return {name: value for name, value in self._seen[-1].items() if name not in own}

    @property
    def calls(self) -> int:
        return len(self._seen)

    async def chat(self, **body: Any) -> Any:
        response = await self.api.post("/v1/chat/completions", json={"model": "ok", "messages": HI, **body})
        assert response.status_code == 200, response.text
        return response.json()

    async def streamed(self, path: str = "/v1/chat/completions", **body: Any) -> list[Any]:
        """The choices of all chunks of a stream."""
        given = {"model": "ok", "stream": True, **({"messages": HI} if "chat" in path else {}), **body}
        *told, (_, end) = events(await self.api.post(path, json=given))
        assert end == "[DONE]"
        return [choice for _, chunk in told for choice in chunk["choices"]]

    async def row(self) -> Outcome:
        return (await self.place.rows())[0]


@asynccontextmanager
async def hosted(home: Path, *parts: bytes, **more: Any) -> AsyncIterator[Hosted]:
    seen: list[Any] = []
    async with saying(HEAD, *parts, seen=seen) as url:
        node = openai(url, "ok", **more)
        async with herding(home, node, echo()) as place, client(web(place), ADMIN) as api:
            yield Hosted(api, place, seen)


@asynccontextmanager
async def hosted_at(home: Path, url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with herding(home, openai(url, "ok")) as place, client(web(place), ADMIN) as api:
        yield api


# Reasoning


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_is_kept_apart_and_passed_on_under_its_name(tmp_path: Path, name: str) -> None:
    said = (event({"role": "assistant", "content": None, name: "Let me "}), event({name: "think", "content": ""}))
    async with hosted(tmp_path, *said, event({"content": "4"}), STOP) as it:
        message = (await it.chat())["choices"][0]["message"]
        assert message == {"role": "assistant", "content": "4", "refusal": None, name: "Let me think"}
        row = await it.row()
        assert (row.answer, row.reasoning, row.note) == ("4", "Let me think", None)
        deltas = [choice["delta"] for choice in await it.streamed()]
        assert "".join(delta.get(name) or "" for delta in deltas) == "Let me think"
        assert "".join(delta.get("content") or "" for delta in deltas) == "4"


async def test_both_names_at_once_are_one_reasoning(tmp_path: Path) -> None:
    both = event({"reasoning": "Hm.", "reasoning_content": "Hm."})
    async with hosted(tmp_path, both, GOOD) as it:
        message = (await it.chat())["choices"][0]["message"]
        assert (message["reasoning"], message["reasoning_content"], message["content"]) == ("Hm.", "Hm.", "Good")
        assert (await it.row()).reasoning == "Hm."


async def test_parts_that_think(tmp_path: Path) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    said = event({"content": [thinking]}) + event({"content": [{"type": "text", "text": "Good"}]})
    async with hosted(tmp_path, said, STOP) as it:
        message = (await it.chat())["choices"][0]["message"]
        assert (message["content"], message["reasoning_content"]) == ("Good", "Hm.")


JSON = "name: J\ntarget_models: [ok]\nmessages: [{role: user, content: x}]\nchecks: {json_schema: {type: object}}\n"


@pytest.mark.parametrize("open_tag", ["<think>", "\n<think>", "[THINK]"])
async def test_reasoning_inside_the_text_is_not_judged(tmp_path: Path, open_tag: str) -> None:
    close = "[/THINK]" if "[" in open_tag else "</think>"
    text = f'{open_tag}\nWhat is {{maybe}} <b>?\n{close}\n\n{{"a": 1}}'
    pieces = [event({"content": text[start : start + 3]}) for start in range(0, len(text), 3)]
    async with hosted(tmp_path, *pieces, STOP) as it:
        it.place.write("j", JSON)
        response = (await it.api.post("/api/v1/infer", json={"prompt": "j"})).json()
        assert response["checks"] == {"ok": True, "reason": None}
        assert (response["text"], response["reasoning"]) == ('{"a": 1}', "\nWhat is {maybe} <b>?\n")
        assert (await it.chat())["choices"][0]["message"]["content"] == text  # as it came
        chunks = await it.streamed()
        assert "".join(choice["delta"].get("content") or "" for choice in chunks) == text


async def test_stop_strings_do_not_cut_reasoning(tmp_path: Path) -> None:
    said = event({"content": "<think>a END b</think>c END d"})
    async with hosted(tmp_path, said, STOP) as it:
        await it.chat(stop="END")
        row = await it.row()
        assert (row.answer, row.reasoning) == ("c ", "a END b")


async def test_a_text_that_only_looks_like_reasoning_is_a_text(tmp_path: Path) -> None:
    for text in ("<thin ice>", "<", "  [THIN", "Say <think>x</think>"):
        async with hosted(tmp_path / str(hash(text)), event({"content": text}), STOP) as it:
            assert (await it.chat())["choices"][0]["message"]["content"] == text
            row = await it.row()
            assert (row.answer, row.reasoning) == (text, "")


async def test_a_response_without_text_says_why(tmp_path: Path) -> None:
    cases = (
        (event({"reasoning_content": "Hm."}) + event({}, "length"), "reasoning and no text. It ended at the maximum"),
        (event({"content": "<think>Hm."}) + event({}, "length"), "reasoning and no text"),
        (event({"tool_calls": [{"index": 0, **CALL}]}) + event({}, "tool_calls"), "tool calls and no text"),
        (event({"refusal": "I can't."}) + event({}, "stop"), "refused"),
        (event({"content": ""}, "content_filter"), "content filter"),
        (event({"role": "assistant", "content": ""}) + event({}, "stop"), "empty"),
    )
    for number, (said, words) in enumerate(cases):
        async with hosted(tmp_path / str(number), said + DONE) as it:
            await it.chat()
            assert words in ((await it.row()).note or "")


async def test_a_stream_of_the_native_api_has_the_reasoning_apart(tmp_path: Path) -> None:
    async with hosted(tmp_path, event({"reasoning": "Hm."}), GOOD) as it:
        it.place.write("j", JSON.replace("checks: {json_schema: {type: object}}", ""))
        told = events(await it.api.post("/api/v1/infer", json={"prompt": "j", "stream": True}))
        deltas = [data for kind, data in told if kind == "delta"]
        assert deltas[0]["reasoning"] == "Hm."
        assert "".join(delta["text"] for delta in deltas) == "Good"
        assert told[-1][1]["reasoning"] == "Hm."


# Tools


async def test_tools_go_both_ways(tmp_path: Path) -> None:
    begun = {"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    said = (
        event({"role": "assistant", "content": None, "tool_calls": [begun]}),
        event({"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]}),
        event({"tool_calls": [{"index": 0, "function": {"arguments": '"Oslo"}'}}]}),
        event({"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "time", "arguments": "{}"}}]}),
        event({}, "tool_calls") + DONE,
    )
    messages = [
        {"role": "developer", "content": "be kind"},
        {"role": "user", "content": "weather?", "name": "ada"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "assistant", "content": "Rain.", "reasoning_content": "It said so."},
        {"role": "user", "content": "and now?"},
    ]
    given = {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False}
    async with hosted(tmp_path, *said) as it:
        choice = (await it.chat(messages=messages, **given))["choices"][0]
        assert it.sent == {"messages": messages, **given}
        assert choice["finish_reason"] == "tool_calls"
        first, second = choice["message"]["tool_calls"]
        assert first == CALL
        assert second["function"] == {"name": "time", "arguments": "{}"}
        assert choice["message"]["content"] is None
        row = await it.row()
        assert [call["function"]["name"] for call in row.tool_calls] == ["weather", "time"]
        assert row.parameters.more["tools"] == [TOOL]
        assert json.loads(row.input) == messages
        chunks = await it.streamed(messages=messages, **given)
        deltas = [call for choice in chunks for call in choice["delta"].get("tool_calls") or ()]
        assert deltas[0] == begun
        assert "".join(call["function"].get("arguments", "") for call in deltas[:3]) == '{"city": "Oslo"}'
        assert chunks[-1]["finish_reason"] == "tool_calls"
        entry = (await it.api.get(f"/api/v1/history/{row.request_id}")).json()
        assert entry["tool_calls"][0]["function"]["arguments"] == '{"city": "Oslo"}'


async def test_what_a_node_cannot_do_is_refused_by_name_before_anything_is_sent(tmp_path: Path) -> None:
    nothing = CapabilitiesConfig(tools=False, images=False, n=False, logprobs=False, token_ids=False, parameters=["n"])
    picture = [{"role": "user", "content": [{"type": "text", "text": "?"}, IMAGE]}]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"tools": [TOOL]}, "tools"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"messages": [*HI, {"role": "tool", "tool_call_id": "1", "content": "x"}]}, "messages.1"),
        ({"messages": picture}, "messages.0.content.1"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"return_token_ids": True}, "return_token_ids"),
    ]
    async with hosted(tmp_path, GOOD, capabilities=nothing) as it:
        for model in ("ok", "echo"):
            for body, param in cases:
                response = await it.api.post(
                    "/v1/chat/completions", json={"model": model, "messages": HI, **body, "stream": model == "echo"}
                )
                error = response.json()["error"]
                assert (response.status_code, error["param"]) == (400, param), body
        response = await it.api.post("/v1/completions", json={"model": "ok", "prompt": [[1, 2]]})
        assert (response.status_code, response.json()["error"]["param"]) == (400, "prompt")
        assert it.calls == 0
        assert await it.place.rows() == []


async def test_only_nodes_that_can_are_considered(tmp_path: Path) -> None:
    plain = CapabilitiesConfig(tools=False)
    seen: list[Any] = []
    async with saying(HEAD, GOOD, seen=seen) as url:
        nodes = [openai(url, "ok", name="plain", capabilities=plain), openai(url, "ok", name="able")]
        async with herding(tmp_path, *nodes) as place, client(web(place), ADMIN) as api:
            for _ in range(3):
                response = await api.post("/v1/chat/completions", json={"model": "ok", "messages": HI, "tools": [TOOL]})
                assert response.headers["x-herding-node"] == "able"
            models = {model["id"]: model for model in (await api.get("/api/v1/models")).json()["models"]}
    assert "tools" in models["ok"]["capabilities"]["able"]["features"]
    assert "tools" not in models["ok"]["capabilities"]["plain"]["features"]


async def test_single_models_of_a_node_can_differ(tmp_path: Path) -> None:
    blind = {"blind": CapabilitiesConfig(images=False)}
    picture = [{"role": "user", "content": [IMAGE]}]
    seen: list[Any] = []
    async with saying(HEAD, GOOD, seen=seen) as url:
        node = openai(url, "ok", "blind", model_capabilities=blind)
        async with herding(tmp_path, node) as place, client(web(place), ADMIN) as api:
            for model, status in (("ok", 200), ("blind", 400)):
                body = {"model": model, "messages": picture}
                assert (await api.post("/v1/chat/completions", json=body)).status_code == status
    assert seen[-1]["messages"] == picture


# Parameters


ALL = {
    **{"temperature": 0.5, "top_p": 0.9, "top_k": 40, "seed": 7, "stop": ["x"], "min_p": 0.1, "user": "ada"},
    **{"presence_penalty": 0.5, "frequency_penalty": -0.5, "repetition_penalty": 1.1, "logit_bias": {"50256": -100}},
    **{"reasoning_effort": "low", "verbosity": "low", "service_tier": "flex", "metadata": {"a": "b"}, "store": True},
    **{"chat_template_kwargs": {"enable_thinking": False}, "modalities": ["text"], "prediction": {"type": "content"}},
    **{"return_token_ids": True, "a_vendors_own": {"deep": [1]}},
}


async def test_every_parameter_is_sent_and_stored(tmp_path: Path) -> None:
    async with hosted(tmp_path, GOOD) as it:
        await it.chat(**ALL, max_completion_tokens=9)
        assert it.sent == {"messages": HI, **ALL, "max_completion_tokens": 9}
        assert (await it.row()).parameters.given() == {**ALL, "stop": ("x",), "max_completion_tokens": 9}


async def test_a_prompt_declares_any_of_them(tmp_path: Path) -> None:
    declared = {name: value for name, value in ALL.items() if name != "a_vendors_own"}
    extra = {"extra_body": {"a_vendors_own": {"deep": [1]}}}
    async with hosted(tmp_path, GOOD) as it:
        it.place.write("p", JSON + f"parameters: {json.dumps({**declared, **extra, 'max_tokens': 5})}\n")
        await it.api.post("/api/v1/infer", json={"prompt": "p"})
        assert it.sent == {"messages": [{"role": "user", "content": "x"}], **ALL, "max_tokens": 5}
        given = {"tools": [TOOL], "top_k": 3, "max_completion_tokens": 8}
        await it.api.post("/api/v1/infer", json={"prompt": "p", "parameters": given})
        assert {name: it.sent[name] for name in given} == given
        assert "max_tokens" not in it.sent


async def test_values_for_the_default_are_not_sent(tmp_path: Path) -> None:
    defaults = {
        **{"max_tokens": -1, "max_completion_tokens": -1, "top_k": -1, "seed": -1, "top_p": 0, "stop": ""},
        **{"tools": [], "tool_choice": None, "functions": None, "logit_bias": {}, "n": None, "temperature": None},
    }
    async with hosted(tmp_path, GOOD) as it:
        await it.chat(**defaults)
        assert it.sent == {"messages": HI}
        await it.chat(stop=[""], model=None)
        assert it.sent == {"messages": HI}
        response = await it.api.post("/v1/completions", json={"model": "ok", "prompt": "a", **defaults})
        assert response.status_code == 200
        it.place.write("p", JSON)
        numbers = {name: defaults[name] for name in ("max_tokens", "top_k", "seed", "top_p", "stop")}
        assert (await it.api.post("/api/v1/infer", json={"prompt": "p", "parameters": numbers})).status_code == 200


async def test_a_parameter_that_a_node_does_not_take_is_named_on_the_response(tmp_path: Path) -> None:
    few = CapabilitiesConfig(parameters=["temperature", "max_tokens"])
    async with hosted(tmp_path, GOOD, capabilities=few) as it:
        it.place.write("p", JSON + "parameters: {top_k: 40, min_p: 0.1, temperature: 0.5}\n")
        response = await it.api.post("/api/v1/infer", json={"prompt": "p"})
        assert response.json()["ignored_parameters"] == ["top_k", "min_p"]
        assert response.headers["x-herding-ignored"] == "top_k, min_p"
        row = await it.row()
        assert row.parameters.given() == {"temperature": 0.5}
        assert it.sent["temperature"] == 0.5
        assert not {"top_k", "min_p"} & it.sent.keys()
        await it.chat(max_completion_tokens=7, user="ada", frequency_penalty=0)
        assert it.sent == {"messages": HI, "max_tokens": 7}
        assert (await it.row()).ignored == ("user",)


# Choices, log probabilities, token ids, ends


async def test_choices_are_not_mixed(tmp_path: Path) -> None:
    said = [event({"content": word}, index=index) for word in ("a", "b") for index in (1, 0)]
    ends = event({}, "stop", index=0) + event({}, "length", index=1) + DONE
    async with hosted(tmp_path, *said, ends) as it:
        choices = (await it.chat(n=2))["choices"]
        assert [(c["index"], c["message"]["content"], c["finish_reason"]) for c in choices] == [
            (0, "ab", "stop"),
            (1, "ab", "length"),
        ]
        assert it.sent["n"] == 2
        row = await it.row()
        assert (row.answer, [choice.text for choice in row.choices]) == ("ab", ["ab", "ab"])
        chunks = await it.streamed(n=2)
        for index, reason in ((0, "stop"), (1, "length")):
            own = [chunk for chunk in chunks if chunk["index"] == index]
            assert "".join(chunk["delta"].get("content") or "" for chunk in own) == "ab"
            assert [chunk["finish_reason"] for chunk in own if chunk["finish_reason"]] == [reason]
            assert own[0]["delta"]["role"] == "assistant"


async def test_log_probabilities_and_token_ids(tmp_path: Path) -> None:
    words = [("Go", 5), ("od", 6)]
    said = [
        event({"content": word}, logprobs={"content": [{"token": word, "logprob": -0.1}]}, token_ids=[token])
        for word, token in words
    ]
    async with hosted(tmp_path, *said, STOP) as it:
        choice = (await it.chat(logprobs=True, top_logprobs=0, return_token_ids=True))["choices"][0]
        assert [entry["token"] for entry in choice["logprobs"]["content"]] == ["Go", "od"]
        assert (choice["token_ids"], choice["message"]["content"]) == ([5, 6], "Good")
        chunks = await it.streamed(logprobs=True, return_token_ids=True)
        assert [chunk["token_ids"] for chunk in chunks if chunk.get("token_ids")] == [[5], [6]]


@pytest.mark.parametrize("reason", ["length", "content_filter", "function_call", "a_vendors_own"])
async def test_the_reason_of_the_end_is_the_servers(tmp_path: Path, reason: str) -> None:
    async with hosted(tmp_path, event({"content": "Hel"}), event({}, reason) + DONE) as it:
        assert (await it.chat())["choices"][0]["finish_reason"] == reason
        assert (await it.streamed())[-1]["finish_reason"] == reason
        assert (await it.row()).finish_reason == reason


async def test_an_end_with_an_error_is_an_error(tmp_path: Path) -> None:
    failed = event({"content": ""}, "error", error={"message": "Provider gave up"})
    async with hosted(tmp_path, event({"content": "Hel"}), failed, DONE) as it:
        response = await it.api.post("/v1/chat/completions", json={"model": "ok", "messages": HI})
        assert response.status_code == 502
        row = await it.row()
        assert (row.status, row.answer) == ("partial", "Hel")
        assert "Provider gave up" in (row.error or "")


async def test_usage_details_and_further_fields(tmp_path: Path) -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 3}, "prompt_tokens_details": {"cached_tokens": 4}}
    usage = whole(choices=[], usage={"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, **details})
    first = whole(choices=[{"index": 0, "delta": {"content": "a"}}], system_fingerprint="fp_1", service_tier="flex")
    async with hosted(tmp_path, first, event({}, "stop"), usage, DONE) as it:
        body = await it.chat()
        assert (body["system_fingerprint"], body["service_tier"]) == ("fp_1", "flex")
        assert body["usage"] == {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, **details}
        row = await it.row()
        assert (row.usage.reasoning_tokens, row.usage.cached_tokens) == (3, 4)
        models = (await it.api.get("/v1/models")).json()["data"]
        assert all(model["created"] > 1_700_000_000 for model in models)


# Completions and embeddings


@pytest.mark.parametrize(
    "prompt", [["a", "b"], [1, 2, 3], [[1, 2], [3]]], ids=["texts", "token ids", "lists of token ids"]
)
async def test_raw_prompts_of_all_forms(tmp_path: Path, prompt: Any) -> None:
    said = whole(choices=[{"index": index, "text": f"t{index}", "finish_reason": "stop"} for index in (0, 1)])
    given = {"echo": True, "logprobs": 1, "best_of": 2, "suffix": "end"}
    async with hosted(tmp_path, said, DONE) as it:
        response = await it.api.post("/v1/completions", json={"model": "ok", "prompt": prompt, **given})
        assert [choice["text"] for choice in response.json()["choices"]] == ["t0", "t1"]
        assert it.sent == {"prompt": prompt, **given}
        assert json.loads((await it.row()).input) == (prompt if prompt != [1, 2, 3] else [[1, 2, 3]])
        chunks = await it.streamed("/v1/completions", prompt=prompt)
        assert {chunk["index"]: chunk["text"] for chunk in chunks if chunk["text"]} == {0: "t0", 1: "t1"}


@pytest.mark.parametrize("given", [[1, 2, 3], [[1, 2], [3]]], ids=["one", "two"])
async def test_embeddings_of_token_ids(tmp_path: Path, given: Any) -> None:
    count, seen = 1 if given == [1, 2, 3] else 2, list[Any]()
    vectors = {"data": [{"index": index, "embedding": [0.5, index]} for index in range(count)]}
    said = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + json.dumps(vectors).encode()
    more = {"user": "ada", "dimensions": 2, "input_type": "query"}
    async with saying(said, seen=seen) as url:
        node = openai(url, "ok", embedding_models=["e"])
        async with herding(tmp_path, node) as place, client(web(place), ADMIN) as api:
            response = await api.post("/v1/embeddings", json={"model": "e", "input": given, **more})
            assert len(response.json()["data"]) == count
            assert response.json()["usage"]["prompt_tokens"] == 3
    assert seen[-1].pop("encoding_format") == "base64"
    assert seen[-1] == {"model": "e", "input": [given] if count == 1 else given, **more}


# Prompts as models


TALK = """
    name: Talk
    chat: true
    target_models: [ok]
    variables: {text: {default: nothing}}
    messages:
      - {role: system, content: be kind}
      - {role: user, content: "Say: {{text}}"}
    """


async def test_a_prompt_takes_tools_pictures_and_results(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "rain"}
    asked = {"role": "user", "content": [{"type": "text", "text": "hi"}, IMAGE]}
    async with hosted(tmp_path, GOOD) as it:
        it.place.write("talk", TALK)
        await it.chat(model="prompt:talk", messages=[asked, call, result], tools=[TOOL])
        system, user, *rest = it.sent["messages"]
        assert system == {"role": "system", "content": "be kind"}
        assert user == {"role": "user", "content": [{"type": "text", "text": "Say: hi"}, IMAGE]}
        assert rest == [call, result]
        assert it.sent["tools"] == [TOOL]
        row = await it.row()
        assert (row.prompt, row.variables["text"]) == ("talk", "hi")


# What is stored


async def test_large_pictures_are_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("herding.values.bounds.MAX_STORED_PART", 20_000)
    large = "data:image/png;base64," + "A" * 20_001
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": large}}, IMAGE]}]
    async with hosted(tmp_path, GOOD) as it:
        await it.chat(messages=picture)
        assert it.sent["messages"] == picture
        stored = json.loads((await it.row()).input)[0]["content"]
        assert stored[1] == IMAGE
        assert "image/png, 20,023 characters, SHA-256" in stored[0]["image_url"]["url"]
        assert (await it.row()).usage.input_tokens < 3_000


async def test_deleted_content_takes_all_of_it_along(tmp_path: Path) -> None:
    async with hosted(tmp_path, event({"reasoning": "secret", "content": "Good"}), STOP) as it:
        await it.chat(tools=[TOOL], temperature=0.5)
        row = await it.row()
        await it.api.delete(f"/api/v1/history/{row.request_id}")
        row = await it.row()
        assert (row.reasoning, row.choices) == ("", ())
        assert row.parameters.given() == {"temperature": 0.5}


async def test_a_key_is_removed_from_all_of_a_response(tmp_path: Path) -> None:
    key = "sk-secret-key-1234"
    said = (
        event({"reasoning": "It is sk-sec", "content": ""}),
        event({"reasoning": "ret-key-1234."}),
        event({"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": f'"{key[:9]}'}}]}),
        event({"tool_calls": [{"index": 0, "function": {"arguments": f'{key[9:]}"'}}]}),
        event({"refusal": f"No {key[:5]}"}),
    )
    async with hosted(tmp_path, *said, STOP, keys={"K": key}, api_key_env="K") as it:
        message = (await it.chat())["choices"][0]["message"]
        assert key not in json.dumps(message)
        assert message["reasoning"] == "It is [key removed]."
        assert message["tool_calls"][0]["function"]["arguments"] == '"[key removed]"'
        assert message["refusal"] == f"No {key[:5]}"


async def test_a_slow_thinker_is_alive(tmp_path: Path) -> None:
    thoughts = [event({"reasoning_content": f"{number} "}) for number in range(60)]
    patience = {"first_token": 0.5, "idle": 0.5}
    async with hosted(tmp_path, *thoughts, GOOD) as it:
        it.place.herd["hosted"].deadlines = it.place.herd["hosted"].deadlines.model_copy(update=patience)
        try:
            body = await it.chat()
        except HerdingError as error:  # pragma: no cover
            raise AssertionError(error.message) from error
        assert body["choices"][0]["message"]["content"] == "Good"


async def test_calls_without_numbers_get_some(tmp_path: Path) -> None:
    other = {**CALL, "id": "c2"}
    begun = {"id": "c3", "type": "function", "function": {"name": "f", "arguments": '{"a"'}}
    rest = {"function": {"arguments": ": 1}"}}
    said = [event({"tool_calls": calls}) for calls in ([CALL], [other], [begun], [rest])]
    async with hosted(tmp_path, *said, event({}, "tool_calls") + DONE) as it:
        calls = (await it.chat())["choices"][0]["message"]["tool_calls"]
        assert [call["id"] for call in calls] == ["c1", "c2", "c3"]
        assert calls[2]["function"]["arguments"] == '{"a": 1}'
        deltas = [call for choice in await it.streamed() for call in choice["delta"].get("tool_calls") or ()]
        assert [call["index"] for call in deltas] == [0, 1, 2, 2]


async def test_a_whole_response_has_the_same(tmp_path: Path) -> None:
    message = {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [CALL]}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    async with saying(head, json.dumps(body).encode()) as url, hosted_at(tmp_path, url) as api:
        response = await api.post("/v1/chat/completions", json={"model": "ok", "messages": HI})
        assert response.json()["choices"][0]["message"] == {**message, "refusal": None}
        given = {"model": "ok", "messages": HI, "stream": True}
        *told, _ = events(await api.post("/v1/chat/completions", json=given))
        deltas = [choice["delta"] for _, chunk in told for choice in chunk["choices"]]
        assert [delta["tool_calls"][0]["index"] for delta in deltas if "tool_calls" in delta] == [0]
