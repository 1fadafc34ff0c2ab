"""What makes each OpenAI-compatible provider different reaches the client as it should.

The modules of `tests.support.providers` say where each behaviour is documented.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.clients.conftest import Way
from tests.clients.test_openai_sdk import ADD, WEATHER, gathered, user
from tests.support.providers import Providers
from tests.support.providers.hyperscalers import SIGNATURE


@pytest.fixture
def sdk(ways: dict[str, Way]) -> Iterator[openai.OpenAI]:
    with ways["herding"].sdk() as made:
        yield made


class Chat:
    """Chats with a provider, whole and streamed."""

    def __init__(self, sdk: openai.OpenAI, server: Providers, name: str) -> None:
        self._create, self._name, self._asked = sdk.chat.completions.create, name, server.asked[name]

    def whole(self, said: Any = "Hi", **more: Any) -> Any:
        return self._create(**{"model": self._name, "messages": user(said), **more})

    def chunks(self, said: Any = "Hi", **more: Any) -> list[Any]:
        options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
        return list(self.whole(said, **options, **more))

    def streamed(self, said: Any = "Hi", **more: Any) -> Any:
        return gathered(self.chunks(said, **more))

    def both(self, said: Any = "Hi", **more: Any) -> tuple[Any, Any]:
        return self.whole(said, **more), self.streamed(said, **more)

    @property
    def sent(self) -> dict[str, Any]:
        """What the provider was asked last."""
        return self._asked[-1].body

    @property
    def calls(self) -> int:
        return len(self._asked)


def refused(chat: Chat, said: str, kind: type[openai.APIStatusError], **more: Any) -> Any:
    """The error of a chat, the same whether it was to be streamed."""
    found = []
    for stream in (False, True):
        with pytest.raises(kind) as error:
            chat.whole(said, stream=stream, **more)
        found.append(error.value)
    assert found[0].message == found[1].message
    return found[0]


def limited(chat: Chat, message: str, seconds: int) -> None:
    """A limit of the provider reaches the client with its hint; until then, it is asked for nothing."""
    with pytest.raises(openai.RateLimitError, match=message) as error:
        chat.whole("too fast")
    assert 0 < int(error.value.response.headers["retry-after"]) <= seconds
    before = chat.calls
    with pytest.raises(openai.APIStatusError) as later:
        chat.whole("too fast")
    assert 0 < int(later.value.response.headers["retry-after"]) <= seconds
    assert chat.calls == before


def broken(chat: Chat, said: str, message: str) -> None:
    """A stream that breaks tells its client, and so does a response that would be whole."""
    with pytest.raises(openai.APIError, match=message) as error:
        chat.chunks(said)
    assert not isinstance(error.value, openai.APIStatusError), "what came before the error has reached the client"
    with pytest.raises(openai.InternalServerError, match=message):
        chat.whole(said)


def choices(chunks: list[Any]) -> list[Any]:
    return [choice for chunk in chunks for choice in chunk.choices]


def message_of(response: Any) -> Any:
    return response.choices[0].message


def counts(response: Any) -> tuple[int, int]:
    return response.usage.prompt_tokens, response.usage.completion_tokens


def test_vllm(sdk: openai.OpenAI, provider_server: Providers) -> None:
    chat = Chat(sdk, provider_server, "vllm")
    own = {"top_k": 20, "min_p": 0.1, "repetition_penalty": 1.1, "chat_template_kwargs": {"enable_thinking": True}}
    for got in chat.both(extra_body=own):
        assert message_of(got).content == "Hello world"
        assert message_of(got).reasoning == "I greet."
        assert counts(got) == (2, 5)
        assert own.items() <= chat.sent.items()
    assert chat.whole(extra_body={"return_token_ids": True}).choices[0].token_ids == [7, 8]
    found = [getattr(one, "token_ids", None) for one in choices(chat.chunks(extra_body={"return_token_ids": True}))]
    assert [token for ids in found for token in ids or ()] == [7, 8]
    error = refused(chat, "too long", openai.BadRequestError)
    assert "maximum context length is 4096" in error.message
    broken(chat, "crash", "EngineCore encountered an issue")


def test_llamacpp(sdk: openai.OpenAI, provider_server: Providers) -> None:
    chat = Chat(sdk, provider_server, "llamacpp")
    for got in chat.both(extra_body={"grammar": 'root ::= "Hello world"'}):
        assert message_of(got).reasoning_content == "I greet."
        assert counts(got) == (2, 5)
        assert got.system_fingerprint == "b10488-9d77fa172"
        assert chat.sent["grammar"] == 'root ::= "Hello world"'
    error = refused(chat, "too long", openai.BadRequestError)
    assert "request (4390 tokens) exceeds the available context size (4096 tokens)" in error.message
    with pytest.raises(openai.InternalServerError, match="Loading model") as loading:
        chat.whole("loading")
    assert loading.value.status_code == 503


def test_ollama(sdk: openai.OpenAI, provider_server: Providers) -> None:
    chat = Chat(sdk, provider_server, "ollama")
    for got in chat.both(tools=[WEATHER]):
        (call,) = message_of(got).tool_calls
        assert (call.id, call.function.arguments) == ("call_k5xqs2l7", '{"location":"Paris"}')
        assert got.choices[0].finish_reason == "tool_calls"
        assert message_of(got).reasoning == "I think."
        assert got.system_fingerprint == "fp_ollama"
        assert counts(got) == (2, 5)
    picture = [{"type": "image_url", "image_url": {"url": "https://pictures.example/cat.png"}}]
    with pytest.raises(openai.BadRequestError, match="invalid image input"):
        chat.whole(picture)
    error = refused(chat, "missing", openai.NotFoundError)
    assert "try pulling it first" in error.message


def test_tgi(sdk: openai.OpenAI, provider_server: Providers) -> None:
    chat = Chat(sdk, provider_server, "tgi")
    for got in chat.both():
        assert message_of(got).content == "Hello world"
        assert counts(got) == (2, 5)
    for got in chat.both(tools=[WEATHER]):
        (call,) = message_of(got).tool_calls
        assert (call.id, call.type, call.function.name) == ("0", "function", "get_weather")
        assert json.loads(call.function.arguments) == {"location": "Paris"}
    error = refused(chat, "too long", openai.UnprocessableEntityError)
    assert "must be <= 4096" in error.message
    assert "Model is overloaded" in refused(chat, "overloaded", openai.RateLimitError).message
    broken(chat, "crash", "Request failed during generation")


def test_gemini(sdk: openai.OpenAI, provider_server: Providers) -> None:
    chat = Chat(sdk, provider_server, "gemini")
    for got in chat.both():
        assert message_of(got).content == "Hello world"
        assert counts(got) == (2, 5)
    for stream in (False, True):
        messages = user("Weather?")
        first = gathered(chat.chunks(messages=messages, tools=[WEATHER])) if stream else chat.whole(tools=[WEATHER])
        (call,) = message_of(first).tool_calls
        assert call.extra_content == SIGNATURE
        messages += [message_of(first), {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}]
        assert message_of(chat.whole(messages=messages, tools=[WEATHER])).content == "Hello world"
    error = refused(chat, "Hi", openai.BadRequestError, seed=7)
    assert 'Unknown name "seed"' in error.message


def test_anthropic(sdk: openai.OpenAI, provider_server: Providers) -> None:
    chat = Chat(sdk, provider_server, "anthropic")
    for got in chat.both():
        assert message_of(got).content == "Hello world"
        assert counts(got) == (2, 5)
    assert "must be exactly 1" in refused(chat, "Hi", openai.BadRequestError, n=2).message
    with pytest.raises(openai.InternalServerError, match="Overloaded"):
        chat.whole("overloaded")


def test_azure(sdk: openai.OpenAI, provider_server: Providers) -> None:
    chat = Chat(sdk, provider_server, "azure")
    got = chat.whole("rude")
    assert (message_of(got).content, got.choices[0].finish_reason) == ("Hello world", "content_filter")
    assert counts(got) == (2, 5)
    assert got.choices[0].content_filter_results == {"hate": {"filtered": False, "severity": "safe"}}
    assert choices(chat.chunks("rude"))[-1].finish_reason == "content_filter"
    assert message_of(chat.whole(max_tokens=20)).content == "Hello world"
    assert chat.sent["max_completion_tokens"] == 20
    before = chat.calls
    assert message_of(chat.whole(max_tokens=20)).content == "Hello world"
    assert chat.calls == before + 1, "the name is remembered"
    error = refused(chat, "attack", openai.BadRequestError)
    assert (error.code, error.param) == ("content_filter", "prompt")
    assert "content management policy" in error.message
    limited(chat, "exceeded the call rate limit", seconds=7)


def test_mistral(sdk: openai.OpenAI, provider_server: Providers) -> None:
    chat = Chat(sdk, provider_server, "mistral")
    for got in chat.both("long", max_tokens=20):
        assert got.choices[0].finish_reason == "model_length"
        assert counts(got) == (2, 5)
        assert chat.sent["max_tokens"] == 20
        content = message_of(got).content
        assert content == "Hello world" or content[-1] == {"type": "text", "text": " world"}
        assert "I greet." in json.dumps(message_of(got).to_dict())
    assert message_of(chat.whole(max_completion_tokens=20)).content is not None
    assert chat.sent["max_tokens"] == 20
    error = refused(chat, "Hi", openai.UnprocessableEntityError, extra_body={"min_p": 0.1})
    assert "min_p" in error.message
    assert "Extra inputs are not permitted" in error.message


def test_deepseek(sdk: openai.OpenAI, provider_server: Providers) -> None:
    chat = Chat(sdk, provider_server, "deepseek")
    for got in chat.both():
        assert message_of(got).content == "Hello world"
        assert message_of(got).reasoning_content == "I greet."
        assert counts(got) == (2, 5)
        assert (got.usage.prompt_cache_hit_tokens, got.usage.prompt_cache_miss_tokens) == (1, 1)
        assert got.usage.completion_tokens_details.reasoning_tokens == 2
    assert chat.whole("busy").choices[0].finish_reason == "insufficient_system_resource"
    with pytest.raises(openai.APIStatusError, match="Insufficient Balance"):
        chat.whole("broke")
    assert message_of(chat.whole()).content == "Hello world", "the node goes on"


def test_moonshot(sdk: openai.OpenAI, provider_server: Providers) -> None:
    chat = Chat(sdk, provider_server, "moonshot")
    search: Any = {"type": "builtin_function", "function": {"name": "$web_search"}}
    begun: list[Any] = [*user("Greet."), {"role": "assistant", "content": "Hello", "partial": True}]
    for got in chat.both(messages=begun, tools=[search]):
        assert message_of(got).content == " world"
        assert message_of(got).reasoning_content == "I greet."
        assert counts(got) == (2, 5)
        assert got.usage.cached_tokens == 1
        assert chat.sent["tools"] == [search]
    error = refused(chat, "broke", openai.RateLimitError)
    assert "insufficient balance" in error.message


def test_groq(sdk: openai.OpenAI, provider_server: Providers) -> None:
    chat = Chat(sdk, provider_server, "groq")
    for got in chat.both():
        assert message_of(got).content == "Hello world"
        assert message_of(got).reasoning == "I greet."
        assert counts(got) == (2, 5)
    assert "'logprobs' is unsupported" in refused(chat, "Hi", openai.BadRequestError, logprobs=True).message
    named: Any = user("Hi", name="Ada")
    assert "'name' is unsupported" in refused(chat, "", openai.BadRequestError, messages=named).message
    error = refused(chat, "bad tool", openai.BadRequestError, tools=[WEATHER, ADD])
    assert error.code == "tool_use_failed"
    with pytest.raises(openai.APIError, match="Failed to call a function"):
        chat.chunks("late tool", tools=[WEATHER])
    limited(chat, "try again in 7.66s", seconds=8)


def test_openrouter(sdk: openai.OpenAI, provider_server: Providers) -> None:
    chat = Chat(sdk, provider_server, "openrouter")
    own = {"provider": {"order": ["Anthropic"]}, "models": ["openrouter"], "reasoning": {"effort": "high"}}
    both = chat.both(extra_body=own)
    assert {name: chat.sent[name] for name in own} == own
    for got in both:
        message = message_of(got)
        assert message.content == "Hello world"
        assert message.reasoning == "I greet."
        assert message.reasoning_details[0]["signature"] == "c2lnbmVk"
        assert got.usage.cost == 0.00014
        again = [*user("Hi"), message.to_dict(), *user("And?")]
        chat.whole(messages=again)
        assert chat.sent["messages"][1]["reasoning_details"] == message.reasoning_details
    error = refused(chat, "flagged", openai.PermissionDeniedError)
    assert "Your input was flagged" in error.message
    with pytest.raises(openai.APIStatusError, match="Insufficient credits"):
        chat.whole("no credit")
    broken(chat, "lost", "Provider disconnected unexpectedly")
    assert message_of(chat.whole()).content == "Hello world", "the node goes on"
