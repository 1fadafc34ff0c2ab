"""Running apps that the tests of several modules share, and a real browser."""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests import browser
from tests.e2e.doors import ECHOING, open_app
from tests.e2e.running_app import ROOT, RunningApp
from tests.e2e.workbench import LONG

expect.set_options(timeout=LONG)  # its own five seconds are too short for a busy machine
HERE = Path(__file__).parent

SAY_SLOWLY = """
name: Say slowly
target_models: [slow-echo]
variables:
  text: {type: text}
prompt: "{{text}}"
"""
SLOW = {"kind": "echo", "name": "slow", "models": ["slow-echo"], "delay": 0.4}
ECHO = {"kind": "echo", "name": "echo"}


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
        SLOW,
        {**ECHO, "models": [*others, "quick-echo", "spare-1280", "spare-390"]},
    ]
    (home / "nodes.yaml").write_text(yaml.safe_dump({"nodes": nodes}))
    running = RunningApp(
        home, environment={"HERDING_PROMPTS": str(prompts), "HERDING_NODES": str(home / "nodes.yaml")}
    ).start()
    yield running
    running.stop()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[RunningApp]:
    """An app of one test, without an engine, so that it is quickly up again after a kill. Everybody is its admin."""
    (tmp_path / "home").mkdir()
    running = open_app(tmp_path / "home", HERDING_HOST="127.0.0.1", HERDING_ADMIN_TOKEN="")
    nodes = [SLOW, {**ECHO, "models": ["echo", "quick-echo"]}]
    (running.home / "nodes.yaml").write_text(yaml.safe_dump({"nodes": nodes}))
    (running.home / "prompts" / "say_slowly.yaml").write_text(SAY_SLOWLY)
    yield running.start()
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


class Browsers:
    """Headless Chromium for one module after the other.

    While it is there, its event loop runs in this thread, and a test that needs a loop of its own could not run.
    """

    def __init__(self) -> None:
        self._playwright: Playwright | None = None
        self._shared: Browser | None = None

    def launch(self, *arguments: str) -> Browser:
        """Start another one; without Chromium the test is skipped, and in CI it fails."""
        path = browser.find()
        if path is None:
            message = "NO BROWSER: this test needs Chromium"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
        if self._playwright is None:
            with pytest.MonkeyPatch.context() as patch:
                patch.delenv("TMPDIR", raising=False)  # another test's app may have left its own, too deep for a socket
                self._playwright = sync_playwright().start()
        return self._playwright.chromium.launch(executable_path=path, args=[*browser.ARGUMENTS, *arguments])

    def shared(self) -> Browser:
        """The one of all tests."""
        if self._shared is None or not self._shared.is_connected():
            self._shared = self.launch()
        return self._shared

    def close(self) -> None:
        """End all of them, and the event loop."""
        if self._playwright is not None:
            self._playwright.stop()
        self._playwright = self._shared = None


browsers = Browsers()


def needs_loop(item: pytest.Item | None) -> bool:
    """Whether a test may run an event loop of its own in this thread."""
    return item is None or item.path.parent != HERE or inspect.iscoroutinefunction(getattr(item, "obj", None))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """End the browser where the next test needs an event loop."""
    try:
        yield
    finally:
        if needs_loop(nextitem):
            browsers.close()


@pytest.fixture
def launch() -> Iterator[Callable[..., Browser]]:
    """Starts a Chromium of this test alone, with more arguments."""
    started: list[Browser] = []

    def start(*arguments: str) -> Browser:
        started.append(browsers.launch(*arguments))
        return started[-1]

    yield start
    for opened in started:
        opened.close()


@pytest.fixture
def chromium() -> Browser:
    """One headless Chromium for all tests of this process."""
    return browsers.shared()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page in a context of its own."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(LONG)
    yield context.new_page()
    context.close()
