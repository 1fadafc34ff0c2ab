"""Collections: adding, replacing, searching and deleting documents, on both databases."""

from __future__ import annotations

import errno
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from herding.access.operations import COLLECTIONS, SAVE
from herding.errors import AccessError, ConflictError, NotFoundError, UserError
from herding.knowledge.embedder import DEFAULT_MODEL
from herding.values import Embeddings, NewDocument
from tests.knowledge.conftest import MODEL, SIZE, Words, index_all, text
from tests.support.herding import ADMIN, GUEST, Place, herding
from tests.support.nodes import Scripted, echo
from tests.support.people import principal

both = pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)

BAKING = text("bread.txt", "Bread is baked in a hot oven until its crust is brown.", topic="food", year=2024)
SAILING = text("boats.txt", "A boat sails against the wind by tacking to and fro.", topic="sea", year=2023)
COOKING = text("soup.txt", "A soup of lentils cooks for an hour.", topic="food", year=2023)


async def found(place: Place, question: str, **more: object) -> list[str]:
    matches = await place.orchestrator.collections.query("docs", question, ADMIN, **more)
    return [match.document for match in matches]


async def add(place: Place, *documents: NewDocument):
    job = await place.orchestrator.collections.add("docs", documents, ADMIN)
    await index_all(place.orchestrator)
    return job


@both
async def test_documents_are_found_by_meaning_and_words(place: Place) -> None:
    await add(place, BAKING, SAILING, COOKING)
    matches = await place.orchestrator.collections.query("docs", "baked bread", ADMIN, top_k=2)
    assert next(match.document for match in matches) == "bread.txt"
    assert matches[0].score == 1
    assert 0.2 < matches[0].similarity <= 1
    assert (matches[0].chunk.place, matches[0].metadata) == ("line 1", {"topic": "food", "year": 2024})
    assert await found(place, "tacking", top_k=1) == ["boats.txt"]
    assert await found(place, "bread", min_similarity=0.99) == []
    collection = await place.orchestrator.collections.get("docs", ADMIN)
    assert (collection.documents, collection.chunks, collection.dimensions) == (3, 3, 64)


@both
async def test_filters_look_at_the_metadata(place: Place) -> None:
    await add(place, BAKING, SAILING, COOKING)
    assert await found(place, "wind", filters={"topic": "food"}) != []
    assert set(await found(place, "wind", filters={"topic": "food"})) == {"bread.txt", "soup.txt"}
    assert await found(place, "wind", filters={"topic": ["food", "sea"], "year": 2024}) == ["bread.txt"]
    assert await found(place, "wind", filters={"year": "2024"}) == []
    assert await found(place, "wind", filters={"unknown": True}) == []


@both
async def test_the_same_content_is_indexed_once(place: Place, words: Words) -> None:
    await add(place, BAKING)
    calls = len(words.calls)
    job = await add(place, BAKING, replace(BAKING, key="copy.txt"))
    assert (job.documents, job.unchanged, job.state) == (0, 2, "ready")
    assert len(words.calls) == calls
    assert [one.key for one in await place.orchestrator.collections.documents("docs", ADMIN)] == ["bread.txt"]


@both
async def test_a_document_is_replaced_in_place(place: Place) -> None:
    await add(place, BAKING, SAILING)
    await place.orchestrator.collections.add("docs", [text("bread.txt", "Rye grows on poor soil.")], ADMIN)
    assert "Bread is baked" in (await place.orchestrator.collections.query("docs", "oven", ADMIN))[0].chunk.text
    await index_all(place.orchestrator)
    matches = await place.orchestrator.collections.query("docs", "oven crust rye", ADMIN)
    assert [match.chunk.text for match in matches if match.document == "bread.txt"] == ["Rye grows on poor soil."]
    document = await place.orchestrator.collections.document("docs", "bread.txt", ADMIN)
    assert (document.state, document.chunks, document.metadata) == ("ready", 1, {})


@both
async def test_a_document_waits_for_a_node_and_says_so(place: Place, words: Words) -> None:
    words.fails = 1
    job = await place.orchestrator.collections.add("docs", [BAKING], ADMIN)
    assert await place.orchestrator._indexer.index_next()
    assert not await place.orchestrator._indexer.index_next()
    (document,) = await place.orchestrator.collections.documents("docs", ADMIN)
    assert (document.state, document.error) == ("waiting", "the node is starting")
    assert (await place.orchestrator.collections.job("docs", job.id, ADMIN)).state == "running"
    await place.store.release_documents()
    await index_all(place.orchestrator)
    assert (await place.orchestrator.collections.job("docs", job.id, ADMIN)).state == "ready"


