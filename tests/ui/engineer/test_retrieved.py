"""The chunks of a run in the editor: seen, edited, left out; and the run says which were edited."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from herding.errors import UserError
from herding.plugins import Plugins, SourceCall
from herding.ui.engineer.messages import unused
from herding.values import ContextChunk, Ranking, Request
from tests.knowledge.conftest import Words, index_all, text
from tests.support.herding import ADMIN, Place, herding
from tests.support.nodes import echo
from tests.ui.conftest import Desktop, layout
from tests.ui.engineer.pages import opened

ASK = """
    name: Ask
    target_models: [echo]
    variables: {question: {}}
    retrieval: {collection: docs, query: "{{question}}", top_k: 3}
    messages: [{role: user, content: "{{question}} {{context}}"}]
    """


class Reranking(Words):
    """Prefers short chunks."""

    @property
    def reranks(self) -> tuple[str, ...]:
        return ("short/first",)

    async def rerank(self, model, query, documents) -> Ranking:
        return Ranking(tuple(1 / len(document) for document in documents), 1)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with herding(tmp_path, echo(), Reranking()) as made:
        await made.orchestrator.collections.create("docs", ADMIN)
        documents = [text("bread.txt", "Bread is baked in an oven."), text("oven.txt", "An oven is hot <b>.")]
        await made.orchestrator.collections.add("docs", documents, ADMIN)
        await index_all(made.orchestrator)
        made.write("ask", ASK)
        made.write("plain", "name: Plain\ntarget_models: [echo]\nprompt: hello")
        await made.orchestrator.load()
        yield made


@pytest.fixture
def desktop(place: Place) -> Desktop:
    built = layout(place.orchestrator)
    return Desktop(place, built.page, built.demo)


FORM: dict[str, Any] = {"key": "ask", "base_version": "1", "way": "form", "var.question": "bread oven"}


async def test_the_section_shows_what_a_run_would_get(desktop: Desktop) -> None:
    shown = await desktop.get("engineer", prompt="ask")
    assert "Each run searches the collection docs." in shown
    assert "retrieved-section" not in await desktop.get("engineer", prompt="plain")
    assert "Filled from the collection docs if empty" in shown
    listed = await desktop.post("engineer/retrieved", **FORM)
    assert "Runs use these chunks (2 chunks, " in listed
    assert "Bread is baked in an oven." in listed
    assert "An oven is hot &lt;b&gt;." in listed
    assert len(re.findall(r'name="context.use"', listed.html)) == 2
    assert "Each run searches" in await desktop.post("engineer/retrieved/automatic", **FORM)


async def test_a_run_uses_the_chunks_as_they_were_edited(desktop: Desktop) -> None:
    listed = await desktop.post("engineer/retrieved", **FORM)
    ids = re.findall(r'data-chunk="(\d+)"', listed.html)
    edited = {"context.shown": "on", "context.chunk": ids, "context.text": ["Bread is bought.", "An oven is hot <b>."]}
    await desktop.post("engineer/run", **FORM, **edited, **{"context.use": ids})
    row = (await desktop.place.rows())[0]
    assert row.references is not None
    assert [(one.number, one.text, one.edited) for one in row.references] == [
        (1, "Bread is bought.", True),
        (2, "An oven is hot <b>.", False),
    ]
    assert "Bread is bought." in row.answer
    assert "baked" not in row.answer
    await desktop.post("engineer/run", **FORM, **edited, **{"context.use": ids[1:]})
    row = (await desktop.place.rows())[0]
    assert [one.document for one in row.references or ()] == ["oven.txt"]
    await desktop.post("engineer/run", **FORM)
    assert [one.edited for one in (await desktop.place.rows())[0].references or ()] == [False, False]


async def test_a_chunk_of_elsewhere_is_refused(place: Place) -> None:
    request = Request("ask", {"question": "x"}, context=(ContextChunk(99_999, "x"),))
    with pytest.raises(UserError, match="not in the collection 'docs' any more"):
        await place.orchestrator.pipeline.run(request, ADMIN)
    chunk = (await place.orchestrator.collections.chunks("docs", "oven.txt", ADMIN))[0][0]
    request = Request("ask", {"question": "x"}, context=(ContextChunk(chunk, "a\x00b"),))
    with pytest.raises(UserError, match="contains a NUL character"):
        await place.orchestrator.pipeline.run(request, ADMIN)


async def test_the_preview_has_the_chunks_and_the_variant_that_they_choose(place: Place, desktop: Desktop) -> None:
    variant = 'variants: [{name: nothing, when: len(context) == 0, prompt: "none"}]'
    place.write("choosing", ASK.replace("messages:", f"{variant}\n    messages:"))
    await place.orchestrator.load()
    form = {**FORM, "key": "choosing"}
    found = await desktop.post("engineer/edit", **form)
    assert "Bread is baked in an oven." in found
    assert "Variant: nothing" not in found
    assert "Variant: nothing" in await desktop.post("engineer/edit", **{**form, "var.question": "xyzzy"})


async def test_the_preview_asks_the_sources_once(
    place: Place, desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    value = Plugins.value

    async def counted(self: Plugins, source: str, call: SourceCall) -> object:
        asked.append(source)
        return await value(self, source, call)

    monkeypatch.setattr(Plugins, "value", counted)
    prompt = ASK.replace("{question: {}}", "{question: {}, who: {source: user}}").replace(
        "context}}", "context}} {{who}}"
    )
    place.write("sourced", prompt)
    await place.orchestrator.load()
    shown = await desktop.post("engineer/edit", **{**FORM, "key": "sourced"})
    assert "Bread is baked in an oven." in shown
    assert asked == ["user"]


def test_a_variable_is_used_by_conditions_retrieval_and_sources_too() -> None:
    data = {
        "variables": {
            **{name: {} for name in ("a", "b", "c", "none")},
            "d": {},
            "w": {"source": "s", "arguments": {"x": ["{{d}}"]}},
        },
        "retrieval": {"query": "{{a}}", "filters": {"k": ["{{b}}"]}},
        "variants": [{"when": "c > 1", "prompt": "x"}],
        "prompt": "{{w}}",
    }
    assert unused(data) == ["none"]


async def test_a_reranker_is_selected_for_the_prompt(desktop: Desktop) -> None:
    shown = await desktop.get("engineer", prompt="ask")
    assert re.search(r'<select[^>]*name="retrieval.rerank"', shown.html)
    assert '<option value="short/first">' in shown
    order = r'data-chunk="(\d+)"'
    plain = re.findall(order, (await desktop.post("engineer/retrieved", **FORM)).html)
    reranked = await desktop.post(
        "engineer/retrieved", **FORM, part="retrieval", **{"retrieval.rerank": "short/first"}, yaml_saved="on"
    )
    assert re.findall(order, reranked.html) == plain[::-1]
    assert "reranked 0." in reranked
    await desktop.post("engineer/run", **FORM, part="retrieval", **{"retrieval.rerank": "short/first"}, yaml_saved="on")
    row = (await desktop.place.rows())[0]
    assert [(one.document, one.reranker) for one in row.references or ()] == [
        ("oven.txt", "short/first"),
        ("bread.txt", "short/first"),
    ]
    assert "reranked 0." in await desktop.get("history", request=row.request_id)


async def test_the_search_of_a_collection_is_reranked(desktop: Desktop) -> None:
    page = await desktop.get("knowledge", collection="docs")
    assert '<option value="short/first">' in page
    found = await desktop.get("knowledge/collections/docs/search", text="bread oven", rerank="short/first")
    assert found.html.index("oven.txt") < found.html.index("bread.txt")
    assert "reranker score 0." in found
    with pytest.raises(UserError, match=r"No node reranks with 'x'\. Available: short/first"):
        await desktop.get("knowledge/collections/docs/search", text="bread", rerank="x")


async def test_saving_leaves_the_filled_variable_out_of_the_file(desktop: Desktop) -> None:
    form = await opened(desktop, "ask")
    await form.edit(**{"messages.0.content": "Say: {{question}} {{context}}"})
    await form.press("save")
    saved = await desktop.place.orchestrator.prompts.get("ask@newest", ADMIN)
    assert saved.version == 2
    assert "Say: " in saved.text
    assert "variables: {question: {}}\n" in saved.text
