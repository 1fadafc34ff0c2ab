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
        self.page.goto(f"{self.url}/?tab=engineer&prompt={prompt}" if prompt else self.url)
        expect(self.page.locator("#run")).to_be_enabled(timeout=LONG)
        expect(self.page.get_by_role("button", name="Run", exact=True)).to_have_count(1)
        return self

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()

    def pick(self, prompt: str) -> None:
        """Choose another prompt by typing part of its name."""
        self.page.locator("#prompt-picker").click()
        search = self.page.get_by_label("Search prompts")
        expect(search).to_be_focused()
        search.fill(prompt)
        self.page.locator("#engineer-prompts-list").get_by_role("link", name=re.compile(prompt)).first.click()
        expect(self.page.locator("#prompt-picker")).to_contain_text(prompt, timeout=LONG)

    def variable(self, label: str) -> Locator:
        return self.page.locator("#variables .engineer-control").get_by_label(label, exact=False).first

    def fill(self, label: str, text: str) -> None:
        self.variable(label).fill(text)

    def message(self, number: int) -> Locator:
        """The text of a message, from 0."""
        return self.page.locator(f"[id='messages.{number}.content']")

    def run(self) -> None:
        self.page.locator("#run").click()

    def stop(self) -> None:
        stop = self.page.locator("#stop")
        expect(stop).to_be_enabled(timeout=LONG)
        stop.click()

    def expect_status(self, status: str) -> None:
        expect(self.page.locator("#run-status")).to_contain_text(status, timeout=LONG)

    def expect_draft(self) -> None:
        """Wait until everything that was typed is stored."""
        expect(self.page.locator("#engineer-form[data-unsaved]")).to_have_count(0, timeout=LONG)
        expect(self.page.locator("#draft-state")).to_contain_text("Draft saved", timeout=LONG)

    @property
    def answer(self) -> str:
        """The text of the response as it was written, once it is complete."""
        expect(self.page.locator("#response .running")).to_have_count(0, timeout=LONG)
        box = self.page.locator("#response .response").last
        raw = box.locator("[data-pane=raw] .raw")
        return (raw.first if raw.count() else box.locator(".markdown, .raw").first).text_content() or ""

    def rate_by_keyboard(self, stars: int) -> None:
        """Focus the first star and press the arrow key until `stars` shine."""
        first = self.page.locator("#response .stars input[type=radio]").first
        expect(first).to_be_enabled(timeout=LONG)
        first.focus()
        self.page.keyboard.press("Space")
        for _ in range(stars - 1):
            self.page.keyboard.press("ArrowRight")
        self.expect_saved()
        self._expect_stored("score", stars)  # each press is a rating, and the news of the first may still be shown

    def comment(self, text: str) -> None:
        self.page.locator("#response .comment-box summary").click()
        self.page.locator("#response [name=comment]").fill(text)
        self.page.locator("#response").get_by_role("button", name="Save comment").click()
        self.expect_saved()
        self._expect_stored("comment", text)  # the news of the stars may still be shown

    def _expect_stored(self, field: str, value: object) -> None:
        """Wait until the rating of the last response is stored."""
        request = self.page.locator("#engineer-response [data-request]").last.get_attribute("data-request")
        for _ in range(LONG // 50):
            entry = self.page.request.get(f"{self.url}/api/v1/history/{request}").json()
            if entry[field] == value:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"the {field} that is stored is {entry[field]!r}, not {value!r}")

    def expect_saved(self) -> None:
        expect(self.page.locator("#response .feedback-news")).to_contain_text(" saved", timeout=LONG)

    def history_rows(self) -> Locator:
        return self.page.locator("#history-list tr[data-row]")

    def open_history(self) -> None:
        self.tab("History")
        expect(self.history_rows().first).to_be_visible(timeout=LONG)
