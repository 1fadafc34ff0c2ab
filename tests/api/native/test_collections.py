"""Collections over the API: JSON and files in, jobs, matches and chunks out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.conftest import web
from tests.knowledge.conftest import Words
from tests.support.herding import ADMIN_TOKEN, Place, herding
from tests.support.nodes import echo

BASE = "/api/v1/collections"


@pytest.fixture
async def place(tmp_path) -> AsyncIterator[Place]:
    async with herding(tmp_path, echo(), Words()) as made:
        yield made


@pytest.fixture
async def client(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    app = web(place, small=False)
    indexing = asyncio.create_task(place.orchestrator._indexer.run())
    headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://herding.test", headers=headers) as made:
        yield made
    indexing.cancel()


async def test_the_way_of_a_collection(client: httpx.AsyncClient) -> None:
    made = await client.post(BASE, json={"name": "docs", "description": "Our docs"})
    assert (made.status_code, made.json()["embedding_model"]) == (201, "words")
    documents = [
        {"id": "bread.md", "text": "# Bread\n\nBread is baked in an oven.", "metadata": {"topic": "food"}},
        {"title": "Boats", "text": "A boat tacks against the wind."},
    ]
    job = await client.post(f"{BASE}/docs/documents", params={"wait": True}, json={"documents": documents})
    assert job.status_code == 200, job.text
    assert {name: job.json()[name] for name in ("state", "documents", "ready", "failed", "unchanged")} == {
        "state": "ready",
        "documents": 2,
        "ready": 2,
        "failed": 0,
        "unchanged": 0,
    }
    assert (await client.get(f"{BASE}/docs/jobs/{job.json()['id']}")).json() == job.json()
    again = await client.post(f"{BASE}/docs/documents", json={"documents": documents})
    assert (again.status_code, again.json()["unchanged"], again.json()["state"]) == (200, 2, "ready")
    listed = (await client.get(f"{BASE}/docs/documents")).json()["documents"]
    assert [(one["id"], one["title"], one["kind"], one["state"]) for one in listed] == [
        ("Boats", "Boats", "txt", "ready"),
        ("bread.md", "bread.md", "md", "ready"),
    ]
    query = {"text": "baked bread", "top_k": 1, "filters": {"topic": "food"}}
    (match,) = (await client.post(f"{BASE}/docs/query", json=query)).json()["matches"]
    assert (match["document"], match["place"], match["metadata"]) == ("bread.md", "Bread, lines 1-3", {"topic": "food"})
    chunks = (await client.get(f"{BASE}/docs/chunks", params={"document": "bread.md"})).json()["chunks"]
    assert (chunks[0]["chunk"], chunks[0]["text"]) == (match["chunk"], match["text"])
    gone = await client.delete(f"{BASE}/docs/documents", params={"id": ["bread.md", "Boats"]})
    assert gone.json() == {"deleted": 2}
    assert (await client.delete(f"{BASE}/docs")).status_code == 204
    assert (await client.get(BASE)).json() == {"collections": [], "embedding_models": ["words"], "rerankers": []}


async def until_ready(client: httpx.AsyncClient, job: str) -> None:
    async with asyncio.timeout(30):
        while (await client.get(job)).json()["state"] != "ready":  # noqa: ASYNC110 (a job has no events)
            await asyncio.sleep(0.02)


async def test_files_are_uploaded(client: httpx.AsyncClient) -> None:
    await client.post(BASE, json={"name": "code"})
    source = b'def tack(boat):\n    """Sail against the wind."""\n    return boat\n'
    files = [
        ("files", ("sea/boats.py", source, "text/x-python")),
        ("files", ("table.csv", b"name,age\nAda,36\n", "text/csv")),
    ]
    sent = await client.post(f"{BASE}/code/documents", files=files, data={"metadata": '{"kind": "code"}'})
    assert sent.status_code == 202, sent.text
    job = sent.json()["id"]
    await until_ready(client, f"{BASE}/code/jobs/{job}")
    (match, *_) = (await client.post(f"{BASE}/code/query", json={"text": "sail against the wind"})).json()["matches"]
    assert (match["document"], match["place"]) == ("sea/boats.py", "sea.boats.tack, lines 1-3")
    assert match["metadata"] == {"kind": "code"}


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"json": {"documents": []}}, "documents"),
        ({"json": {"documents": [{"id": "a", "text": "b", "typo": 1}]}}, "documents.0.typo"),
        ({"json": {"documents": [{"id": "a.pdf", "text": "b"}]}}, "documents.0"),
        ({"json": {"documents": [{"id": "a", "text": "b", "metadata": {"a": [1]}}]}}, None),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, None),
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, "documents"),
        ({"files": [("files", ("a.exe", b"MZ", "x/y"))]}, "files.0"),
        ({"files": [("other", ("a.txt", b"x", "text/plain"))]}, "files"),
        ({"files": [("files", ("a.txt", b"x", "text/plain"))], "data": {"metadata": "[1]"}}, "metadata"),
        ({"files": [("files", ("a.txt", b"x", "text/plain"))], "data": {"metadata": '{"a": "\\ud800"}'}}, "metadata"),
        ({"json": {"documents": [{"id": "a", "text": "b", "metadata": {"a": 10**30}}]}}, None),
    ],
)
async def test_other_bodies_are_refused_by_name(client: httpx.AsyncClient, sent: dict, param: str | None) -> None:
    await client.post(BASE, json={"name": "docs"})
    refused = await client.post(f"{BASE}/docs/documents", **sent)
    assert refused.status_code in (400, 422), refused.text
    error = refused.json()["error"] if "error" in refused.json() else refused.json()
    assert param is None or error["param"] == param, refused.text
    assert (await client.get(f"{BASE}/docs/documents")).json() == {"documents": []}
    assert (await client.post(f"{BASE}/none/documents", **sent)).status_code == 404
