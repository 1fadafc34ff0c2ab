"""One running app a module for the tests that do not harm it, and a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import browser
from tests.e2e.running_app import ROOT, RunningApp
from tests.e2e.workbench import LONG

expect.set_options(timeout=LONG)  # its own five seconds are too short for a busy machine

NODES = """
nodes:
  - {kind: local, name: local}
  - {kind: echo, name: slow, models: [slow-echo], delay: 0.4}
"""
SAY_SLOWLY = """
name: Say slowly
target_models: [slow-echo]
variables:
  text: {type: text}
prompt: "{{text}}"
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app with the bundled model and a node that takes its time, ready."""
    home = tmp_path_factory.mktemp("home")
    prompts = home / "prompts"
    shutil.copytree(ROOT / "prompts", prompts)
    (prompts / "say_slowly.yaml").write_text(SAY_SLOWLY)
    (home / "nodes.yaml").write_text(NODES)
    running = RunningApp(
        home, environment={"HERDING_PROMPTS": str(prompts), "HERDING_NODES": str(home / "nodes.yaml")}
    ).start()
    yield running
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
