"""The tab with collections, their documents and the search in them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from herding.errors import AccessError, NotFoundError, UserError
from herding.prompts.prompt_file import parse_prompt
from herding.ui.kit.responses.references import reference_cards
from herding.ui.knowledge.tab import ask_prompt, text_models
from herding.values import Reference
from tests.knowledge.conftest import MODEL, Words, index_all, text
from tests.support.herding import ADMIN, GUEST
from tests.support.nodes import Switchable
from tests.ui.conftest import HOSTILE_TEXT, Desktop, Served

READER = replace(ADMIN, rights=ADMIN.rights - {"save"})


async def test_without_collections_the_tab_says_what_one_is(desktop: Desktop) -> None:
    shown = await desktop.get("knowledge")
    assert "Let prompts answer from your documents" in shown
    assert "Nothing selected" not in shown
    assert "Your role can&#x27;t create collections." in await desktop.get("knowledge", who=READER)
    with pytest.raises(AccessError):
        await desktop.post("knowledge/example", who=READER)


async def test_while_nodes_start_the_tab_waits_for_one_that_makes_embeddings(desktop: Desktop) -> None:
    node = Switchable("starts", [], models=["late"])
    node.expected = ("late",)
    desktop.place.herd.add(node)
    shown = await desktop.get("knowledge")
    assert "Nodes are still starting." in shown
    assert 'hx-get="ui/knowledge/new?first=1"' in shown
    with pytest.raises(UserError, match="Nodes are still starting"):
        await desktop.post("knowledge/collections", name="docs")
    node.expected, node.serving = (), ("late",)
    assert "No node makes embeddings now. Start the local node" in await desktop.get("knowledge/new", first="1")
    desktop.place.herd.add(Words())
    ready = await desktop.get("knowledge/new", first="1")
    assert "New collection" in ready
    assert "Try an example" in ready
    assert "Try an example" not in await desktop.get("knowledge/new", first="")


async def test_who_may_not_is_refused(desktop: Desktop) -> None:
    with pytest.raises(AccessError):
        await desktop.get("knowledge", who=GUEST)
    with pytest.raises(AccessError):
        await desktop.post("knowledge/collections", who=READER, name="docs")
    with pytest.raises(NotFoundError):
        await desktop.get("knowledge/collections/none/search", text="x")


def test_the_prompt_of_a_question_is_a_prompt() -> None:
    prompt = parse_prompt("ask_documents", ask_prompt("docs", ["a/b"]))
    assert prompt.retrieval is not None
    assert prompt.retrieval.collection == "docs"


async def test_the_bundled_specialist_is_asked_only_if_there_is_no_other(desktop: Desktop) -> None:
    nodes = await desktop.place.orchestrator.nodes.list_all(ADMIN)
    assert "echo" in text_models(nodes)
    cria = [replace(node, status=replace(node.status, serves=("herding/cria",))) for node in nodes]
    assert text_models(cria) == ["herding/cria"]


def test_references_are_cards_that_open_their_place() -> None:
    cards = reference_cards([Reference(1, "docs", "a b.md", HOSTILE_TEXT, 7, "line 3", 0.5, HOSTILE_TEXT)])
    assert cards is not None
    assert "?tab=knowledge&amp;collection=docs&amp;document=a+b.md&amp;chunk=7" in cards
    assert "<script" not in cards
    assert "line 3" in cards
    assert reference_cards(None) is None
    assert "No matching text" in (reference_cards([]) or "")


async def test_an_empty_question_is_refused(desktop: Desktop) -> None:
    with pytest.raises(UserError):
        await desktop.get("knowledge/collections/docs/search", text=" ")


def test_filters_of_polls_are_true_or_false() -> None:
    """htmx takes anything else, such as the parent that is there, for false: the poll would never be sent."""
    sources = {
        path: path.read_text() for path in (Path(__file__).resolve().parents[3] / "herding" / "ui").rglob("*.py")
    }
    filters = {
        (str(path), found) for path, text in sources.items() for found in re.findall(r"every [^\[]*\[([^\]]+)\]", text)
    }
    assert len(filters) > 3
    assert [found for found in filters if re.search(r"(^|&& )this[\w.]*offsetParent$", found[1])] == []


async def test_counts_follow_and_filled_forms_are_empty_again(desktop: Desktop) -> None:
    desktop.place.herd.add(Words())
    made = await desktop.post("knowledge/collections", name="docs", model=MODEL)
    assert made.html.index('id="knowledge-list" hx-swap-oob') < made.html.index("knowledge-new")
    assert 'value="docs"' not in made
    collections = desktop.place.orchestrator.collections
    await collections.add("docs", [text("a.txt", "Bread is baked.")], ADMIN)
    await index_all(desktop.place.orchestrator)
    followed = await desktop.get("knowledge/collections/docs/documents")
    assert not re.search(r"<th[^>]*></th>", followed.html)
    assert re.search('id="knowledge-facts" hx-swap-oob="true">1 document · 1 chunk', followed.html)
    assert 'id="knowledge-collections" hx-swap-oob="true"' in followed
    assert "knowledge-new" not in followed
    deleted = await desktop.delete("knowledge/collections/docs/documents", id="a.txt")
    assert "0 documents · 0 chunks" in deleted
    asked = await desktop.post("knowledge/collections/docs/ask", text="Who bakes?")
    status, done = asked.html.split("event: done")[0].rpartition("event: status")[2], asked.html.rpartition("done")[2]
    assert "Succeeded" in status
    assert "Succeeded" not in done


async def test_a_search_tells_of_documents_that_it_does_not_have_yet(desktop: Desktop) -> None:
    desktop.place.herd.add(Words())
    collections = desktop.place.orchestrator.collections
    await collections.create("docs", ADMIN)
    await collections.add("docs", [text("a.txt", "Bread is baked.")], ADMIN)
    missing = "1 document not searched: still being indexed."
    assert missing in await desktop.get("knowledge/collections/docs/search", text="bread")
    await index_all(desktop.place.orchestrator)
    found = await desktop.get("knowledge/collections/docs/search", text="bread")
    assert "1 match" in found
    assert missing not in found
    await collections.add("docs", [text("b.txt", "An oven is hot.")], ADMIN)
    assert missing in await desktop.get("knowledge/collections/docs/search", text="bread")


async def test_a_question_that_cannot_be_asked_is_told_in_place(desktop: Desktop) -> None:
    who = replace(ADMIN, rights=ADMIN.rights - {"nodes"})
    told = await desktop.post("knowledge/collections/docs/ask", who=who, text="who?")
    assert "event: done" in told
    assert "panel bad" in told


def test_the_page_takes_documents_as_large_as_the_api_does(served: Served) -> None:
    files = {"files": ("large.txt", b"wool " * 500_000)}
    sent = served.client.post("/ui/knowledge/collections/none/documents", files=files, headers=served.headers(True))
    assert sent.status_code == 404
    assert "'none'" in sent.json()["error"]["message"]
