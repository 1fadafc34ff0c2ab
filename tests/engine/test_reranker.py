"""Rerankers of the engine: a real cross-encoder in a real process, common batches, and models that are refused."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from herding.engine.embeddings.files import MINILM, check, check_reranker, packaged
from herding.engine.embeddings.queue import Worker
from herding.engine.embeddings.reranker import Reranker
from herding.engine.errors import LoadError, MemoryBudgetError, UnsafeModelError
from herding.engine.model_files import ModelSource
from herding.engine.requests import RerankRequest, parse_rerank
from herding.errors import NotFoundError, UserError
from tests.engine.conftest import Child, start_engine
from tests.support.cross_encoder import save_cross_encoder

TEXTS = ["a poor text", "the best best", "best", "nothing"]


class Lengths:
    """Scores a document by its length; the first batch waits until it is released."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.started, self.released = threading.Event(), threading.Event()

    def count(self, pairs):
        return len(pairs)

    def score(self, pairs):
        self.batches.append(len(pairs))
        self.started.set()
        assert self.released.wait(30)
        return [float(len(document)) for _, document in pairs]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertForSequenceClassification"]}))
    return tmp_path


async def test_callers_that_wait_share_a_batch(folder: Path) -> None:
    model = Lengths()
    reranker = Reranker([ModelSource("m", folder)], Worker(threads=1), open_model=lambda _path, _threads: model)
    first = asyncio.create_task(reranker.rerank(RerankRequest("m", "q", ("a",))))
    await asyncio.to_thread(model.started.wait, 30)
    others = [asyncio.create_task(reranker.rerank(RerankRequest("m", "q", ("bb", "ccc")))) for _ in range(4)]
    await asyncio.sleep(0.05)
    model.released.set()
    assert [made.scores for made in await asyncio.gather(first, *others)] == [[1], *[[2, 3]] * 4]
    assert model.batches == [1, 8]
    with pytest.raises(NotFoundError, match=r"does not rerank here\. Available: m"):
        await reranker.rerank(RerankRequest("other", "q", ("a",)))


async def test_a_model_takes_its_memory_from_the_budget(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(bytes(1000))
    asked: list[tuple[str, int]] = []

    async def reserve(model: str, size: int) -> None:
        asked.append((model, size))
        raise MemoryBudgetError("'m' needs 1 kB, and 0 B are free.")

    reranker = Reranker([ModelSource("m", folder)], Worker(threads=1, reserve=reserve), open_model=lambda *_: Lengths())
    with pytest.raises(MemoryBudgetError):
        await reranker.rerank(RerankRequest("m", "q", ("a",)))
    assert asked == [("m", 1000)]


def test_models_that_score_no_pairs_or_run_code_are_refused(tmp_path: Path) -> None:
    embedding_model = packaged(MINILM)
    assert embedding_model is not None
    with pytest.raises(LoadError, match=r"is not a reranker: its architecture is BertModel\. Choose a cross-encoder"):
        check_reranker(embedding_model)
    (tmp_path / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "x.Y"}}))
    with pytest.raises(UnsafeModelError, match="auto_map"):
        check(tmp_path, noun="a reranker")


@pytest.mark.parametrize(
    "body",
    [
        {"query": "q", "documents": ["a"]},
        {"model": "m", "documents": ["a"]},
        {"model": "m", "query": "q", "documents": []},
        {"model": "m", "query": "q", "documents": [""]},
        {"model": "m", "query": "q", "documents": ["a"], "top": 1},
    ],
)
def test_other_bodies_are_refused(body: object) -> None:
    with pytest.raises(UserError):
        parse_rerank(body)


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    good = save_cross_encoder(tmp_path_factory.mktemp("good"))
    classes = save_cross_encoder(tmp_path_factory.mktemp("classes"), labels=3)
    child = start_engine(
        *("--model", "", "--embed", "", "--rerank", f"good={good}"),
        *("--rerank", f"classes={classes}", "--rerank", f"vectors={packaged(MINILM)}"),
    )
    yield child
    child.end()


def rerank(child: Child, model: str = "good", **body: object):
    return child.client.post("/rerank", json={"model": model, "query": "what", "documents": TEXTS} | body)


def test_a_cross_encoder_scores_documents_from_0_to_1(child: Child) -> None:
    assert "good" in child.wait_for(lambda status: len(status["reranks"]) > 0)["reranks"]
    answer = rerank(child).raise_for_status().json()
    scores = answer["scores"]
    assert all(0 < score < 1 for score in scores)
    assert sorted(range(4), key=lambda place: -scores[place])[:2] == [1, 2]
    assert answer["input_tokens"] == 7 + 7 + 5 + 5
    assert rerank(child, documents=TEXTS[::-1]).json()["scores"] == pytest.approx(scores[::-1], abs=1e-6)


def test_the_end_of_a_long_document_is_not_read(child: Child) -> None:
    long = rerank(child, documents=["word " * 500 + "best", "word " * 500]).raise_for_status().json()
    assert long["input_tokens"] == 2 * 64
    assert long["scores"][0] == pytest.approx(long["scores"][1])


def test_what_is_no_reranker_is_refused_by_name(child: Child) -> None:
    child.wait_for(lambda status: "vectors" in status["reranking_errors"])
    wrong = rerank(child, "vectors").json()["error"]
    assert wrong["type"] == "load_failed"
    assert "architecture is BertModel" in wrong["message"]
    assert "sorts texts into 3 classes" in rerank(child, "classes").json()["error"]["message"]
    assert rerank(child, "other").status_code == 404
