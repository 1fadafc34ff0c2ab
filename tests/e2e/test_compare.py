"""Columns side by side in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.running_app import RunningApp, wait_until
from tests.e2e.workbench import LONG

pytestmark = pytest.mark.browser
QUESTION = "What is the capital of Italy?"


def prompt_of(app: RunningApp, key: str, models: list[str]) -> str:
    """A prompt of one test alone, which says its text again."""
    body = {"name": key, "target_models": models, "variables": {"text": {"type": "text"}}, "prompt": "{{text}}"}
    app.client().put(f"/api/v1/prompts/{key}", json=body).raise_for_status()
    return key


def open_tab(page: Page, app: RunningApp, **address: str) -> None:
    page.goto(f"{app.url}/?tab=compare&" + "&".join(f"{name}={value}" for name, value in address.items()))
    expect(page.locator("#compare-run")).to_be_enabled(timeout=LONG)


def type_input(page: Page, text: str) -> None:
    """Type into the only variable, and wait until the draft has it."""
    with page.expect_response(lambda response: response.url.endswith("ui/compare/edit")):
        page.locator("#compare-var-text").fill(text)


def column(page: Page, letter: str) -> Any:
    return page.locator(f"#compare-{letter}")


def finish(page: Page) -> None:
    expect(page.locator("#compare-note")).to_contain_text("succeeded", timeout=LONG)


def history(app: RunningApp, key: str) -> list[str]:
    return app.client().get(f"/api/v1/history.jsonl?prompt={key}").text.splitlines()


def test_four_columns_run_at_once_are_rated_and_leave_four_rows(app: RunningApp, page: Page) -> None:
    key = prompt_of(app, "compared", ["quick-echo", "slow-echo"])
    open_tab(page, app, prompt=key)
    for letter in "cd":
        page.locator("#compare-add").click()
        expect(column(page, letter)).to_be_visible(timeout=LONG)
    type_input(page, QUESTION)
    page.locator("#compare-c .compare-settings > summary").click()
    page.locator("#compare-c-max-tokens").fill("2")
    expect(page.locator("#compare-c-line")).to_contain_text("max_tokens 2", timeout=LONG)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#compare-note")).to_contain_text("4 of 4 columns succeeded", timeout=LONG)
    for letter in "abd":
        expect(page.locator(f"#compare-{letter}-response .markdown")).to_have_text(QUESTION)
        expect(page.locator(f"#compare-{letter}-status")).to_contain_text("tokens")
    expect(page.locator("#compare-c-response .markdown")).to_have_text("What is")
    column(page, "b").locator(".stars input").first.focus()
    page.keyboard.press("Space")
    expect(column(page, "b").locator(".feedback-news")).to_contain_text("Rating saved", timeout=LONG)
    page.locator("#compare-prefer-b").click()
    expect(page.locator("#compare-prefer")).to_contain_text("B is the best", timeout=LONG)
    lines = history(app, key)
    assert len([line for line in lines if "capital of Italy" in line]) == 4
    assert len([line for line in lines if '"stars": 1' in line]) == 1
    page.reload()
    expect(page.locator("#compare-prefer")).to_contain_text("B is the best", timeout=LONG)
    expect(page.locator("#compare-input-line")).to_contain_text(QUESTION)
    expect(page.locator("#compare-diff")).to_contain_text("No differences", timeout=LONG)
    page.locator("#compare-c-use").click()
    expect(page.locator("#run")).to_be_visible(timeout=LONG)
    expect(page.locator("#var-text")).to_have_value(QUESTION)


def test_stop_ends_all_columns_at_once(app: RunningApp, page: Page) -> None:
    open_tab(page, app, prompt=prompt_of(app, "stopped", ["slow-echo"]))
    type_input(page, "and on it goes " * 200)
    page.locator("#compare-run").click()
    for letter in "ab":
        expect(page.locator(f"#compare-{letter}-response .tail")).to_contain_text("goes", timeout=LONG)
    shown = page.evaluate(
        """() => {
          document.getElementById("compare-stop").click();
          return [..."ab"].map((letter) => document.getElementById(`compare-${letter}-status`).textContent);
        }"""
    )
    assert all(text.startswith("Stopped") for text in shown), shown  # before any message of the server
    expect(page.locator("#compare-a-response .stars")).to_be_visible(timeout=LONG)
    expect(page.locator("#compare-run")).to_be_enabled()

    def cancelled() -> list[str]:
        return [line for line in history(app, "stopped") if '"status": "cancelled"' in line]

    wait_until(lambda: len(cancelled()) == 2, seconds=60, what="the rows of both columns")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_past_response_stands_beside_a_new_run(app: RunningApp, page: Page, width: int) -> None:
    key = prompt_of(app, f"replayed_{width}", ["quick-echo", "slow-echo"])
    sent = {"prompt": key, "variables": {"text": QUESTION}, "model": "quick-echo"}
    ran = app.client().post("/api/v1/infer", json=sent).json()
    page.set_viewport_size({"width": width, "height": 900 if width > 700 else 844})
    open_tab(page, app, request=ran["request_id"])
    expect(page.locator("#compare-past-response .markdown")).to_have_text(QUESTION, timeout=LONG)
    expect(page.locator("#compare-input-line")).to_contain_text(QUESTION)
    expect(page.locator("#compare-a-differs")).to_contain_text("quick-echo → slow-echo")
    page.locator("#compare-run").click()
    finish(page)
    answer = page.locator("#compare-a-response .markdown")
    expect(answer).to_have_text(QUESTION)
    answer.scroll_into_view_if_needed()
    for letter in ("past", "a"):
        box = column(page, letter).locator(".markdown").bounding_box()
        assert box
        assert box["y"] + box["height"] < page.viewport_size["height"]  # type: ignore[index]
    page.locator("#compare-prefer-past").click()
    expect(page.locator("#compare-prefer")).to_contain_text("Past response is better than A", timeout=LONG)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("width", [1280, 390])
def test_names_are_hidden_until_the_choice(app: RunningApp, page: Page, width: int) -> None:
    key = prompt_of(app, f"blind_{width}", ["quick-echo", "slow-echo"])
    page.set_viewport_size({"width": width, "height": 844})
    open_tab(page, app, prompt=key)
    page.locator("#compare-blind").check()
    type_input(page, QUESTION)
    page.locator("#compare-run").click()
    finish(page)
    names = page.get_by_text("slow-echo")
    for _ in range(2):
        expect(page.locator("#compare-a .compare-concealed")).to_be_visible(timeout=LONG)
        assert not any(names.nth(number).is_visible() for number in range(names.count()))
        for letter in "ab":
            expect(page.locator(f"#compare-{letter}-status")).to_have_text("Succeeded")
        page.reload()
        expect(page.locator("#compare-prefer-a")).to_be_visible(timeout=LONG)
    page.locator("#compare-prefer-a").click()
    expect(page.locator("#compare-prefer")).to_contain_text("A is better than B", timeout=LONG)
    lines = page.locator(".compare-line").all_text_contents()
    assert sorted("slow-echo" in line for line in lines) == [False, True]
    for letter in "ab":
        model = page.locator(f"#compare-{letter}-model").input_value()
        request = page.locator(f"[name='{letter}.request']").input_value()
        entry = app.client().get(f"/api/v1/history/{request}").json()
        assert entry["model"] == model
        expect(page.locator(f"#compare-{letter}-status")).to_contain_text("tokens")
