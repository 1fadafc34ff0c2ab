"""The OpenAI-compatible server of transformers as a node: somebody else's server, with a real model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from herding.errors import HerdingError, NodeError
from herding.nodes.openai import OpenAINode
from herding.values import Call, Chunk, Message, Parameters
from tests.e2e.running_app import NO_AUTHORITIES, wait_until
from tests.support.nodes import openai
from tests.support.ports import free_port
from tests.support.smollm2 import smollm2

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> str:
    return str(smollm2())


@pytest.fixture(scope="module")
def server(model: str) -> Iterator[str]:
    port = free_port()
    command = [str(Path(sys.executable).with_name("transformers")), "serve", model, "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--device", "cpu"],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers(http: httpx.Client) -> bool:
        assert process.poll() is None
        try:
            return http.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, trust_env=False, verify=NO_AUTHORITIES) as http:
            wait_until(lambda: answers(http), seconds=120, what="transformers serve")
        yield url
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def node(server: str, model: str) -> OpenAINode:
    return openai(f"{server}/v1", model, "someone/else")


def call(model: str, text: str, **parameters: object) -> Call:
    given = Parameters(**{"temperature": 0.0, "max_tokens": 20, **parameters})  # type: ignore[arg-type]
    return Call("1", model, (Message("user", text),), parameters=given)


async def collect(node: OpenAINode, asked: Call) -> list[Chunk]:
    return [chunk async for chunk in node.stream(asked)]


async def test_it_streams_with_the_usage_of_the_server(node: OpenAINode, model: str) -> None:
    chunks = await collect(node, call(model, "What is the capital of France?"))
    texts = [chunk.text for chunk in chunks if chunk.text]
    assert len(texts) > 3
    assert "Paris" in "".join(texts)
    assert chunks[-1].finish_reason in ("stop", "length")
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    assert usage.source == "node"
    assert usage.input_tokens > 20
    assert 3 < usage.output_tokens <= 20
    await node.close()


async def test_a_response_that_is_left_is_stopped(node: OpenAINode, model: str) -> None:
    stream = node.stream(call(model, "Tell me a long story about the sea.", max_tokens=2000))
    assert await anext(stream) is not None
    await stream.aclose()
    # The server serves one at a time.
    again = await collect(node, call(model, "What is the capital of France?", max_tokens=10))
    assert "Paris" in "".join(chunk.text for chunk in again)
    await node.close()


async def test_its_errors_reach_the_caller_in_its_words(node: OpenAINode, server: str) -> None:
    with pytest.raises(HerdingError, match="pinned to"):
        await collect(node, call("someone/else", "x"))
    await node.close()
    away = openai(f"http://127.0.0.1:{free_port()}/v1", "someone/else")
    with pytest.raises(NodeError):
        await collect(away, call("someone/else", "x"))
    await away.close()