@both
async def test_a_document_waits_for_a_machine_that_starts_no_process(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def exhausted(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    await place.orchestrator.collections.add("docs", [BAKING], ADMIN)
    with monkeypatch.context() as patch:
        patch.setattr("asyncio.create_subprocess_exec", exhausted)
        await place.orchestrator._indexer.index_next()
    (document,) = await place.orchestrator.collections.documents("docs", ADMIN)
    assert (document.state, document.error) == (
        "waiting",
        "The document can't be read now (Resource temporarily unavailable). It is tried again.",
    )


async def test_a_user_with_many_documents_keeps_nobody_else_waiting(place: Place) -> None:
    collections = place.orchestrator.collections
    bob = replace(ADMIN, id="bob")
    await collections.add("docs", [text(f"a{n}", f"Text {n}.") for n in range(4)], ADMIN)
    await collections.add("docs", [text(f"b{n}", f"Word {n}.") for n in range(2)], bob)
    for _ in range(4):
        await place.orchestrator._indexer.index_next()
    found = await collections.documents("docs", ADMIN)
    assert [one.key for one in found if one.state == "ready"] == ["a0", "a1", "b0", "b1"]


async def test_a_node_that_changes_the_length_of_its_vectors_spoils_no_collection(
    place: Place, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("herding.knowledge.indexer.BATCH", 1)
    made = words.embed

    async def shrinking(model: str, texts: Sequence[str], **more: Any) -> Embeddings:
        found = await made(model, texts, **more)
        return replace(found, vectors=tuple(one[: SIZE - len(words.calls)] for one in found.vectors))

    monkeypatch.setattr(words, "embed", shrinking)
    collections = place.orchestrator.collections
    await collections.add("docs", [text("long", "many words " * 300)], ADMIN)
    await index_all(place.orchestrator)
    (document,) = await collections.documents("docs", ADMIN)
    assert (document.state, document.chunks) == ("failed", 0)
    assert "makes vectors of 62 numbers now" in (document.error or "")
    assert (await collections.get("docs", ADMIN)).dimensions is None
    monkeypatch.setattr(words, "embed", made)
    await add(place, BAKING)
    monkeypatch.setattr(words, "embed", shrinking)
    with pytest.raises(UserError, match="the collection has 64"):
        await found(place, "bread")


async def test_what_cannot_be_read_fails_alone(place: Place) -> None:
    job = await place.orchestrator.collections.add(
        "docs", [NewDocument("bad.pdf", "bad.pdf", "pdf", b"no pdf"), BAKING], ADMIN
    )
    await index_all(place.orchestrator)
    job = await place.orchestrator.collections.job("docs", job.id, ADMIN)
    assert (job.state, job.ready, job.failed) == ("failed", 1, 1)
    assert job.errors == ("bad.pdf: The file is not a PDF, or it is damaged.",)
    assert await found(place, "bread") == ["bread.txt"]


@both
async def test_deleting_leaves_nothing(place: Place) -> None:
    secret = text("secret.txt", "The zebrafinch sings xylophone songs. " * 30)
    await add(place, BAKING, secret)
    assert await place.orchestrator.collections.delete_documents("docs", ADMIN, keys=["secret.txt"]) == 1
    assert await found(place, "zebrafinch xylophone") == ["bread.txt"]
    await place.orchestrator.collections.delete("docs", ADMIN)
    assert await place.orchestrator.collections.listing(ADMIN) == ()
    with pytest.raises(NotFoundError):
        await place.orchestrator.collections.query("docs", "bread", ADMIN)


def contents(home: Path) -> bytes:
    """All bytes of the database and its journal."""
    return b"".join(file.read_bytes() for file in home.glob("herding.sqlite*"))


async def test_no_byte_of_a_deleted_document_is_in_the_files(place: Place, tmp_path: Path) -> None:
    lines = [f"The zebrafinch number {n} sings xylophone songs in Quaqtaq." for n in range(400)]
    await add(place, BAKING, text("secret.txt", "\n".join(lines)))
    assert b"zebrafinch" in contents(tmp_path)
    vectors = await place.store.vectors(range(1, 1000))
    await place.orchestrator.collections.delete_documents("docs", ADMIN, keys=["secret.txt"])
    left = await place.store.vectors(range(1, 1000))
    content = contents(tmp_path)
    for trace in (b"zebrafinch", b"Zebrafinch", b"xylophone", b"quaqtaq", b"secret.txt"):
        assert trace not in content
    assert not any(vector in content for id, vector in vectors.items() if id not in left)


@both
async def test_chunks_are_read_in_place(place: Place) -> None:
    await add(place, text("long.txt", "\n\n".join(f"Paragraph {n} tells of bread and of boats." for n in range(200))))
    chunks = await place.orchestrator.collections.chunks("docs", "long.txt", ADMIN, first=2, count=3)
    assert [chunk.number for _, chunk in chunks] == [2, 3, 4]
    assert chunks[0][1].tokens <= 220
    (match, *_) = await place.orchestrator.collections.query("docs", "Paragraph 150", ADMIN)
    around = await place.orchestrator.collections.chunks("docs", "long.txt", ADMIN, first=match.chunk.number, count=1)
    assert around[0][0] == match.chunk_id


@both
async def test_a_name_is_taken_once(place: Place) -> None:
    with pytest.raises(ConflictError):
        await place.orchestrator.collections.create("docs", ADMIN)
    for name in ("", "a/b", ".x", "x" * 65, "a b"):
        with pytest.raises(UserError):
            await place.orchestrator.collections.create(name, ADMIN)
    with pytest.raises(UserError, match=MODEL):
        await place.orchestrator.collections.create("other", ADMIN, embedding_model="none")


async def test_roles_guard_collections_like_prompts(place: Place) -> None:
    await add(place, BAKING)
    user = replace(principal("ada", "user"), collections=("shop-*",))
    collections = place.orchestrator.collections
    with pytest.raises(NotFoundError):
        await collections.query("docs", "bread", user)
    with pytest.raises(NotFoundError):
        await collections.create("docs2", user)
    await collections.create("shop-one", user)
    assert [one.name for one in await collections.listing(user)] == ["shop-one"]
    with pytest.raises(AccessError):
        await collections.listing(GUEST)
    reader = replace(user, rights=frozenset({COLLECTIONS}), collections=("*",))
    assert [match.document for match in await collections.query("docs", "bread", reader)] == ["bread.txt"]
    for call in (
        collections.add("docs", [SAILING], reader),
        collections.delete("docs", reader),
        collections.delete_documents("docs", reader, keys=["bread.txt"]),
        collections.create("mine", reader),
    ):
        with pytest.raises(AccessError, match=SAVE):
            await call


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (NewDocument("x.xls", "x", "xls", b"x"), "not read"),
        (NewDocument("", "x", "txt", b"x"), "1 to 500"),
        (NewDocument("x\n", "x", "txt", b"x"), "printable"),
        (NewDocument("x", "x", "txt", b""), "empty"),
        (NewDocument("x", "x", "txt", b"x" * 16_000_001), "16,000,001 bytes"),
        (NewDocument("x", "x", "txt", b"x", {"a": ["b"]}), "metadata"),
        (NewDocument("x", "x", "txt", b"x", {"a": math.nan}), "metadata"),
        (NewDocument("x", "x", "txt", b"x", {"a": 2**63}), "metadata"),
    ],
)
async def test_other_documents_are_refused_before_any_is_added(place: Place, document: NewDocument, error: str) -> None:
    with pytest.raises(UserError, match=error):
        await place.orchestrator.collections.add("docs", [BAKING, document], ADMIN)
    assert await place.orchestrator.collections.documents("docs", ADMIN) == ()


async def test_without_a_node_that_embeds_the_error_says_what_to_do(tmp_path: Path) -> None:
    async with herding(tmp_path, echo()) as place:
        with pytest.raises(UserError, match="embedding_models"):
            await place.orchestrator.collections.create("docs", ADMIN)


class Lacking(Scripted):
    """Has no embedding model, and knows why."""

    def fault_of(self, model: str) -> str | None:
        return "The hub can't be reached." if model == DEFAULT_MODEL else None


async def test_why_no_node_makes_embeddings_is_said_where_it_is_known(tmp_path: Path) -> None:
    async with herding(tmp_path, echo(), Lacking("lacking", [])) as place:
        with pytest.raises(UserError, match=r"No node makes embeddings with '.*MiniLM.*'. The hub can't be reached."):
            await place.orchestrator.collections.create("docs", ADMIN)
        with pytest.raises(UserError, match="Start a local node"):
            await place.orchestrator.collections.create("docs", ADMIN, embedding_model="other")
