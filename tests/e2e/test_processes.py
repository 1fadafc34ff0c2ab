"""What must hold when processes die."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest

from herding.access.roles import principal
from herding.errors import NodeError
from herding.nodes.local import LocalConfig, LocalNode
from herding.orchestrator import Orchestrator
from herding.prompts.library import Library
from herding.store import Store
from herding.values import Delta, HistoryFilter, Parameters, Request
from tests.e2e.running_app import ROOT, RunningApp, alive, wait_until

ME = principal("local", "admin")


def test_no_engine_outlives_a_killed_app(tmp_path: Path) -> None:
    app = RunningApp(tmp_path).start(ready=False)
    wait_until(app.children, seconds=20, what="the engine process")
    engines = app.children()
    app.kill()
    wait_until(lambda: not any(map(alive, engines)), seconds=10, what="the end of the engine")


def test_a_terminated_app_ends_soon_and_leaves_nothing(tmp_path: Path) -> None:
    app = RunningApp(tmp_path).start()
    engines = app.children()
    app.stop()
    assert not any(map(alive, engines))


def test_health_is_answered_while_the_model_still_loads(tmp_path: Path) -> None:
    app = RunningApp(tmp_path).start(ready=False)
    waiting = httpx.get(f"{app.url}/readyz", trust_env=False)
    page = httpx.get(app.url, trust_env=False)
    app.stop()
    assert waiting.status_code in (200, 503)
    assert page.status_code == 200


async def test_an_engine_killed_in_the_middle_of_an_answer_ends_the_request_and_comes_back(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'herding.sqlite'}")
    library = Library(ROOT / "prompts")
    library.refresh()
    node = LocalNode(LocalConfig(kind="local", name="local"))
    await node.start()
    herding = Orchestrator(library=library, herd={"local": node}, store=store)
    request = Request("plain_chat", parameters=Parameters(max_tokens=400, temperature=1.0))
    try:
        await herding.run(Request("sentiment"), ME)
        with pytest.raises(NodeError) as caught:
            async for event in herding.stream(request, ME):
                if isinstance(event, Delta) and node.pid:
                    os.kill(node.pid, signal.SIGKILL)
        [entry] = (await herding.history(HistoryFilter(prompt="plain_chat"), ME)).entries
        assert entry.outcome.request_id == caught.value.request_id
        assert entry.outcome.status in ("partial", "failed")
        assert entry.outcome.error
        again = await herding.run(Request("sentiment"), ME)
        assert again.status == "succeeded"
    finally:
        await node.close()
        await store.close()
