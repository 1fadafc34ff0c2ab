"""Columns side by side in a real browser."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.running_app import RunningApp
from tests.e2e.workbench import LONG

pytestmark = pytest.mark.browser


def open_tab(page: Page, app: RunningApp, prompt: str) -> None:
    page.goto(f"{app.url}/?tab=compare&prompt={prompt}")
    expect(page.locator("#compare-run")).to_be_enabled(timeout=LONG)
    expect(page.locator("#compare-variables textarea, #compare-variables input").first).to_be_visible(timeout=LONG)
    page.wait_for_timeout(500)


def add(page: Page, letter: str) -> None:
    page.locator("#compare-add").click()
    expect(page.locator(f"#compare-{letter}")).to_be_visible(timeout=LONG)
    page.wait_for_timeout(300)


def test_four_columns_run_at_once_are_rated_and_leave_four_rows(app: RunningApp, page: Page) -> None:
    open_tab(page, app, "keep_it_short")
    for letter in "cd":
        add(page, letter)
    page.locator("#compare-variables textarea").first.fill("What is the capital of Italy?")
    for tokens, letter in enumerate("abcd", start=3):
        page.locator(f"#compare-{letter}-max-tokens input").fill(str(tokens))
    page.keyboard.press("Control+Enter")
    for letter in "abcd":
        expect(page.locator(f"#compare-{letter}-status")).to_contain_text("Succeeded", timeout=LONG)
        expect(page.locator(f"#compare-{letter}-answer textarea")).not_to_have_value("")
        expect(page.locator(f"#compare-{letter}-metrics")).to_contain_text("Output tokens")
    expect(page.locator("#compare-note")).to_contain_text("4 of 4 columns succeeded")
    page.locator("#compare-b-stars input").first.focus()
    page.keyboard.press("Space")
    expect(page.locator("#compare-b-note")).to_contain_text("Saved", timeout=LONG)
    lines = httpx.get(
        f"{app.url}/api/v1/history.jsonl?prompt=keep_it_short", trust_env=False, timeout=60
    ).text.splitlines()
    assert len([line for line in lines if "capital of Italy" in line]) == 4
    assert len([line for line in lines if '"stars": 1' in line]) == 1
    page.locator("#compare-prefer-right").click()
    expect(page.locator("#compare-prefer-note")).to_contain_text("B is better than A", timeout=LONG)
    page.get_by_role("tab", name="History").click()
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("#compare-prefer-note")).to_contain_text("B is better than A", timeout=LONG)
    page.locator("#compare-c-use").click()
    expect(page.locator("#run")).to_be_visible(timeout=LONG)
    expect(page.locator("#variables textarea").first).to_have_value("What is the capital of Italy?")


def test_stop_ends_all_columns_and_a_request_of_the_history_comes_back(app: RunningApp, page: Page) -> None:
    open_tab(page, app, "say_slowly")
    page.locator("#compare-variables textarea").first.fill("and on it goes " * 200)
    page.locator("#compare-run").click()
    for letter in "ab":
        expect(page.locator(f"#compare-{letter}-answer textarea")).not_to_have_value("", timeout=LONG)
    page.locator("#compare-stop").click()
    for letter in "ab":
        expect(page.locator(f"#compare-{letter}-status")).to_contain_text("Stopped", timeout=LONG)
    page.get_by_role("tab", name="History").click()
    page.locator("#history-list .row-pick").first.click()
    page.locator("#history-compare").click()
    expect(page.locator("#compare-a-status")).to_contain_text("No response yet", timeout=LONG)
    expect(page.locator("#compare-a-model input")).to_have_value("slow-echo · slow")
    expect(page.locator("#compare-a-answer")).to_be_hidden()
