"""The three ways to compare vectors find the same, with the same scores and in the same order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from herding.store import Store
from herding.store.collections.vectors import VectorStore
from herding.values import FoundChunk
from tests.knowledge.conftest import Words, index_all, text
from tests.support.database import database_url
from tests.support.herding import ADMIN, Place, herding
from tests.support.nodes import echo

NOUNS = ("bread", "boat", "oven", "wind", "soup", "crust", "anchor", "salt", "stove", "harbour", "flour", "sail")
VERBS = ("bakes", "tacks", "cools", "turns", "rests", "rises", "sinks")
QUESTIONS = ("bread in the oven", "Which boat tacks?", "salt soup", "a harbour at rest", "flourCrust_rises")


def sentences() -> list[str]:
    count = len(NOUNS)
    return [
        f"The {NOUNS[n % count]} {VERBS[n % len(VERBS)]} near the {NOUNS[(n * 5 + 1) % count]} on day {n}."
        for n in range(120)
    ]


async def results(place: Place) -> list[list[tuple[str, float, float]]]:
    collections = place.orchestrator.collections
    await collections.create("docs", ADMIN, chunk_tokens=20, overlap_tokens=0)
    lines = sentences()
    documents = [text(f"{n}.txt", "\n\n".join(lines[n::8]), even=n % 2 == 0) for n in range(8)]
    await collections.add("docs", documents, ADMIN)
    await index_all(place.orchestrator)
    await collections.delete_documents("docs", ADMIN, keys=["7.txt"])
    found: list[tuple[FoundChunk, ...]] = []
    for question in QUESTIONS:
        found.append(await collections.query("docs", question, ADMIN, top_k=10))
        found.append(await collections.query("docs", question, ADMIN, top_k=10, filters={"even": True}))
    return [[(one.chunk.text, one.score, round(one.similarity, 3)) for one in matches] for matches in found]


@pytest.fixture
async def expected(tmp_path: Path) -> AsyncIterator[list[list[tuple[str, float, float]]]]:
    (tmp_path / "first").mkdir()
    async with herding(tmp_path / "first", echo(), Words()) as place:
        assert place.store.vector_store == "sqlite-vec"
        yield await results(place)


async def in_store(home: Path, wanted: VectorStore) -> list[list[tuple[str, float, float]]] | None:
    """The results with a way to compare vectors; None where the database does not have it."""
    async with herding(home, echo(), Words()) as place:
        await place.store.close()
        store = place.parts.store.__dict__
        opened = await Store.open(database_url(home), vector_store=wanted)
        store.update(opened.__dict__)
        return await results(place) if place.store.vector_store == wanted else None


@pytest.mark.slow
async def test_numpy_finds_what_sqlite_vec_finds(tmp_path: Path, expected: list) -> None:
    assert await in_store(tmp_path, "numpy") == expected
    assert all(len(matches) == 10 for matches in expected)


@pytest.mark.postgres
@pytest.mark.parametrize("wanted", ["numpy", "pgvector"])
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_postgresql_finds_what_sqlite_finds(
    tmp_path: Path, database: str, wanted: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await in_store(tmp_path, wanted)
    if found is None:
        pytest.skip("NO PGVECTOR: the PostgreSQL of this machine lacks the extension vector; its search is not tested.")
    from tests.support.database import on

    (tmp_path / "first").mkdir()
    with on(None):
        async with herding(tmp_path / "first", echo(), Words()) as place:
            assert found == await results(place)
