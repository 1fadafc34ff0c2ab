"""Review by keyboard in a real browser, on a wide and on a narrow screen."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.running_app import RunningApp
from tests.e2e.workbench import LONG

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [1280, 390])
def test_a_person_reviews_by_keyboard(app: RunningApp, page: Page, width: int) -> None:
    # A prompt of this test alone: other tests leave responses without stars.
    key = f"reviewed_{width}"
    content = app.client().get("/api/v1/prompts/sentiment@newest").json()["content"]
    body = content | {"name": f"Reviewed {width}"}
    app.client().put(f"/api/v1/prompts/{key}", json=body).raise_for_status()
    for text in ("What a lovely soup", "What a poor soup"):
        sent = {"prompt": key, "variables": {"text": text}}
        app.client().post("/api/v1/infer", json=sent).raise_for_status()
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{app.url}/?tab=review&prompt={key}")
    progress = page.locator("#review-progress")
    expect(progress).to_have_text("0 rated · 2 left", timeout=LONG)
    expect(page.locator("#review-verdict code")).to_have_count(0)
    page.keyboard.press("4")
    expect(page.locator("#review-verdict")).to_contain_text("Saved: 4 of 5", timeout=LONG)
    page.keyboard.press("c")
    expect(page.locator("#review-comment")).to_be_focused()
    page.keyboard.type("Short and right, 5 of 5.")
    page.keyboard.press("Control+Enter")
    expect(progress).to_have_text("1 rated · 1 left", timeout=LONG)
    page.keyboard.press("u")
    expect(progress).to_have_text("0 rated · 2 left", timeout=LONG)
    expect(page.locator("#review-comment")).to_have_value("Short and right, 5 of 5.")
    for stars, left in (("2", "1 rated · 1 left"), ("3", "2 rated · 0 left")):
        page.keyboard.press(stars)
        expect(page.locator("#review-verdict")).to_contain_text(f"Saved: {stars} of 5", timeout=LONG)
        page.keyboard.press("n")
        expect(progress).to_have_text(left, timeout=LONG)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    lines = app.client().get(f"/api/v1/history.jsonl?prompt={key}").text.splitlines()
    assert len(lines) == 2
    assert sum('"comment": "Short and right, 5 of 5."' in line for line in lines) == 1
