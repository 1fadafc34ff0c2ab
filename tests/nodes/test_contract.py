"""The contract of all kinds of node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from herding.herd.node_call import NodeCall
from herding.nodes.base import Node
from herding.nodes.catalog import KINDS
from herding.nodes.template import TemplateConfig, TemplateNode
from herding.values import Call, Message, Parameters
from tests.support.fakenode import FakeNode
from tests.support.nodes import Scripted, echo, openai

SENTENCE = "One two three four five"
MODELS = ("slow:0.05", "slow:0.4")
"""The slower one is for what must be seen before it is over, whatever else the machine does."""


def scripted() -> Node:
    words = [f" {word}" if number else word for number, word in enumerate(SENTENCE.split())]
    return Scripted("scripted", words, models=MODELS)


CASES: dict[str, Callable[[str], Node]] = {
    "echo": lambda url: echo("echo", *MODELS, delay=0.05),
    "openai": lambda url: openai(url, *MODELS),
    "template": lambda url: TemplateNode(templated(f"{url}/chat/completions"), secret=lambda _: None),
    "scripted": lambda url: scripted(),
}
"""A node of each kind that repeats the last message; `url` is that of a fake OpenAI-compatible server."""

NEEDS_AN_ENGINE = {"local", "herding"}
"""Kinds that tests/nodes/test_herding.py and tests/e2e/test_processes.py run with a real engine."""


@pytest.fixture(params=CASES)
async def node(request: pytest.FixtureRequest, faulty: FakeNode) -> AsyncIterator[Node]:
    made = CASES[request.param](faulty.url)
    await made.start()
    yield made
    await made.close()


def test_every_kind_of_the_catalog_is_tested() -> None:
    missing = KINDS.keys() - NEEDS_AN_ENGINE - CASES.keys()
    assert not missing, f"add a node of the kind {', '.join(missing)} to CASES"
    unnamed = [kind for kind, config in KINDS.items() if not config.label]
    assert not unnamed, f"give the config class of {', '.join(unnamed)} a label"


def templated(url: str) -> TemplateConfig:
    """Return the OpenAI protocol as a template."""
    return TemplateConfig(
        kind="template",
        name="template",
        models=list(MODELS),
        url=url,
        body={"model": "{MODEL_NAME}", "messages": "{MESSAGES}", "stream": True},
        response_extract="choices[].delta.content",
        stream="sse",
    )


def ask(node: Node, model: str = MODELS[0]) -> Call:
    return Call("1", model, (Message("user", SENTENCE),), parameters=Parameters(max_tokens=50))


async def test_it_serves_a_model(node: Node) -> None:
    assert node.serves
    assert (await node.status()).serves == node.serves


async def test_an_answer_comes_in_pieces_and_ends_once(node: Node) -> None:
    chunks = [chunk async for chunk in node.stream(ask(node, MODELS[1]))]
    assert "".join(chunk.text for chunk in chunks) == SENTENCE
    assert len([chunk for chunk in chunks if chunk.text]) >= 3
    assert [chunk.finish_reason is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


async def test_usage_is_from_the_node_or_not_told(node: Node) -> None:
    chunks = [chunk async for chunk in node.stream(ask(node))]
    usage = chunks[-1].usage
    assert usage is None or (usage.source == "node" and usage.output_tokens == 5 and usage.input_tokens > 0)


async def test_raw_text_is_answered_too(node: Node) -> None:
    chunks = [chunk async for chunk in node.stream(Call("1", node.serves[0], None, SENTENCE))]
    assert "".join(chunk.text for chunk in chunks) == SENTENCE


async def test_an_answer_can_be_closed_early(node: Node) -> None:
    async with asyncio.timeout(60), aclosing(node.stream(ask(node, MODELS[1]))) as chunks:
        assert (await anext(chunks)).text == "One"
    assert [chunk async for chunk in node.stream(ask(node))]


async def test_answers_do_not_wait_for_each_other(node: Node) -> None:
    answers = [node.stream(ask(node)) for _ in range(8)]
    async with asyncio.timeout(60):
        begun = [await anext(answer) for answer in answers]  # none has ended
        rest = [[chunk async for chunk in answer] for answer in answers]
    for first, others in zip(begun, rest, strict=True):
        assert "".join(chunk.text for chunk in (first, *others)) == SENTENCE


async def test_a_stopped_answer_ends_as_cancelled(node: Node) -> None:
    running = NodeCall(node, ask(node, MODELS[1]))
    seen = []
    async for chunk in running.chunks():
        seen.append(chunk)
        running.stop()
    await running.close()
    assert seen[-1].finish_reason == "cancelled"
    assert len(seen) < 6


async def test_it_cannot_switch_models(node: Node) -> None:
    with pytest.raises(Exception, match="can't load other models"):
        node.load("other")
    assert node.offers == ()


async def test_closing_twice_is_fine(node: Node) -> None:
    await node.close()
    await node.close()
