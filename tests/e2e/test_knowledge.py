"""The Knowledge tab in a real browser: documents added, searched, opened, asked; the chunks of a run edited."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.running_app import RunningApp
from tests.e2e.workbench import LONG

pytestmark = pytest.mark.browser

ASK = {
    "name": "Ask the kitchen",
    "target_models": ["quick-echo"],
    "variables": {"question": {"type": "text"}},
    "retrieval": {"collection": "", "query": "{{question}}", "top_k": 2},
    "messages": [{"role": "user", "content": "{{question}} {{context}}"}],
}


@pytest.mark.parametrize("width", [1280, 390])
def test_documents_are_added_searched_opened_and_asked(page: Page, app: RunningApp, tmp_path: Path, width: int) -> None:
    name, notes = f"kitchen{width}", tmp_path / "notes.md"
    notes.write_text("# Bread\n\nBread is baked in a hot oven.\n\n# Boats\n\nA boat tacks into the wind.\n")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{app.url}/?tab=knowledge")
    page.get_by_text("New collection").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible(timeout=LONG)
    page.locator("input[type=file]").set_input_files(str(notes))
    page.get_by_role("button", name="Add", exact=True).click()
    row = page.locator("#knowledge-documents tr", has_text="notes.md")
    expect(row).to_contain_text("Ready", ignore_case=True, timeout=LONG)
    expect(page.locator("#knowledge-facts")).to_contain_text("1 document")
    delete = row.get_by_role("button", name="Delete").bounding_box()
    assert delete is not None
    assert delete["x"] + delete["width"] <= width
    expect(page.get_by_role("button", name="Create")).to_be_hidden()
    assert page.locator("input[type=file]").input_value() == ""
    page.get_by_label("Search or ask").fill("How is bread baked?")
    page.get_by_role("button", name="Search").click()
    best = page.locator(".knowledge-matches li").first
    expect(best).to_contain_text("Bread is baked in a hot oven.", timeout=LONG)
    expect(best).to_contain_text("similarity")
    best.get_by_role("button").click()
    expect(page.locator(".knowledge-chunk.marked")).to_contain_text("Bread is baked", timeout=LONG)
    expect(page.locator(".knowledge-chunk.marked pre")).to_be_focused()
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#knowledge-found .reference-cards li").first).to_contain_text("notes.md", timeout=LONG)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    key = f"ask_{name}"
    prompt = {**ASK, "retrieval": {**ASK["retrieval"], "collection": name}}
    app.client().put(f"/api/v1/prompts/{key}", json=prompt).raise_for_status()
    page.goto(f"{app.url}/?tab=engineer&prompt={key}")
    page.locator("#var-question").fill("How is bread baked?")
    page.locator("#retrieved-search").click()
    text = page.locator("#retrieved-section textarea").first
    expect(text).to_have_value(re.compile("Bread is baked in a hot oven"), timeout=LONG)
    text.fill("Bread is bought.")
    page.locator("#run").click()
    card = page.locator("#response .reference-cards li").first
    expect(card).to_contain_text("Edited", timeout=LONG)
    expect(page.locator("#response")).to_contain_text("Bread is bought.")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
