"""Scores of documents from servers of each form, and from those that show a fault."""

from __future__ import annotations

import pytest

from herding.errors import BadResponseError, ConfigError, HerdingError, NoModelError, StatusError
from herding.nodes.openai import OpenAINode
from herding.nodes.responses.ranking import parse_ranking
from herding.values import Ranking
from tests.support.fakenode import FakeNode
from tests.support.nodes import openai

QUERY = "cold sea"
DOCUMENTS = ("a warm lake", "the cold sea", "a cold lake")


def node(url: str) -> OpenAINode:
    return openai(url, rerank_models=["jina"])


async def ranking(model: str, url: str, documents: tuple[str, ...] = DOCUMENTS) -> Ranking:
    made = node(url)
    try:
        return await made.rerank(model, QUERY, documents)
    finally:
        await made.close()


async def test_what_is_sent(faulty: FakeNode) -> None:
    await ranking("jina", faulty.url)
    (call,) = faulty.calls("jina")
    assert call.path == "/v1/rerank"
    assert call.body == {"model": "jina", "query": QUERY, "documents": list(DOCUMENTS)}


@pytest.mark.parametrize("model", ["jina", "vllm", "llama.cpp", "cohere"])
async def test_each_form_is_read_in_the_order_of_the_documents(faulty: FakeNode, model: str) -> None:
    made = await ranking(model, faulty.url)
    less = 5.0 if model == "llama.cpp" else 0.0
    assert made.scores == (0 - less, 2 - less, 1 - less)
    assert (made.input_tokens, made.source) == ((20, "counted") if model == "cohere" else (21, "node"))


@pytest.mark.parametrize("path", ["/tei", "/tei/v1"])
async def test_text_embeddings_inference_is_found_by_itself(faulty: FakeNode, path: str) -> None:
    made = node(faulty.url.replace("/v1", path))
    many = DOCUMENTS * 20
    for _ in range(2):
        assert (await made.rerank("any", QUERY, many)).scores == (0.0, 2.0, 1.0) * 20
    await made.close()
    sent = [call.body for call in faulty.seen if call.path == "/tei/rerank"]
    asked = [len(body["texts"]) for body in sent if "texts" in body]
    assert asked == [32, 28, 32, 28]


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("short", BadResponseError, "no valid score for each of 3 documents"),
        ("twice", BadResponseError, "no valid score"),
        ("words", BadResponseError, "no valid score"),
        ("html", BadResponseError, "not valid JSON"),
        ("error-in-200", BadResponseError, "The GPU is on fire"),
        ("unknown", NoModelError, "does not exist"),
        ("status:404", StatusError, "status 404 was asked for"),
        ("status:500", StatusError, "status 500 was asked for"),
    ],
)
async def test_faults(faulty: FakeNode, model: str, kind: type[HerdingError], words: str) -> None:
    with pytest.raises(kind, match=words):
        await ranking(model, faulty.url)


@pytest.mark.parametrize(
    "item", ['{"index": [], "score": 1}', '{"index": {"a": 1}, "score": 1}', '{"index": 0, "score": 1%s}' % ("0" * 400)]
)
def test_an_index_or_a_score_that_is_none(item: str) -> None:
    with pytest.raises(BadResponseError, match="no valid score for each of 1 documents"):
        parse_ranking(f'{{"results": [{item}]}}'.encode(), 1, node="any")


async def test_only_what_is_configured_is_served(faulty: FakeNode) -> None:
    made = node(faulty.url)
    assert (made.serves, made.embeds, made.reranks) == ((), (), ("jina",))
    assert (await made.status()).reranks == ("jina",)
    await made.close()
    with pytest.raises((ConfigError, ValueError), match="rerank_models"):
        openai(faulty.url, rerank_models=[])
