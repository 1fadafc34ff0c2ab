"""The official OpenAI client against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from herding.errors import StreamInterruptedError
from tests.api.conftest import live
from tests.support.herding import Place, herding
from tests.support.nodes import Scripted, echo

HI: Any = [{"role": "user", "content": "hi you all"}]


@pytest.fixture
async def base(tmp_path: Path) -> AsyncIterator[tuple[Place, str]]:
    broken = Scripted("broken", ["one", StreamInterruptedError("It was cut.")], models=["cut"])
    async with herding(tmp_path, echo(), broken) as place, live(place) as url:
        yield place, f"{url}/v1"


@pytest.fixture
async def sdk(base: tuple[Place, str]) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=base[1], api_key="admin-token", max_retries=0) as made:
        yield made


async def test_a_chat(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="echo", messages=HI, max_tokens=2)
    assert answer.choices[0].message.content == "hi you"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 5
    assert answer.id == f"chatcmpl-{answer._request_id}"


async def test_a_stream_with_usage(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(
        model="echo", messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "hi you all"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


async def test_the_helper_that_gathers_a_stream(sdk: openai.AsyncOpenAI) -> None:
    async with sdk.chat.completions.stream(model="echo", messages=HI) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "hi you all"


async def test_a_completion(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.completions.create(model="echo", prompt="a b")
    assert answer.choices[0].text == "a b"
    stream = await sdk.completions.create(model="echo", prompt="a b", stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == "a b"


async def test_the_models(sdk: openai.AsyncOpenAI) -> None:
    listed = [model.id async for model in await sdk.models.list()]
    assert listed == ["echo", "cut", "auto", "prompt:say"]
    assert (await sdk.models.retrieve("prompt:say")).owned_by == "herding"


async def test_a_prompt_with_variables(sdk: openai.AsyncOpenAI, base: tuple[Place, str]) -> None:
    extra = {"variables": {"text": "a b"}}
    answer = await sdk.chat.completions.create(model="prompt:say@dev", messages=[], extra_body=extra)
    assert answer.choices[0].message.content == "a b"
    assert (await base[0].row()).prompt == "say"
    said = await sdk.chat.completions.create(model="prompt:say", messages=HI)
    assert said.choices[0].message.content == "hi you all"


async def test_errors_become_the_exceptions_of_the_client(sdk: openai.AsyncOpenAI, base: tuple[Place, str]) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        await sdk.chat.completions.create(model="ghost", messages=HI)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        await sdk.chat.completions.create(model="echo", messages=HI, n=2)
    assert wrong.value.param == "n"
    with pytest.raises(openai.InternalServerError) as broken:
        await sdk.chat.completions.create(model="cut", messages=HI)
    assert broken.value.code == "node_cut_stream"
    with pytest.raises(openai.AuthenticationError):
        await sdk.with_options(api_key="wrong").chat.completions.create(model="echo", messages=HI)
    with pytest.raises(openai.NotFoundError, match="embeddings"):
        await sdk.embeddings.create(model="echo", input="x")


async def test_an_error_in_a_stream_is_raised_while_reading(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(model="cut", messages=HI, stream=True)
    with pytest.raises(openai.APIError, match="It was cut"):
        [chunk async for chunk in stream]


async def test_the_client_that_blocks(base: tuple[Place, str]) -> None:
    def ask(model: str, **more: Any) -> Any:
        with openai.OpenAI(base_url=base[1], api_key="admin-token", max_retries=0) as sdk:
            answer = sdk.chat.completions.create(model=model, messages=HI, **more)
            return list(answer) if more else answer

    async def away(call: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(call)

    assert (await away(lambda: ask("echo"))).choices[0].message.content == "hi you all"
    chunks = await away(lambda: ask("echo", stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "hi you all"
    with pytest.raises(openai.NotFoundError):
        await away(lambda: ask("prompt:ghost"))
