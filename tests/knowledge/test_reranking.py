"""A reranker orders what a search finds: a real cross-encoder in a real engine, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from herding.errors import AccessError, NodeError, NotFoundError, UserError
from herding.nodes.base import BuildContext
from herding.nodes.herding import HerdingConfig
from herding.nodes.local import LocalConfig, LocalNode
from herding.values import Request
from tests.api.conftest import web
from tests.engine.conftest import SECRET, Child, start_engine
from tests.knowledge.conftest import Words, index_all, text
from tests.support.cross_encoder import save_cross_encoder
from tests.support.herding import ADMIN, ADMIN_TOKEN, Place, herding
from tests.support.nodes import Scripted, echo
from tests.support.people import principal

pytestmark = pytest.mark.slow  # an engine runs

ASK = """
    name: Ask
    target_models: [echo]
    variables: {question: {type: text}, more: {type: text, default: ""}}
    retrieval: {collection: docs, query: "{{question}}", top_k: 1, into: context, rerank: RERANKER,
                min_similarity: 0}
    messages: [{role: user, content: "{{question}}\\n\\n{{context}}"}]
    """
QUESTION = "How is bread baked?"
NEAR = text("near.txt", "How bread is baked: bread is baked in an oven.")
GOOD = text("good.txt", "The best best best best bread.")
FAR = text("far.txt", "Trains leave at noon.")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    folder = save_cross_encoder(tmp_path_factory.mktemp("cross-encoder"))
    child = start_engine("--model", "", "--embed", "", "--rerank", f"best={folder}", "--rerank", "gone=/nowhere")
    child.wait_for(lambda status: status["reranks"] and status["reranking_errors"])
    yield child
    child.end()


@pytest.fixture
async def place(tmp_path: Path, database: str, words: Words, engine: Child) -> AsyncIterator[Place]:
    config = HerdingConfig(kind="herding", name="gpu", base_url=str(engine.client.base_url))
    node = config.build(BuildContext(secret=lambda _: SECRET))
    async with herding(tmp_path, echo(), words, node) as made:
        await node.status()
        for key, reranker in (("ask", "best"), ("missing", "nobody/knows"), ("gone", "gone"), ("wrong", "words")):
            made.write(key, ASK.replace("RERANKER", reranker))
        await made.orchestrator.load()
        await made.orchestrator.collections.create("docs", ADMIN)
        await made.orchestrator.collections.add("docs", [NEAR, GOOD, FAR], ADMIN)
        await index_all(made.orchestrator)
        yield made


@pytest.fixture
async def client(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    transport = httpx.ASGITransport(web(place))
    async with httpx.AsyncClient(transport=transport, base_url="http://herding.test", headers=headers) as made:
        yield made


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_it_finds_what_hybrid_search_has_further_down(client: httpx.AsyncClient) -> None:
    asked = {"text": QUESTION, "top_k": 1}
    (plain,) = (await client.post("/api/v1/collections/docs/query", json=asked)).json()["matches"]
    assert (plain["document"], plain["reranker"]) == ("near.txt", None)
    response = await client.post("/api/v1/collections/docs/query", json=asked | {"rerank": "best"})
    (found,) = response.raise_for_status().json()["matches"]
    assert (found["document"], found["reranker"]) == ("good.txt", "best")
    assert found["score"] != plain["score"]
    assert 0 < found["similarity"] < plain["similarity"]
    assert (await client.get("/api/v1/collections")).json()["rerankers"] == ["best"]


async def test_references_say_who_gave_their_score(client: httpx.AsyncClient, place: Place) -> None:
    run = {"prompt": "ask", "variables": {"question": QUESTION}}
    body = (await client.post("/api/v1/infer", json=run)).raise_for_status().json()
    (reference,) = body["references"]
    (match,) = await place.orchestrator.collections.query("docs", QUESTION, ADMIN, top_k=1, rerank="best")
    assert (reference["document"], reference["reranker"], reference["score"]) == ("good.txt", "best", match.score)
    entry = (await client.get(f"/api/v1/history/{body['request_id']}")).json()
    assert entry["references"] == body["references"]
    assert len(await place.rows()) == 1  # the reranking is no request of its own


@pytest.mark.parametrize(
    ("prompt", "error"),
    [
        ("missing", r"No node reranks with 'nobody/knows'\. Available: best\."),
        ("wrong", r"No node reranks with 'words'\. Available: best\."),
        ("gone", r"No node reranks with 'gone'\. Model directory not found: /nowhere\."),
    ],
)
async def test_a_reranker_that_is_missing_is_named(place: Place, prompt: str, error: str) -> None:
    with pytest.raises(UserError, match=error):
        await place.orchestrator.pipeline.run(Request(prompt, {"question": QUESTION}), ADMIN)
    assert await place.rows() == []


async def test_without_any_the_error_says_where_to_add_one(tmp_path: Path, words: Words) -> None:
    async with herding(tmp_path, echo(), words) as place:
        await place.orchestrator.collections.create("docs", ADMIN)
        with pytest.raises(UserError, match="Add it to rerank_models of a local or openai node"):
            await place.orchestrator.collections.query("docs", "bread", ADMIN, rerank="best")


async def test_a_role_searches_with_rerankers_of_its_nodes_only(place: Place) -> None:
    who = replace(ADMIN, nodes=("echo", "words"))
    assert place.orchestrator.collections.rerankers(who) == ()
    with pytest.raises(UserError, match="No node reranks with 'best'"):
        await place.orchestrator.collections.query("docs", QUESTION, who, rerank="best")


class Broken(Scripted):
    """Lists a reranker that fails."""

    kind = "broken"

    @property
    def reranks(self) -> tuple[str, ...]:
        return ("best",)

    async def rerank(self, model, query, documents):
        raise NodeError("out of memory", node=self.name)


async def test_a_failure_is_no_silent_fallback(tmp_path: Path, words: Words) -> None:
    async with herding(tmp_path, words, Broken("broken", [])) as place:
        await place.orchestrator.collections.create("docs", ADMIN)
        await place.orchestrator.collections.add("docs", [NEAR], ADMIN)
        await index_all(place.orchestrator)
        with pytest.raises(NodeError, match="out of memory"):
            await place.orchestrator.collections.query("docs", QUESTION, ADMIN, rerank="best")


async def test_the_api_of_rerankers(client: httpx.AsyncClient, place: Place) -> None:
    body = {"model": "best", "query": "bread", "documents": ["poor bread", {"text": "best best bread"}, "best bread"]}
    response = (await client.post("/v1/rerank", json=body | {"top_n": 2, "return_documents": True})).raise_for_status()
    answer = response.json()
    first, second = answer["results"]
    assert (first["index"], first["document"]) == (1, {"text": "best best bread"})
    assert second["index"] == 2
    assert 1 > first["relevance_score"] > second["relevance_score"] > 0
    assert answer["usage"] == {"prompt_tokens": 19, "total_tokens": 19}
    row = await place.row()
    assert (row.kind, row.status, row.node, row.request_id) == ("rerank", "succeeded", "gpu", answer["id"])
    assert response.headers["x-request-id"] == answer["id"]
    assert row.usage.input_tokens == 19
    plain = (await client.post("/v1/rerank", json=body)).json()["results"]
    assert [one["index"] for one in plain] == [1, 2, 0]
    assert plain[0].keys() == {"index", "relevance_score"}
    models = {one["id"]: one for one in (await client.get("/api/v1/models")).json()["models"]}
    assert models["best"]["reranks"] == ["gpu"]
    assert "best" in [one["id"] for one in (await client.get("/v1/models")).json()["data"]]


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"model": "nobody"}, "model", "No node reranks with 'nobody'. These are there: best."),
        ({"model": "words"}, "model", "No node reranks with 'words'"),
        ({"model": "gone"}, "model", "Model directory not found"),
        ({"documents": []}, "documents", ""),
        ({"documents": ["a", ""]}, "documents", "empty"),
        ({"query": " "}, "query", "Enter a query"),
        ({"query": "q" * 4_000, "documents": ["a"] * 2_000}, "query", "too many characters"),
        ({"top_n": 0}, "top_n", ""),
        ({"rank_fields": ["title"]}, "rank_fields", ""),
    ],
)
async def test_what_is_wrong_with_a_body_is_said(
    client: httpx.AsyncClient, place: Place, body: dict[str, object], param: str, said: str
) -> None:
    given = {"model": "best", "query": "bread", "documents": ["a"]} | body
    response = await client.post("/v1/rerank", json=given)
    error = response.json()["error"]
    assert response.status_code in (400, 404)
    assert error["param"] == param
    assert said in error["message"]
    assert await place.rows() == []


async def test_who_may_not_embed_may_not_rerank(place: Place) -> None:
    who = principal("ann", "guest")
    with pytest.raises(AccessError):
        await place.orchestrator.pipeline.rerank("best", "q", ["a"], who)
    with pytest.raises(NotFoundError, match=r"is a reranker\. Send documents for it to /v1/rerank"):
        await place.orchestrator.pipeline.run(Request(model="best", turns=(), text="hi"), ADMIN)


def test_the_local_node_starts_its_engine_with_them(tmp_path: Path) -> None:
    config = LocalConfig(kind="local", name="local", rerank_models=["./mine", "cross-encoder/ms-marco-MiniLM-L6-v2"])
    node = LocalNode(config.with_paths_from(tmp_path))
    command = node._command()
    given = [value for option, value in pairwise(command) if option == "--rerank"]
    assert given == [f"mine={tmp_path}/mine", "cross-encoder/ms-marco-MiniLM-L6-v2"]
    assert "mine" not in node.offers
