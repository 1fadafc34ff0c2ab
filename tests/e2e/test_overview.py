"""The overview in a real browser: the table by keyboard, its drawer, its address, and a narrow screen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.running_app import RunningApp

pytestmark = pytest.mark.browser

PROMPT = """
name: {name}
description: Sort the mail by its topic
tags: [mail]
target_models: [one/model, other/model]
messages: [{{role: user, content: "Which topic has this mail?"}}]
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app with three prompts, two of them in a folder."""
    home: Path = tmp_path_factory.mktemp("home")
    prompts = home / "prompts" / "shop"
    prompts.mkdir(parents=True)
    for name in ("Alpha", "Beta"):
        (prompts / f"{name.lower()}.yaml").write_text(PROMPT.format(name=name))
    (home / "prompts" / "gamma.yaml").write_text(PROMPT.format(name="Gamma"))
    (home / "nodes.yaml").write_text("nodes:\n  - {kind: echo, name: one, models: [one/model]}\n")
    given = {"HERDING_PROMPTS": str(home / "prompts"), "HERDING_NODES": str(home / "nodes.yaml")}
    running = RunningApp(home, environment=given).start()
    yield running
    running.stop()


def test_the_keyboard_moves_through_the_rows_with_the_drawer(app: RunningApp, page: Page) -> None:
    page.goto(f"{app.url}/?tab=overview")
    rows, drawer = page.locator("#overview-list tbody tr"), page.locator("#overview-detail")
    expect(rows).to_have_count(3)
    expect(drawer).to_be_hidden()
    page.locator("[data-row='shop/alpha']").focus()
    page.keyboard.press("Enter")
    expect(drawer).to_contain_text("shop/alpha")
    page.keyboard.press("ArrowDown")
    expect(drawer).to_contain_text("shop/beta")
    expect(page.locator("[data-row='shop/beta']")).to_be_focused()
    expect(page).to_have_url(re.compile("prompt=shop%2Fbeta"))
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(page.locator("[data-row='shop/beta']")).to_be_focused()
    assert "prompt=" not in page.url

    page.get_by_role("button", name="Prompt", exact=True).click()
    expect(page.get_by_role("columnheader", name="Prompt")).to_have_attribute("aria-sort", "descending")
    expect(page).to_have_url(re.compile("sort=-name"))
    page.locator("#overview-q").fill("topic")
    expect(page).to_have_url(re.compile("q=topic"))
    expect(rows.first).to_contain_text("Gamma")  # the order stays
    page.locator("#overview-list").get_by_role("button", name="shop").click()
    expect(rows).to_have_count(2)
    page.reload()
    expect(rows).to_have_count(2)
    expect(page.locator("#overview-q")).to_have_value("topic")
    rows.first.click()
    drawer.get_by_role("link", name="Insights").click()
    expect(page.locator("#insights-prompt")).to_have_value("shop/beta")


def test_filters_that_follow_quickly_all_hold(app: RunningApp, page: Page) -> None:
    page.goto(f"{app.url}/?tab=overview")
    rows = page.locator("#overview-list tbody tr")
    expect(rows).to_have_count(3)

    def answer_late(route: Route) -> None:
        page.wait_for_timeout(300)
        route.continue_()

    page.route("**/ui/overview/list*", answer_late)
    page.evaluate(
        """() => {
          const search = document.querySelector("#overview-q");
          search.value = "topic";
          search.dispatchEvent(new Event("input", { bubbles: true }));
          document.querySelector("#overview-list button.folder[value=shop]").click();
          document.querySelector("#overview-sort-name").click();
        }"""
    )
    expect(page).to_have_url(re.compile("q=topic.*folder=shop|folder=shop.*q=topic"))
    expect(page).to_have_url(re.compile("sort=-name"))
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("Beta")


def test_a_template_opens_the_form_of_a_new_prompt(app: RunningApp, page: Page) -> None:
    page.goto(f"{app.url}/?tab=overview")
    page.locator("#overview-new").click()
    page.locator("#overview-templates").get_by_role("link", name="Classify text").click()
    expect(page.locator("#new-prompt-key")).to_be_visible()
    expect(page.locator("#new-prompt-starter")).to_have_value("classify")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_narrow_screen_the_drawer_is_one_of_its_own(app: RunningApp, chromium: Browser, theme: str) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, color_scheme=theme)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        page.goto(f"{app.url}/?tab=overview")
        page.locator("[data-row='gamma']").click()
        close = page.get_by_role("button", name="Close details")
        expect(close).to_be_focused()
        box = page.locator("#overview-detail").bounding_box()
        assert box is not None
        assert (box["x"], box["y"], box["width"]) == (0, 0, 390)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        close.click()
        expect(page.locator("#overview-detail")).to_be_hidden()
        expect(page.locator("[data-row='gamma']")).to_be_focused()
    finally:
        context.close()
