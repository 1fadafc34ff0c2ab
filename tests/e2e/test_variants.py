"""Variants in a real browser: added, given a condition, reordered and removed in the form."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.running_app import RunningApp
from tests.e2e.workbench import LONG, Workbench

pytestmark = pytest.mark.browser

CONTENT = {
    "name": "Forked",
    "target_models": ["slow-echo"],
    "variables": {"tone": {"type": "choice", "choices": ["kind", "stern"], "default": "stern"}},
    "messages": [{"role": "system", "content": "Answer."}, {"role": "user", "content": "Say {{tone}}."}],
}


def test_variants_are_edited_in_the_form(app: RunningApp, page: Page) -> None:
    with httpx.Client(base_url=app.url, trust_env=False, timeout=60) as http:
        http.put("/api/v1/prompts/forked", json=CONTENT).raise_for_status()
        bench = Workbench(page, app.url).open("forked")
        variants = page.locator("#engineer-variants > li")
        expect(variants).to_have_count(0)
        page.locator("#add-variant").click()
        expect(page.locator("[id='variants.0.when']")).to_be_focused()
        expect(page.locator("[id='variants.0.messages.1.content']")).to_have_value("Say {{tone}}.")
        expect(page.locator("[data-error='variants.0.when']")).to_be_visible(timeout=LONG)  # a condition is missing
        page.locator("[id='variants.0.when']").fill('tone == "kind"')
        expect(page.locator("[data-error='variants.0.when']")).to_be_hidden(timeout=LONG)
        page.locator("[id='variants.0.messages.1.content']").fill("Say it kindly.")

        page.locator("#add-variant").click()
        page.locator("[id='variants.1.name']").fill("stern")
        page.locator("[id='variants.1.when']").fill('tone == "stern"')
        expect(variants.nth(1).locator("summary")).to_contain_text('stern tone == "stern"')
        variants.nth(1).get_by_role("button", name="Move variant up").click()
        expect(page.locator("[id='variants.0.name']")).to_have_value("stern")
        expect(page.locator("[id='variants.1.messages.1.content']")).to_have_value("Say it kindly.")
        expect(page.locator("#engineer-preview-head")).to_contain_text("Variant: stern", timeout=LONG)
        bench.expect_draft()
        page.reload()
        expect(page.locator("[id='variants.0.name']")).to_have_value("stern", timeout=LONG)
        page.locator("#engineer-variants > li").nth(0).get_by_role("button", name="Remove variant").click()
        expect(variants).to_have_count(1)
        page.keyboard.press("Control+s")
        expect(page.locator("#save-note")).to_contain_text("Saved v2", timeout=LONG)
        found = http.get("/api/v1/prompts/forked").raise_for_status().json()["content"]
    assert [(one["name"], one["when"]) for one in found["variants"]] == [("variant_1", 'tone == "kind"')]
    assert found["messages"] == CONTENT["messages"]
