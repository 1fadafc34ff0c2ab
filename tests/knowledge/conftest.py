"""A Herding with a node that embeds by the words of a text, so that what is near is known."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from herding.errors import NodeError
from herding.orchestrator import Orchestrator
from herding.store.collections.words import words_of
from herding.values import Embeddings, NewDocument
from tests.support.herding import ADMIN, Place, herding
from tests.support.nodes import Scripted, echo

MODEL = "words"
SIZE = 64


class Words(Scripted):
    """Embeds a text as the sum of a vector for each of its words; `fails` calls raise an error first."""

    kind = "words"

    def __init__(self) -> None:
        super().__init__("words", [])
        self.calls: list[int] = []
        self.fails = 0

    @property
    def embeds(self) -> tuple[str, ...]:
        return (MODEL,)

    async def embed(self, model, texts: Sequence[str], *, dimensions=None, more=None) -> Embeddings:
        if self.fails:
            self.fails -= 1
            raise NodeError("the node is starting", node=self.name)
        self.calls.append(len(texts))
        return Embeddings(tuple(vector(text) for text in texts), len(texts), "node")


def vector(text: str) -> tuple[float, ...]:
    """The number of words of a text that fall into each of some places."""
    found = [0.0] * SIZE
    for word in words_of(text).split():
        found[zlib.crc32(word.encode()) % SIZE] += 1.0
    return tuple(found) if any(found) else (1.0, *found[1:])


def text(key: str, content: str, **metadata: object) -> NewDocument:
    return NewDocument(key, key, "txt", content.encode(), metadata)


async def index_all(orchestrator: Orchestrator) -> None:
    """Index what waits."""
    while await orchestrator._indexer.index_next():
        pass


@pytest.fixture
def words() -> Words:
    return Words()


@pytest.fixture
async def place(tmp_path: Path, database: str, words: Words) -> AsyncIterator[Place]:
    async with herding(tmp_path, echo(), words) as made:
        await made.orchestrator.collections.create("docs", ADMIN)
        yield made
