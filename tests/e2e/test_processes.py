"""What must hold when processes die."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from herding.errors import NodeError
from herding.nodes.local import LocalConfig, LocalNode
from herding.orchestrator import Orchestrator
from herding.values import Delta, Done, HistoryFilter, Message, Request, Started
from tests.e2e.running_app import ROOT, RunningApp, alive, wait_until
from tests.support.herding import herding
from tests.support.people import principal

ME = principal("local", "admin")
Machine = tuple[Orchestrator, LocalNode]
shared_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    """An orchestrator with the shipped prompts and a real engine."""
    home = tmp_path_factory.mktemp("machine")
    node = LocalNode(LocalConfig(kind="local", name="local"))
    shutil.copytree(ROOT / "prompts", home / "prompts")
    async with herding(home, node) as place:
        await node.start()
        yield place.orchestrator, node


def test_no_engine_outlives_a_killed_app(tmp_path: Path) -> None:
    app = RunningApp(tmp_path).start(ready=False)
    wait_until(app.children, seconds=120, what="the engine process")
    engines = app.children()
    app.kill()
    wait_until(lambda: not any(map(alive, engines)), seconds=60, what="the end of the engine")


def test_health_is_answered_while_the_model_still_loads_and_a_terminated_app_leaves_nothing(tmp_path: Path) -> None:
    app = RunningApp(tmp_path, own_interpreter=True).start(ready=False)
    waiting = app.client().get("/readyz")
    page = app.client().get("/")
    assert waiting.status_code in (200, 503)
    assert page.status_code == 200
    app.wait_for("/readyz")
    engines = app.children()
    assert engines
    app.stop()
    assert not any(map(alive, engines))


@shared_loop
async def test_a_long_chat_is_trimmed_to_the_context_and_keeps_its_head(machine: Machine) -> None:
    herding, _ = machine
    turns = tuple(Message("user" if n % 2 == 0 else "assistant", f"turn {n} " * 40) for n in range(40))
    request = Request("plain_chat", {"message": "Hello!"}, turns=turns)
    outcome = await herding.pipeline.run(request, ME)
    sent = json.loads(outcome.input)
    context = (await herding.nodes.list_all(ME))[0].status.context_length
    assert sent[0]["role"] == "system"
    assert sent[-1]["content"] == "Hello!"
    kept = [message["content"] for message in sent[1:-1]]
    assert 0 < len(kept) < len(turns)
    assert kept == [turn.content for turn in turns[-len(kept) :]]
    assert context is not None
    assert outcome.usage.input_tokens + outcome.usage.output_tokens <= context


@shared_loop
async def test_a_stopped_answer_has_the_exact_counts_of_the_node(machine: Machine) -> None:
    herding, _ = machine
    request_id = ""
    async for event in herding.pipeline.stream(Request("plain_chat"), ME):
        if isinstance(event, Started):
            request_id = event.request_id
        elif isinstance(event, Delta):
            await herding.pipeline.cancel(request_id, ME)
        elif isinstance(event, Done):
            outcome = event.outcome
    assert outcome.status == "cancelled"
    assert outcome.usage.source == "node"
    assert outcome.usage.output_tokens >= 1


@shared_loop
async def test_an_engine_killed_in_the_middle_of_an_answer_ends_the_request_and_comes_back(machine: Machine) -> None:
    herding, node = machine
    await herding.pipeline.run(Request("sentiment"), ME)
    with pytest.raises(NodeError) as caught:
        await kill_at_the_first_word(herding, node)
    entries = (await herding.history.page(HistoryFilter(prompt="plain_chat"), ME)).entries
    [entry] = [entry for entry in entries if entry.outcome.request_id == caught.value.request_id]
    assert entry.outcome.status in ("partial", "failed")
    assert entry.outcome.error
    again = await herding.pipeline.run(Request("sentiment"), ME)
    assert again.status == "succeeded"


async def kill_at_the_first_word(herding: Orchestrator, node: LocalNode) -> None:
    async for event in herding.pipeline.stream(Request("plain_chat"), ME):
        if isinstance(event, Delta) and node.pid:
            os.kill(node.pid, signal.SIGKILL)
