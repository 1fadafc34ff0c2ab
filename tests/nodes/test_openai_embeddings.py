"""Embeddings of the OpenAI node against a server that shows one fault after another."""

from __future__ import annotations

import asyncio

import pytest

from herding.errors import (
    BadResponseError,
    ConnectError,
    ContextLengthError,
    DeadlineError,
    HerdingError,
    MisconfiguredError,
    NodeBusyError,
    RequestRejectedError,
    StatusError,
    UserError,
)
from herding.nodes.openai import OpenAINode
from herding.values import Embeddings
from tests.support.embeddings import vector
from tests.support.fakenode import FakeNode
from tests.support.nodes import echo, openai, patience
from tests.support.ports import free_port

TEXTS = ("Hanna likes sushi", "food", "a b")
VECTORS = tuple(tuple(vector(text)) for text in TEXTS)


def node(url: str, **more: object) -> OpenAINode:
    return openai(url, embedding_models=["embed"], **more)


async def embedded(model: str, url: str, *, dimensions: int | None = None) -> Embeddings:
    made = node(url, deadlines=patience(model))
    try:
        return await made.embed(model, TEXTS, dimensions=dimensions)
    finally:
        await made.close()


async def test_what_is_sent(faulty: FakeNode) -> None:
    await embedded("embed", faulty.url)
    await embedded("embed", faulty.url, dimensions=2)
    plain, shorter = faulty.calls("embed")
    assert (plain.path, plain.headers["accept-encoding"]) == ("/v1/embeddings", "identity")
    assert plain.body == {"model": "embed", "input": list(TEXTS), "encoding_format": "base64"}
    assert shorter.body == plain.body | {"dimensions": 2}


@pytest.mark.parametrize("model", ["embed", "floats", "shuffled", "unnumbered"])
async def test_both_forms_are_read_in_the_order_of_the_texts(faulty: FakeNode, model: str) -> None:
    assert await embedded(model, faulty.url) == Embeddings(VECTORS, 6, "node")


async def test_without_usage_the_tokens_are_counted(faulty: FakeNode) -> None:
    made = await embedded("no-usage", faulty.url)
    assert (made.input_tokens, made.source) == (8, "counted")


async def test_a_server_without_base64_is_asked_for_numbers_and_never_again(faulty: FakeNode) -> None:
    made = node(faulty.url)
    for _ in range(2):
        assert (await made.embed("no-base64", TEXTS)).vectors == VECTORS
    assert ["encoding_format" in call.body for call in faulty.calls()] == [True, False, False]
    await made.close()


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("count", BadResponseError),
        ("nan", BadResponseError),
        ("words", BadResponseError),
        ("uneven", BadResponseError),
        ("none", BadResponseError),
        ("no-list", BadResponseError),
        ("twice", BadResponseError),
        ("badjson", BadResponseError),
        ("bad-base64", BadResponseError),
        ("list", BadResponseError),
        ("html", BadResponseError),
        ("empty", BadResponseError),
        ("error-in-200", BadResponseError),
        ("redirect", BadResponseError),
        ("gzip", BadResponseError),
        ("hang", DeadlineError),
        ("status:400", RequestRejectedError),
        ("status:500", StatusError),
        ("status:429;ra=7", NodeBusyError),
        ("status:401", MisconfiguredError),
        ("context-length", ContextLengthError),
    ],
)
async def test_each_fault_has_its_error(faulty: FakeNode, model: str, kind: type[HerdingError]) -> None:
    with pytest.raises(kind) as caught:
        async with asyncio.timeout(60):
            await embedded(model, faulty.url)
    assert type(caught.value) is kind
    assert getattr(caught.value, "node", "hosted") == "hosted"


async def test_an_answer_without_end_is_ended(faulty: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("herding.nodes.openai.MAX_EMBEDDINGS_BYTES", 100)
    with pytest.raises(BadResponseError, match="too many bytes"):
        await embedded("embed", faulty.url)


async def test_what_the_server_reports_is_passed_on(faulty: FakeNode) -> None:
    with pytest.raises(BadResponseError, match="The GPU is on fire"):
        await embedded("error-in-200", faulty.url)


async def test_a_refused_connection() -> None:
    with pytest.raises(ConnectError):
        await embedded("embed", f"http://127.0.0.1:{free_port()}/v1")


async def test_the_server_sees_at_once_that_the_caller_left(faulty: FakeNode) -> None:
    made = node(faulty.url)
    asking = asyncio.create_task(made.embed("hang", TEXTS))
    async with asyncio.timeout(30):
        while not faulty.calls("hang"):  # noqa: ASYNC110 (another thread's)
            await asyncio.sleep(0.01)
        asking.cancel()
        while faulty.calls("hang")[0].left is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await made.close()


async def test_what_a_node_is_for_is_said(faulty: FakeNode) -> None:
    made = node(faulty.url)
    assert (made.serves, made.embeds) == ((), ("embed",))
    assert (await made.status()).embeds == ("embed",)
    off = openai(faulty.url, embedding_models=["embed"], api_key_env="MISSING_KEY")
    assert off.embeds == ()
    for one in (made, off):
        await one.close()


async def test_other_kinds_make_none() -> None:
    assert echo().embeds == ()
    with pytest.raises(UserError, match="does not support embeddings"):
        await echo().embed("echo", TEXTS)
