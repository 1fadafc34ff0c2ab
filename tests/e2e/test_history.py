"""The history in a real browser: by keyboard, by filters in the address, on a phone, and on into the editor."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from herding.ui.history.rows import PAGE
from tests.e2e.running_app import RunningApp
from tests.e2e.workbench import LONG

pytestmark = pytest.mark.browser

TEXTS = ("a quiet harbour", "a loud harbour", "a lovely soup")


@pytest.fixture(scope="module")
def key(app: RunningApp) -> str:
    """A prompt of this test alone, with a request for each text."""
    http = httpx.Client(base_url=app.url, trust_env=False, timeout=60)
    body = http.get("/api/v1/prompts/sentiment@newest").json()["content"] | {"name": "Past moods"}
    http.put("/api/v1/prompts/past_moods", json=body).raise_for_status()
    for text in TEXTS:
        http.post("/api/v1/infer", json={"prompt": "past_moods", "variables": {"text": text}}).raise_for_status()
    return "past_moods"


def test_requests_are_read_by_keyboard_and_a_link_brings_back_what_was_seen(
    app: RunningApp, page: Page, key: str
) -> None:
    page.goto(f"{app.url}/?tab=history&prompt={key}")
    rows, opened = page.locator("#history-list tr[data-row]"), page.locator("#history-detail")
    expect(rows).to_have_count(3, timeout=LONG)
    page.locator("#history-text").fill("harbour")
    expect(rows).to_have_count(2, timeout=LONG)
    expect(page).to_have_url(re.compile("text=harbour"))
    rows.first.locator(".history-input").click()
    expect(opened).to_contain_text("a loud harbour", timeout=LONG)
    page.keyboard.press("ArrowDown")
    expect(opened).to_contain_text("a quiet harbour", timeout=LONG)
    expect(rows.last).to_have_attribute("aria-current", "true")
    opened.locator(".stars label").nth(3).click()
    expect(rows.last).to_have_attribute("aria-current", "true")
    expect(rows.last.locator(".history-rating .sr")).to_have_text("4 stars", timeout=LONG)
    page.reload()
    expect(opened).to_contain_text("a quiet harbour", timeout=LONG)
    expect(rows).to_have_count(2)
    expect(page.locator("#history-text")).to_have_value("harbour")
    opened.locator(".history-steps").get_by_role("button", name="Close").click()
    expect(opened).to_be_hidden()
    expect(page).not_to_have_url(re.compile("request="))
    page.locator("#history-sort-stars").click()
    expect(rows.first).to_contain_text("a quiet harbour", timeout=LONG)
    page.locator("#history-prompt").select_option("")
    expect(page).not_to_have_url(re.compile("prompt="), timeout=LONG)
    page.locator("#history-text").fill("no such words")
    expect(rows).to_have_count(0, timeout=LONG)  # else the search would come after the filters are cleared
    page.get_by_role("link", name="Clear filters").click(timeout=LONG)
    expect(page.locator("#history-text")).to_have_value("", timeout=LONG)
    expect(page).not_to_have_url(re.compile("text=|sort=|prompt="))


def test_show_more_goes_on_at_the_first_of_the_new_rows(app: RunningApp, page: Page) -> None:
    with httpx.Client(base_url=app.url, trust_env=False, timeout=60) as http:
        for _ in range(PAGE + 2):
            http.post("/v1/completions", json={"model": "quick-echo", "prompt": "many"}).raise_for_status()
    page.goto(f"{app.url}/?tab=history&model=quick-echo")
    rows = page.locator("#history-list tr[data-row]")
    expect(rows).to_have_count(PAGE, timeout=LONG)
    page.locator("#history-more").press("Enter")
    expect(rows.nth(PAGE).locator(".row-name")).to_be_focused(timeout=LONG)


def test_new_requests_are_told_and_the_read_one_stays(app: RunningApp, page: Page, key: str) -> None:
    page.goto(f"{app.url}/?tab=history&prompt={key}&text=soup")
    rows, opened = page.locator("#history-list tr[data-row]"), page.locator("#history-detail")
    expect(rows.first).to_be_visible(timeout=LONG)
    count = rows.count()
    rows.first.locator(".row-name").click()
    expect(opened).to_contain_text("a lovely soup", timeout=LONG)
    sent = {"prompt": key, "variables": {"text": "a new soup"}}
    app.client().post("/api/v1/infer", json=sent).raise_for_status()
    show = page.get_by_role("button", name="1 new request")
    expect(show).to_be_visible(timeout=LONG)
    expect(rows).to_have_count(count)
    show.click()
    expect(rows).to_have_count(count + 1, timeout=LONG)
    expect(opened).to_contain_text("a lovely soup")
    expect(show).to_have_count(0)


def test_on_a_phone_a_request_is_a_screen_of_its_own_and_opens_in_the_editor(
    app: RunningApp, page: Page, key: str
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{app.url}/?tab=history&prompt={key}&text=quiet")
    row, opened = page.locator("#history-list tr[data-row]"), page.locator("#history-detail")
    expect(row).to_be_visible(timeout=LONG)
    row.click()
    expect(opened).to_contain_text("a quiet harbour", timeout=LONG)
    expect(page.locator("#history-list")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    opened.get_by_role("button", name="Back").click()
    expect(row).to_be_visible()
    row.click()
    said = opened.locator(".response .raw, .response .markdown").first
    expect(said).to_be_attached(timeout=LONG)
    text = said.text_content()
    opened.get_by_role("link", name="Open in engineer").click()
    expect(page.locator("#variables textarea").first).to_have_value("a quiet harbour", timeout=LONG)
    expect(page.locator("#response .response")).to_contain_text(text or "", timeout=LONG)
    expect(page.locator("#run-status")).to_contain_text("Succeeded")
    expect(page).to_have_url(re.compile("run="))
    expect(page).not_to_have_url(re.compile("text=quiet"))
