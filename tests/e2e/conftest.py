"""Running apps that the tests of several modules share, and a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import browser
from tests.e2e.doors import ECHOING, open_app
from tests.e2e.running_app import ROOT, RunningApp
from tests.e2e.workbench import LONG

expect.set_options(timeout=LONG)  # its own five seconds are too short for a busy machine

SAY_SLOWLY = """
name: Say slowly
target_models: [slow-echo]
variables:
  text: {type: text}
prompt: "{{text}}"
"""


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app as shipped, with echo nodes: one that takes its time, and one for models that are not bundled.

    Everybody who reaches it is the same admin. A test that uses it finds what earlier ones left: it looks for its own
    prompts and rows, and brings an app that it killed up again.
    """
    home = tmp_path_factory.mktemp("home")
    prompts = home / "prompts"
    shutil.copytree(ROOT / "prompts", prompts)
    (prompts / "say_slowly.yaml").write_text(SAY_SLOWLY)
    targets = (yaml.safe_load(path.read_text()).get("target_models") for path in (ROOT / "prompts").glob("*.yaml"))
    others = sorted({models[0] for models in targets if models and "herding/cria" not in models})
    nodes = [
        {"kind": "local", "name": "local"},
        {"kind": "echo", "name": "slow", "models": ["slow-echo"], "delay": 0.4},
        {"kind": "echo", "name": "echo", "models": [*others, "quick-echo", "spare-1280", "spare-390"]},
    ]
    (home / "nodes.yaml").write_text(yaml.safe_dump({"nodes": nodes}))
    running = RunningApp(
        home, environment={"HERDING_PROMPTS": str(prompts), "HERDING_NODES": str(home / "nodes.yaml")}
    ).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def open_net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app that others can reach, with a node that answers at once; its visitors are guests.

    A test that uses it makes users of its own, and brings an app that it killed up again.
    """
    running = open_app(tmp_path_factory.mktemp("open"))
    (running.home / "prompts" / "echoing.yaml").write_text(ECHOING)
    yield running.start()
    running.stop()


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Browser]]:
    """Starts headless Chromium, with more arguments; without one the test is skipped, and in CI it fails.

    It lives as long as a module of browser tests and no longer: while it does, its event loop runs in this thread, and
    tests of another module could not run theirs.
    """
    path = browser.find()
    if path is None:
        message = "NO BROWSER: this test needs Chromium"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TMPDIR", raising=False)  # an app of another test may have left its own, too deep for a socket
        yield from _launching(path)


def _launching(path: str) -> Iterator[Callable[..., Browser]]:
    with sync_playwright() as playwright:
        started: list[Browser] = []

        def start(*arguments: str) -> Browser:
            started.append(playwright.chromium.launch(executable_path=path, args=[*browser.ARGUMENTS, *arguments]))
            return started[-1]

        yield start
        for opened in started:
            opened.close()


@pytest.fixture(scope="module")
def chromium(launch: Callable[..., Browser]) -> Browser:
    """One headless Chromium for a module."""
    return launch()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page in a context of its own."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(LONG)
    yield context.new_page()
    context.close()
