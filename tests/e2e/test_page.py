"""The page is quick: what it loads and when, and what typing costs."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.running_app import RunningApp
from tests.e2e.workbench import LONG, Workbench

pytestmark = pytest.mark.browser

NOT_NAMED = """() => {
  const named = new Set([...document.head.querySelectorAll("link[rel=modulepreload]")].map(({ href }) => href));
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  return loaded.filter((name) => /\\/assets\\/[^/]*\\.js/.test(name) && !/view\\.js/.test(name) && !named.has(name));
}"""


def test_every_script_is_named_in_the_head_and_the_first_tab_is_asked_for_once(app: RunningApp, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition("?")[0]))
    Workbench(page, app.url).open("sentiment")
    assert page.evaluate(NOT_NAMED) == []
    assert asked.count(f"{app.url}/ui/engineer") == 1
    expect(page.locator("#prompt-picker")).to_contain_text("sentiment", ignore_case=True, timeout=LONG)
    assert "prompt=sentiment" in page.url


def test_typing_sends_one_request_when_it_pauses(app: RunningApp, page: Page) -> None:
    bench = Workbench(page, app.url).open("say_slowly")
    field = bench.variable("text")
    field.focus()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.keyboard.type("as quick as a person", delay=20)
    bench.expect_draft()
    assert len(sent) <= 2, sent  # a busy machine may take one of its own pauses for one of the typist
    assert "as quick as a person" in field.input_value()  # a test before may have left a draft
