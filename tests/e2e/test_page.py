"""The page is quick: what it loads and when, and what typing costs."""

from __future__ import annotations

import re

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


def test_an_open_row_closes_by_its_button_and_by_escape(app: RunningApp, page: Page) -> None:
    app.client().post("/api/v1/users", json={"id": "closing", "role": "rater"})
    page.goto(f"{app.url}/?tab=access&section=users")
    row, drawer = page.locator("#user-list [data-row=closing]"), page.locator("#user-detail")
    for close in (lambda: drawer.get_by_role("button", name="Close").click(), lambda: page.keyboard.press("Escape")):
        row.click(timeout=LONG)
        expect(drawer).to_contain_text("Edit closing", timeout=LONG)
        expect(page).to_have_url(re.compile("user=closing"))
        close()
        expect(drawer).to_be_empty()
        expect(row).to_be_focused()
        assert "user=" not in page.url
    row.press("Enter")
    expect(drawer).to_contain_text("Edit closing", timeout=LONG)
    row.press("ArrowRight")
    expect(drawer.get_by_role("button", name="Close")).to_be_focused()
    page.locator("#user-limits").fill("5 cats per day")
    page.locator("#user-name").press("Enter")
    expect(page.locator(".field:has(#user-limits) [role=alert]")).to_contain_text("Fix line 1 of the limits")
    expect(page.locator("#user-limits")).to_be_focused()
    expect(page.locator("#user-limits")).to_have_accessible_description(re.compile("Fix line 1"))


def test_back_leads_to_the_tab_before_with_what_it_showed(app: RunningApp, page: Page) -> None:
    bench = Workbench(page, app.url).open("sentiment")
    bench.pick("say_slowly")
    bench.tab("History")
    bench.tab("Insights")
    expect(page).to_have_url(re.compile("tab=insights&prompt=say_slowly"))
    bench.tab("Nodes")
    expect(page).to_have_url(re.compile("tab=nodes$"))
    page.evaluate("history.go(-2)")
    expect(page.get_by_role("tab", name="History")).to_have_attribute("aria-selected", "true", timeout=LONG)
    page.evaluate("history.back()")
    expect(page.locator("#prompt-picker")).to_contain_text("say_slowly", timeout=LONG)
    page.evaluate("history.back()")
    expect(page.locator("#prompt-picker")).to_contain_text("sentiment", ignore_case=True, timeout=LONG)
    page.evaluate("history.forward()")
    expect(page.locator("#prompt-picker")).to_contain_text("say_slowly", timeout=LONG)


def test_a_tab_of_the_menu_of_a_narrow_page_gets_fields_of_its_own(app: RunningApp, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    Workbench(page, app.url).open("say_slowly")
    menu, entries = page.locator("#tabs .overflow-menu > button"), page.locator("#tabs .overflow-dropdown button")
    menu.press("Enter")
    entries.first.press("Escape")
    expect(entries.first).to_be_hidden()
    expect(menu).to_be_focused()
    menu.click()
    page.locator("#tabs .overflow-dropdown button", has_text="istory").click()
    expect(page.locator("#history-text")).to_be_visible(timeout=LONG)
    assert "prompt=" not in page.url


def test_a_reload_in_the_middle_of_a_response_shows_what_came(app: RunningApp, page: Page) -> None:
    bench = Workbench(page, app.url).open("say_slowly")
    bench.fill("text", "what comes " * 30)
    bench.run()
    expect(page.locator("#response .tail")).to_contain_text("what", timeout=LONG)
    page.reload()
    expect(page.locator("#response .markdown")).to_contain_text("what", timeout=LONG)
    bench.expect_status("Disconnected")


def test_a_tab_that_cannot_be_loaded_offers_to_try_again(app: RunningApp, page: Page) -> None:
    Workbench(page, app.url).open()
    page.route("**/ui/usage?*", lambda route: route.abort())
    page.get_by_role("tab", name="Usage").press("Enter")
    tab = page.locator(".view[data-view=usage]")
    expect(tab).to_contain_text("Can't load this tab.")
    page.unroute("**/ui/usage?*")
    tab.get_by_role("button", name="Try again").press("Enter")
    expect(tab).to_contain_text("Your limits", timeout=LONG)
