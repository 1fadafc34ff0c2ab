"""Embeddings of the engine: common batches, fair shares, and models that would run code of their own."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64decode
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from herding.engine.embeddings import files as embedding_files
from herding.engine.embeddings.embedder import Embedder
from herding.engine.embeddings.files import MINILM, check
from herding.engine.embeddings.queue import Worker
from herding.engine.errors import LoadError, UnsafeModelError
from herding.engine.model_files import ModelSource
from herding.engine.requests import EmbeddingRequest, parse_embedding
from herding.errors import NotFoundError, UserError


class Counting:
    """Makes a vector of one number, the length of the text; the first batch waits until it is released."""

    dimensions = 1

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.started, self.released = threading.Event(), threading.Event()

    def prepare(self, inputs, *, dimensions, truncate):
        return [SimpleNamespace(text=text, tokens=2) for text in inputs]

    def encode(self, texts):
        self.batches.append(list(texts))
        self.started.set()
        assert self.released.wait(30)
        if "bad" in texts:
            raise RuntimeError("out of memory")
        return [np.array([len(text)], "<f4").tobytes() for text in texts]


@pytest.fixture
def model() -> Counting:
    return Counting()


@pytest.fixture
def embedder(tmp_path: Path, model: Counting) -> Embedder:
    (tmp_path / "config.json").write_text("{}")
    source = ModelSource("test/counting", tmp_path)
    return Embedder([source], Worker(threads=1), open_model=lambda _path, _threads: model)


def texts(*inputs: str) -> EmbeddingRequest:
    return EmbeddingRequest("test/counting", inputs)


async def test_callers_that_wait_share_a_batch(embedder: Embedder, model: Counting) -> None:
    first = asyncio.create_task(embedder.embed(texts("a")))
    await asyncio.to_thread(model.started.wait, 30)
    others = [asyncio.create_task(embedder.embed(texts("bb", "ccc"))) for _ in range(4)]
    await asyncio.sleep(0.05)
    model.released.set()
    made = await asyncio.gather(first, *others)
    assert [np.frombuffer(one.vectors, "<f4").tolist() for one in made] == [[1], *[[2, 3]] * 4]
    assert made[1].input_tokens == 4
    assert [len(batch) for batch in model.batches] == [1, 8]


async def test_a_large_request_does_not_hold_up_a_small_one(embedder: Embedder, model: Counting) -> None:
    large = asyncio.create_task(embedder.embed(texts(*["long"] * 1000)))
    await asyncio.to_thread(model.started.wait, 30)
    small = asyncio.create_task(embedder.embed(texts("a")))
    await asyncio.sleep(0.05)
    model.released.set()
    await small
    assert not large.done()
    await large
    assert len(model.batches) > 10


async def test_a_failure_ends_the_callers_of_its_batch_only(embedder: Embedder, model: Counting) -> None:
    model.released.set()
    with pytest.raises(LoadError, match="out of memory"):
        await embedder.embed(texts("bad"))
    assert (await embedder.embed(texts("good"))).input_tokens == 2


async def test_an_unknown_model_is_refused_by_name(embedder: Embedder) -> None:
    with pytest.raises(NotFoundError, match="test/counting"):
        await embedder.embed(EmbeddingRequest("other", ("a",)))


async def test_a_model_that_is_nowhere_says_what_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_files, "_PACKAGES", {MINILM: ("no_such_package", "model")})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    embedder = Embedder([ModelSource(MINILM)], Worker(threads=1))
    await embedder.fetch()
    assert embedder.status()["embeds"] == []
    assert "requirements-models.txt" in embedder.status()["embedding_errors"][MINILM]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"modules.json": [{"type": "custom_st.Transformer"}], "model.safetensors": ""}, "code of its own"),
        ({"config.json": {"auto_map": {"AutoModel": "x.Y"}}, "model.safetensors": ""}, "auto_map"),
        ({"config.json": {}, "pytorch_model.bin": ""}, "pickled"),
        ({"config.json": {}, "model.safetensors": "", "2_Dense/pytorch_model.bin": ""}, "pickled"),
        ({"config.json": {"quantization_config": {"auto_map": 1}}}, "auto_map"),
    ],
)
def test_a_model_with_code_of_its_own_is_refused(tmp_path: Path, files: dict[str, object], words: str) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(UnsafeModelError, match=words):
        check(tmp_path)


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="neither"):
        check(tmp_path)
    with pytest.raises(LoadError, match="not found"):
        check(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "body", [{}, {"model": "m", "inputs": []}, {"model": "m", "inputs": [[]]}, {"model": "m", "inputs": [[-1]]}]
)
def test_other_bodies_are_refused(body: object) -> None:
    with pytest.raises(UserError):
        parse_embedding(body)


@pytest.fixture(scope="module")
def child():
    from tests.engine.conftest import start_engine

    child = start_engine("--model", "")
    yield child
    child.end()


def embed(child, **body):
    return child.client.post("/embed", json={"model": MINILM} | body)


def test_the_packaged_model_embeds_beside_no_other_model(child) -> None:
    assert child.wait_for(lambda status: status["embeds"])["embeds"] == [MINILM]
    questions = ["How do I bake bread?", "baking a loaf in the oven", "a treaty on naval warfare"]
    answer = embed(child, inputs=questions).raise_for_status().json()
    found = np.frombuffer(b64decode(answer["vectors"]), "<f4").reshape(3, answer["dimensions"])
    assert answer["dimensions"] == 384
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert found[0] @ found[1] > found[0] @ found[2] + 0.2
    assert 15 < answer["input_tokens"] < 30


def test_token_ids_are_decoded_and_others_are_refused(child) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(embedding_files.packaged(MINILM) / "tokenizer.json"))
    ids = [token for token in tokenizer.encode("baking bread at home").ids if token]
    one = embed(child, inputs=[ids]).raise_for_status().json()
    other = embed(child, inputs=["baking bread at home"]).raise_for_status().json()
    assert one == other
    refused = embed(child, inputs=[[99_999]])
    assert refused.status_code == 422
    assert "another tokenizer" in refused.json()["error"]["message"]


def test_what_the_model_cannot_do_is_refused_by_name(child) -> None:
    dimensions = embed(child, inputs=["a"], dimensions=8).json()["error"]
    assert dimensions["param"] == "dimensions"
    assert "384" in dimensions["message"]
    assert embed(child, inputs=["a"], dimensions=384).status_code == 200
    long = embed(child, inputs=["a", "word " * 400])
    assert long.json()["error"]["type"] == "context_length"
    assert "Text 1 has 402 tokens" in long.text
    assert embed(child, inputs=["a", "word " * 400], truncate=True).json()["input_tokens"] == 3 + 256
    assert embed(child, model="other", inputs=["a"]).status_code == 404


def test_a_hub_that_is_out_of_reach_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_reach(*_: object, **__: object) -> str:
        raise OSError("An error happened while trying to locate the files") from ConnectionError("[Errno -2]")

    monkeypatch.setattr("huggingface_hub.snapshot_download", out_of_reach)
    with pytest.raises(LoadError, match=r"the hub can't be reached. .* Without a network, install its weights: pip"):
        embedding_files._download(MINILM)
