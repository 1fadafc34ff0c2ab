"""The page as a person uses it."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

LONG = 60_000


class Workbench:
    """Drives one page of the app; every method waits until the page shows that it happened."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def open(self, prompt: str = "") -> Workbench:
        self.page.goto(f"{self.url}/?prompt={prompt}" if prompt else self.url)
        expect(self.page.locator("#run button, button#run")).to_be_enabled(timeout=LONG)
        self.page.wait_for_timeout(500)
        expect(self.page.get_by_role("button", name="Run", exact=True)).to_have_count(1)
        return self

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()

    def pick(self, prompt: str) -> None:
        """Choose another prompt by typing part of its name."""
        about = self.page.locator("#prompt-about")
        before = about.inner_text()
        box = self.page.locator("#prompt-picker input")
        box.click()
        box.fill(prompt)
        self.page.get_by_role("option", name=re.compile(prompt)).first.click()
        expect(about).not_to_have_text(before, timeout=LONG)
        self.page.wait_for_timeout(300)

    def variable(self, label: str) -> Locator:
        return self.page.locator("#variables").get_by_label(label, exact=False).first

    def fill(self, label: str, text: str) -> None:
        self.variable(label).fill(text)

    def run(self) -> None:
        self.page.locator("#run").click()

    def stop(self) -> None:
        stop = self.page.locator("#stop")
        expect(stop).to_be_enabled(timeout=LONG)
        stop.click()

    def expect_status(self, status: str) -> None:
        expect(self.page.locator("#response-status")).to_contain_text(status, timeout=LONG)

    @property
    def answer(self) -> str:
        return self.page.locator("#response textarea").input_value()

    def rate_by_keyboard(self, stars: int) -> None:
        """Focus the first star and press the arrow key until `stars` shine."""
        first = self.page.locator("#stars input[type=radio]").first
        expect(first).to_be_enabled(timeout=LONG)
        first.focus()
        self.page.keyboard.press("Space")
        for _ in range(stars - 1):
            self.page.keyboard.press("ArrowRight")
        self.expect_saved()

    def comment(self, text: str) -> None:
        self.page.locator("#comment textarea").fill(text)
        self.page.locator("#comment-save").click()
        self.expect_saved()

    def expect_saved(self) -> None:
        expect(self.page.locator("#feedback-note")).to_contain_text("aved")
        self.page.wait_for_timeout(400)

    def history_rows(self) -> Locator:
        return self.page.locator("#history-list tbody tr, table.entries tbody tr")

    def open_history(self) -> None:
        self.tab("History")
        expect(self.history_rows().first).to_be_visible(timeout=LONG)
