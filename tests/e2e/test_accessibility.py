"""axe finds nothing on any tab, in both themes, wide and narrow; and the main job by keyboard alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import axe_playwright_python
import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.running_app import RunningApp
from tests.e2e.workbench import LONG, Workbench

pytestmark = pytest.mark.browser

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
THEMES = ("light", "dark")

CHECK = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 4).map(
    ({ target, any }) => `${target.join(" ")} ${any[0]?.message ?? ""}`).join(" | ")}`);
}"""

IS_SHOWN = """(theme) => document.body.classList.contains("dark") === (theme === "dark")
  && !document.getAnimations().some((one) => one instanceof CSSTransition)"""
"""Whether a theme is there, and all colours have arrived."""


def violations(page: Page) -> list[str]:
    """What axe finds now in either theme, by all its default rules."""
    page.wait_for_function("!document.querySelector('.htmx-request, .htmx-settling, .htmx-swapping')")
    found: list[str] = []
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        page.wait_for_function(IS_SHOWN, arg=theme)
        found += [f"{theme}: {violation}" for violation in page.evaluate(CHECK)]
    return found


def open_tab(page: Page, key: str, **fields: str) -> None:
    """Open a tab as a link on the page does, and wait until it shows something."""
    detail: dict[str, Any] = {"tab": key, "fields": fields}
    page.evaluate("(detail) => document.dispatchEvent(new CustomEvent('open-tab', { detail }))", detail)
    expect(page.locator(f"#tab-{key}")).to_be_visible(timeout=LONG)
    expect(page.locator(f"#tab-{key} .opening")).to_have_count(0, timeout=LONG)


def tabs(page: Page) -> list[str]:
    """The keys of all tabs."""
    read = "JSON.parse(document.querySelector('meta[name=tabs]').content).map(([key]) => key)"
    found: list[str] = page.evaluate(read)
    return found


@pytest.fixture(scope="module")
def used(app: RunningApp) -> RunningApp:
    """The app with a few responses to look at, one of them failed."""
    with httpx.Client(base_url=app.url, trust_env=False, timeout=60) as http:
        for text in ("What a lovely soup", "What a poor soup"):
            sent = {"prompt": "sentiment", "variables": {"text": text}}
            answer = http.post("/api/v1/infer", json=sent).raise_for_status().json()
        http.post("/api/v1/score", json={"request_id": answer["request_id"], "score": 4})
        content = http.get("/api/v1/prompts/sentiment@newest").json()["content"]
        http.put("/api/v1/prompts/unserved", json=content | {"target_models": ["none/such"]}).raise_for_status()
        http.post("/api/v1/infer", json={"prompt": "unserved", "variables": {"text": "x"}})
    return app


TOO_WIDE = """() => [...document.querySelectorAll(".view table.rows")]
  .filter((table) => table.offsetParent && table.getBoundingClientRect().right > innerWidth)
  .map((table) => table.className)"""
"""The tables that do not fit into the page."""


@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(used: RunningApp, page: Page, width: int) -> None:
    found: dict[str, list[str]] = {}
    page.add_init_script(path=AXE)
    page.set_viewport_size({"width": width, "height": 844})
    bench = Workbench(page, used.url).open("sentiment")
    bench.run()
    bench.expect_status("Succeeded")
    found["response"] = violations(page)
    page.keyboard.press("Escape")
    page.locator("#prompt-picker").click()
    expect(page.get_by_label("Search prompts")).to_be_focused()
    found["menu of prompts"] = violations(page)
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    found["shortcuts"] = violations(page)
    page.keyboard.press("Escape")
    for details in page.locator("#engineer-form details:not([open]) > summary").all():
        if details.is_visible():
            details.click()
    found["everything unfolded"] = violations(page)
    open_tab(page, "engineer", prompt="unserved")
    expect(page.locator("#prompt-picker")).to_contain_text("unserved", timeout=LONG)
    bench.run()
    expect(page.locator("#response .panel.bad")).to_be_visible(timeout=LONG)
    found["error"] = violations(page)
    for key in tabs(page):
        open_tab(page, key)
        row = page.locator(f"#tab-{key} .row-name").first
        if row.count():
            row.click()
        found[key] = violations(page)
        assert not page.evaluate(TOO_WIDE), key
    assert not {where: what for where, what in found.items() if what}
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1280, 390])
def test_the_main_job_by_keyboard_alone(app: RunningApp, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    bench, keys = Workbench(page, app.url).open("say_slowly"), page.keyboard
    expect(page.locator("#run")).to_be_in_viewport()
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keys.press("Enter")
    expect(page.locator(".view[data-view=engineer]")).to_be_focused()
    assert "prompt=say_slowly" in page.url

    keys.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_be_visible()
    for label in ("Open a tab by its place", "Stop what is running", "Move the message up", "Open the next row"):
        expect(dialog).to_contain_text(label)
    keys.press("Tab")
    assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    keys.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator(".view[data-view=engineer]")).to_be_focused()

    field = bench.variable("text")
    tab_to(page, field)
    keys.press("Control+a")
    keys.type("Is it ? one two three " + "and on it goes " * 40)  # a field takes every key
    expect(dialog).to_have_count(0)
    keys.press("Control+Enter")
    expect(page.locator("#response")).to_contain_text("two three", timeout=LONG)
    keys.press("Escape")
    bench.expect_status("Stopped")
    expect(field).to_be_focused()
    expect(page.locator("#run")).to_be_enabled()
    page.locator("#run").press("Enter")
    expect(page.locator("#stop")).to_be_enabled()
    page.locator("#stop").press("Enter")
    expect(page.locator("#run")).to_be_focused()
    tab_to(page, page.locator("#response .stars input").first)
    keys.press("ArrowRight")
    bench.expect_saved()

    names = page.evaluate("JSON.parse(document.querySelector('meta[name=tabs]').content).map(([, name]) => name)")
    for number, key in ((2, "overview"), (4, "history"), (1, "engineer")):
        keys.press(f"Alt+{number}")
        expect(page.locator(f"#tab-{key}")).to_be_visible(timeout=LONG)
        expect(page.get_by_role("tab", name=names[number - 1], exact=True)).to_have_attribute("aria-selected", "true")
    expect(field).to_have_value(f"Is it ? one two three {'and on it goes ' * 40}")


def tab_to(page: Page, field: Locator) -> None:
    """Press Tab until a field has the focus."""
    for _ in range(120):
        if field.evaluate("(field) => field === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("the Tab key does not reach it")
