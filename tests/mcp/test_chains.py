"""Chains, retrieval, sources and plugins over the Model Context Protocol, with the SDK's own client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import TextContent, TextResourceContents

from herding.orchestrator import built_in
from herding.plugins import Plugins, hookimpl
from tests.api.conftest import live
from tests.knowledge.conftest import Words, index_all, text
from tests.mcp.conftest import connect, token_of
from tests.mcp.test_mcp import MODES, text_of
from tests.support.herding import ADMIN, Place, herding
from tests.support.nodes import Scripted, echo

PROMPTS = {
    "part": """
        name: Part
        target_models: [echo]
        variables: {text: {}, tone: {type: choice, choices: [kind, stern], default: kind}}
        variants: [{name: stern, when: tone == 'stern', prompt: 'stern {{text}}'}]
        prompt: 'kind {{text}}'
        checks: {plugins: {says: kind}}
        """,
    "found": """
        name: Found
        target_models: [echo]
        variables: {question: {}, who: {source: user}}
        retrieval: {collection: docs, query: "{{question}}", top_k: 1}
        variants: [{name: nothing, when: len(context) == 0, prompt: 'nothing for {{question}}'}]
        prompt: '{{who}}: {{question}} | {{context}}'
        """,
    "digest": """
        name: Digest
        target_models: [echo]
        variables: {text: {max_chars: 50}, tone: {type: choice, choices: [kind, stern], default: kind}}
        steps:
          - {prompt: part, variables: {text: "{{text}}", tone: "{{tone}}"}, into: toned}
          - {prompt: found, variables: {question: "{{text}}"}, into: facts}
        variants: [{name: short, when: len(text) < 9, prompt: 'short: {{toned}} {{facts}}'}]
        prompt: 'long: {{toned}} {{facts}}'
        """,
    "failing": """
        name: Failing
        steps: [{prompt: part, variables: {text: x}, into: first}, {prompt: broken, into: second}]
        """,
    "broken": "name: Broken\ntarget_models: [broken]\nprompt: x",
}


class Example:
    @hookimpl
    def herding_checks(self):
        return {"says": lambda answer, argument: None if argument in answer else f"does not say {argument}"}


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    plugins = Plugins(built_in=built_in())
    plugins.register(Example(), "example")
    monkeypatch.setattr("herding.main.load_plugins", lambda _off=(): plugins)
    broken = Scripted("broken", [RuntimeError("no memory")], models=("broken",))
    async with herding(tmp_path, echo(), Words(), broken, host="0.0.0.0") as made:
        await made.orchestrator.collections.create("docs", ADMIN)
        await made.orchestrator.collections.add("docs", [text("bread.txt", "Bread is baked.")], ADMIN)
        await index_all(made.orchestrator)
        for key, prompt in PROMPTS.items():
            made.write(key, prompt)
        await made.orchestrator.load()
        yield made


@asynccontextmanager
async def user(place: Place, mode: str = "auto") -> AsyncIterator[Client]:
    token = await token_of(place, "user", "ada")
    async with live(place) as address, connect(f"{address}/mcp", token, mode) as client:
        yield client


@MODES
async def test_a_chain_runs_as_a_tool_and_its_steps_are_told(place: Place, mode: str) -> None:
    said: list[str | None] = []

    async def progress(_done: float, _total: float | None, message: str | None) -> None:
        said.append(message)

    async with user(place, mode) as client:
        listed = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
        arguments = {argument.name: argument.description for argument in listed["digest"].arguments or ()}
        assert arguments["text"] == "Type: text (max_chars: 50)."
        assert "stern" in str(arguments["tone"])
        result = await client.call_tool(
            "run_prompt",
            {"prompt": "digest", "variables": {"text": "bread", "tone": "stern"}},
            progress_callback=progress,
        )
        assert not result.is_error
        assert text_of(result).startswith("short: stern bread ada: bread | <document")
        run = result.structured_content
        assert (run["variant"], [step["name"] for step in run["steps"]]) == ("short", ["toned", "facts", "response"])
        assert "Step toned: succeeded" in said
        (resource,) = (await client.list_resources()).resources
        assert resource.name == run["request_id"]
        (contents,) = (await client.read_resource(resource.uri)).contents
        assert isinstance(contents, TextResourceContents)
        steps = json.loads(contents.text)["steps"]
        (found,) = (await client.read_resource(f"herding://history/{steps[1]['request_ids'][0]}")).contents
        assert isinstance(found, TextResourceContents)
        step = json.loads(found.text)
        assert (step["parent"], step["step"]) == (run["request_id"], "facts")
        assert [one["document"] for one in step["references"]] == ["bread.txt"]
        (toned,) = (await client.read_resource(f"herding://history/{steps[0]['request_ids'][0]}")).contents
        assert isinstance(toned, TextResourceContents)
        assert json.loads(toned.text)["checks_passed"] is False  # the check of the plugin
        rated = await client.call_tool("rate", {"request_id": run["request_id"], "stars": 5})
        assert not rated.is_error


async def test_a_chain_that_cannot_run_says_why(place: Place) -> None:
    async with user(place) as client:
        failed = await client.call_tool("run_prompt", {"prompt": "failing"})
        assert failed.is_error
        assert "Step 'second' failed" in text_of(failed)
        refused = await client.call_tool("run_prompt", {"prompt": "digest", "variables": {"text": "x" * 51}})
        assert refused.is_error
        assert "50 characters" in text_of(refused)
        with pytest.raises(MCPError, match=r"has steps that run on models\. Call the tool run_prompt"):
            await client.get_prompt("digest", {"text": "bread"})


async def test_a_prompt_is_rendered_with_what_it_retrieves_and_its_sources(place: Place) -> None:
    async def rendered(client: Client, question: str) -> str:
        (message,) = (await client.get_prompt("found", {"question": question})).messages
        assert isinstance(message.content, TextContent)
        return message.content.text

    async with user(place) as client:
        assert (await rendered(client, "bread baked")).startswith(
            'ada: bread baked | <document number="1" title="bread.txt"'
        )
        assert await rendered(client, "zzz") == "nothing for zzz"
        run = await client.call_tool("run_prompt", {"prompt": "found", "variables": {"question": "bread baked"}})
        (reference,) = run.structured_content["references"]
        assert reference["document"] == "bread.txt"
    assert len(await place.rows()) == 1
