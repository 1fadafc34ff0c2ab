"""Chains as columns: their steps, their replay, and what blind mode leaves out of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from herding.values import Request
from tests.knowledge.conftest import Words, index_all, text
from tests.support.herding import ADMIN, Place, herding
from tests.support.nodes import Scripted, echo
from tests.ui.compare.pages import opened
from tests.ui.conftest import Desktop, layout

PARTS = {
    "part": """
        name: Part
        target_models: [echo]
        variables: {text: {}, tone: {type: choice, choices: [kind, stern], default: kind}}
        variants: [{name: stern, when: tone == 'stern', prompt: 'stern {{text}}'}]
        prompt: 'kind {{text}}'
        """,
    "found": """
        name: Found
        target_models: [echo]
        variables: {question: {}}
        retrieval: {collection: docs, query: "{{question}}", top_k: 1}
        prompt: '{{question}} | {{context}}'
        """,
    "broken": "name: Broken\ntarget_models: [broken]\nprompt: x",
    "digest": """
        name: Digest
        target_models: [echo]
        variables: {text: {}, tone: {type: choice, choices: [kind, stern], default: kind}}
        steps:
          - {prompt: part, variables: {text: "{{text}}", tone: "{{tone}}"}, into: toned}
          - {prompt: found, variables: {question: "{{text}}"}, into: facts}
          - {prompt: part, name: late, when: len(text) > 99, variables: {text: x}, into: rest}
        variants: [{name: short, when: len(text) < 9, prompt: 'short: {{toned}} {{facts}}'}]
        prompt: 'long: {{toned}} {{facts}}'
        """,
    "failing": """
        name: Failing
        variables: {text: {}}
        steps:
          - {prompt: part, variables: {text: "{{text}}"}, into: first}
          - {prompt: broken, into: second}
          - {prompt: part, variables: {text: "{{second}}"}}
        """,
}


@pytest.fixture
async def desktop(tmp_path: Path) -> AsyncIterator[Desktop]:
    broken = Scripted("broken", [RuntimeError("no memory")], models=("broken",))
    async with herding(tmp_path, echo(), echo("other", "other/model"), Words(), broken) as made:
        await made.orchestrator.collections.create("docs", ADMIN)
        await made.orchestrator.collections.add("docs", [text("bread.txt", "Bread is baked.")], ADMIN)
        await index_all(made.orchestrator)
        for key, prompt in PARTS.items():
            made.write(key, prompt)
        await made.orchestrator.load()
        built = layout(made.orchestrator)
        yield Desktop(made, built.page, built.demo)


async def chains(place: Place) -> list[str]:
    return [row.answer for row in await place.rows() if row.kind == "chain"]


async def test_a_chain_is_a_column_with_its_steps(desktop: Desktop) -> None:
    board = await opened(desktop, "digest")
    await board.edit("var.text", "bread baked")
    await board.edit("var.tone", "stern")
    await board.edit("b.prompt", "failing")
    events = await board.run()
    live = [str(data) for name, data in events if name == "a.steps"]
    assert "running" in live[0]
    done = board.shown["a.done"]
    steps = done[done.index("chain-steps") :]
    for name in ("toned", "facts", "late", "response"):
        assert f"<b>{name}</b>" in steps
    assert "skipped" in steps
    assert board.text("a").startswith("long: stern bread baked bread baked | &lt;document")
    failed = board.shown["b.done"]
    assert "Step &#x27;second&#x27; failed" in failed
    assert "<b>second</b>" in failed
    assert len(await chains(desktop.place)) == 2
    assert "1 of 2 columns succeeded" in str(board.shown["finished"])
    assert "Open request" in (await opened(desktop, "digest", runs=board.address["runs"])).html


async def test_a_chain_is_replayed_with_its_own_input(desktop: Desktop) -> None:
    ran = await desktop.place.orchestrator.pipeline.run(Request("digest", {"text": "bread", "tone": "stern"}), ADMIN)
    assert ran.answer.startswith("short: stern bread")
    board = await opened(desktop, request=ran.request_id)
    assert (board["var.text"], board["var.tone"]) == ("bread", "stern")
    assert {name for name in board.fields if name.startswith("var.")} == {"var.text", "var.tone"}
    past = board.html[board.html.index('id="compare-past"') :]
    assert "chain-steps" in past
    await board.run()
    assert (await chains(desktop.place))[0] == ran.answer
    await board.edit("var.tone", "kind")
    await board.run()
    assert (await chains(desktop.place))[0].startswith("short: kind bread")


async def test_the_step_of_a_chain_is_replayed_as_the_prompt_that_it_is(desktop: Desktop) -> None:
    ran = await desktop.place.orchestrator.pipeline.run(Request("digest", {"text": "bread", "tone": "stern"}), ADMIN)
    entry = await desktop.place.orchestrator.history.entry(ran.request_id, ADMIN)
    step = next(child for child in entry.children if child.step == "toned")
    board = await opened(desktop, request=step.request_id)
    assert (board["var.text"], board["var.tone"]) == ("bread", "stern")
    await board.run()
    assert board.text("a") == "stern bread"


async def test_blind_mode_hides_the_steps_until_the_names_are_shown(desktop: Desktop) -> None:
    board = await opened(desktop, "digest")
    await board.edit("var.text", "bread")
    await board.edit("blind", "on")
    events = await board.run()
    assert not [name for name, _ in events if name.endswith(".steps")]
    for letter in "ab":
        assert "part@" not in board.shown[f"{letter}.done"]
        assert "chain-steps" not in board.shown[f"{letter}.done"]
    await board.press("prefer", choice="a")
    assert "chain-steps" in board.shown["compare-a-more"]


async def test_a_replay_retrieves_again(desktop: Desktop) -> None:
    ran = await desktop.place.orchestrator.pipeline.run(Request("found", {"question": "bread baked"}), ADMIN)
    assert ran.references
    assert "Bread is baked." in ran.variables["context"]
    board = await opened(desktop, request=ran.request_id)
    assert (board["var.question"], board["var.context"]) == ("bread baked", "")
    await board.run()
    new = (await desktop.place.rows())[0]
    assert (new.answer, new.references) == (ran.answer, ran.references)
    await desktop.get("engineer", request=ran.request_id)
    draft = await desktop.place.orchestrator.drafts.get("found", ADMIN)
    assert draft is not None
    assert draft.edits.variables == {"question": "bread baked"}
