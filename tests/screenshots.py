"""`python -m tests.screenshots`: pictures of all tabs, wide and narrow, light and dark, in `screenshots/`.

The first visit comes step by step, with the local model: the page as it opens, a chat, and a prompt on `auto`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import browser
from tests.e2e.doors import ADMIN_TOKEN, Admin
from tests.e2e.running_app import ROOT, RunningApp
from tests.e2e.workbench import LONG, Workbench

FOLDER = Path("screenshots")
AT_REST = """
(quiet) => new Promise((resolve) => {
  const end = setTimeout(resolve, 10 * quiet);
  let timer = setTimeout(resolve, quiet);
  const again = () => { clearTimeout(timer); timer = setTimeout(() => resolve(clearTimeout(end)), quiet); };
  new MutationObserver(again).observe(document.body, { childList: true, characterData: true, subtree: true });
})
"""
"""Resolves when the page has not changed for `quiet` ms, or after ten times that."""
WIDTHS = {"wide": 1280, "narrow": 390}
THEMES = ("light", "dark")
USED = ("scattergories", "jay_trainer", "entity_recognition")
LIMITS = (("request", 24, 500), ("request", 1, 3), ("token", 168, 100_000))
LONG_ID = "a-user-of-the-longest-id-that-there-may-be.in-all-of-the-herding"
LONG_NAME = "Wilhelmina Konstantinopolitanskaja-Featherstonehaugh of the Department of Unreasonably Long Titles II"


def main() -> int:
    """Runs a few prompts so that there is something to see, then takes the pictures."""
    path = browser.find()
    if path is None:
        sys.stdout.write("NO BROWSER: install Chromium to take screenshots\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        roles = shutil.copy(ROOT / "config" / "roles.yaml", home)
        nodes = shutil.copy(ROOT / "config" / "nodes.yaml", home)
        prompts = shutil.copytree(ROOT / "prompts", Path(home) / "prompts")  # saved versions go into the files
        given = {"HERDING_ADMIN_TOKEN": ADMIN_TOKEN, "HERDING_ROLES": roles, "HERDING_PROMPTS": str(prompts)}
        app = RunningApp(Path(home), environment=given | {"HERDING_NODES": nodes}).start()
        try:
            opened = playwright.chromium.launch(executable_path=path, args=list(browser.ARGUMENTS))
            token = people(app.url)
            for width in WIDTHS:
                first_visit(opened, app.url, width)
            versions(app.url)
            for who in (ADMIN_TOKEN, token):
                with visitor(opened, app.url, who) as page:
                    use(page, app.url, USED)
            for width in WIDTHS:
                for theme in THEMES:
                    take(opened, app.url, token, width, theme)
        finally:
            app.stop()
    return 0


@contextmanager
def visitor(opened: Browser, url: str, token: str = "", **look: Any) -> Iterator[Page]:
    """A page of somebody who logged in with a token, or of a guest."""
    context = opened.new_context(**look)
    context.set_default_timeout(LONG)
    if token:
        context.request.post(f"{url}/login", form={"token": token})
    yield context.new_page()
    context.close()


def people(url: str) -> str:
    """Users and tokens to look at; tells the token of one of them."""
    admin = Admin(url)
    limits = [{"type": kind, "interval": hours, "limit": most} for kind, hours, most in LIMITS]
    token = admin.user("ada", limits=limits, name="Ada Lovelace")
    admin.user(LONG_ID, role="rater", name=LONG_NAME[:100])
    admin.token(LONG_ID, name=LONG_NAME[:100], expires_in_days=3)
    admin.user("bob", name="Bob", disabled=False)
    admin.http.patch("/api/v1/users/bob", json={"disabled": True}).raise_for_status()
    return token


def versions(url: str) -> None:
    """A prompt with a few versions and labels."""
    http, path = Admin(url).http, "/api/v1/prompts/entity_recognition"
    content = http.get(path).raise_for_status().json()["content"]
    for number, message in enumerate(("Cooler", "Asked for JSON only: two models began with a greeting. " * 5, ""), 2):
        content["parameters"] = {"temperature": number / 10, "max_tokens": 200}
        content["checks"] = {"json_schema": {"type": "object"}, "max_words": 40 * number}
        http.put(path, json=content | {"message": message}).raise_for_status()
        http.put(f"{path}/labels/prod", json={"version": number - 1, "message": message}).raise_for_status()


def use(page: Page, url: str, prompts: tuple[str, ...]) -> None:
    """Leave some requests in the history."""
    for prompt in prompts:
        bench = Workbench(page, url).open(prompt)
        bench.run()
        expect(page.locator("#response .stars")).to_be_visible(timeout=LONG)
        bench.rate_by_keyboard(4)


def first_visit(opened: Browser, url: str, width: str) -> None:
    """What somebody sees who opens the page for the first time."""
    with visitor(opened, url, ADMIN_TOKEN, viewport={"width": WIDTHS[width], "height": 844}) as page:
        page.goto(url)
        page.locator("#run").wait_for()
        shoot(page, f"visit-{width}-1-opened", whole=False)
        bench = Workbench(page, url).open("chat")
        shoot(page, f"visit-{width}-2-chat", whole=False)
        page.locator("#engineer-message").fill("Write two sentences about the sea.")
        page.keyboard.press("Enter")
        page.locator("#response .turn-assistant .running").wait_for()
        page.wait_for_timeout(1_500)
        page.screenshot(path=FOLDER / f"visit-{width}-3-streams.png")
        expect(page.locator("#response .stars")).to_be_visible(timeout=LONG)
        shoot(page, f"visit-{width}-4-answered", whole=False)
        bench.open("entity_recognition")
        bench.run()
        expect(page.locator("#response .stars")).to_be_visible(timeout=LONG)
        for folded in page.locator("#response details:not([open]) > summary").all():
            if folded.is_visible():
                folded.click()
        shoot(page, f"visit-{width}-5-auto")


def take(opened: Browser, url: str, token: str, width: str, theme: str) -> None:
    """Every tab at one width in one theme: as it opens, and with the first of its rows."""
    look = {"viewport": {"width": WIDTHS[width], "height": 900}, "color_scheme": theme}
    end = f"{width}-{theme}"
    with visitor(opened, url, ADMIN_TOKEN, **look) as page:
        bench = Workbench(page, url).open("entity_recognition")
        bench.run()
        expect(page.locator("#response .stars")).to_be_visible(timeout=LONG)
        shoot(page, f"engineer-{end}")
        page.locator("body").press("?")
        shoot(page, f"shortcuts-{end}", whole=False)
        page.keyboard.press("Escape")
        for key in page.evaluate("JSON.parse(document.querySelector('meta[name=tabs]').content).map(([key]) => key)")[
            1:
        ]:
            open_tab(page, url, key)
            shoot(page, f"{key}-{end}")
            if key == "compare":
                compare(page, url)
                shoot(page, f"compare-answered-{end}")
            row = page.locator(f"#tab-{key} .row-name").first
            if row.count():
                row.click()
                shoot(page, f"{key}-row-{end}")
    with visitor(opened, url, token, **look) as page:
        for key in ("usage", "access"):
            open_tab(page, url, key)
            shoot(page, f"{key}-own-{end}")
    with visitor(opened, url, **look) as page:
        page.goto(f"{url}/login")
        page.get_by_label("Access token").fill("hl_wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_visible(timeout=LONG)
        shoot(page, f"login-{end}")


def compare(page: Page, url: str) -> None:
    """Run the columns of a prompt with short responses."""
    open_tab(page, url, "compare", "sentiment")
    page.locator("#compare-run").click()
    for column in range(2):
        expect(page.locator("#tab-compare .compare-stars").nth(column)).to_be_visible(timeout=LONG)


def open_tab(page: Page, url: str, key: str, prompt: str = "entity_recognition") -> None:
    page.goto(f"{url}/?tab={key}&prompt={prompt}")
    expect(page.locator(f"#tab-{key}")).to_be_visible(timeout=LONG)
    expect(page.locator(f"#tab-{key} .opening")).to_have_count(0, timeout=LONG)


def shoot(page: Page, name: str, *, whole: bool = True) -> None:
    """One picture, when the page is at rest."""
    if whole:
        page.evaluate("scrollTo(0, 0)")  # what is sticky stands where it begins
    page.evaluate(AT_REST, 800)
    page.screenshot(path=FOLDER / f"{name}.png", full_page=whole)
    sys.stdout.write(f"{FOLDER / name}.png\n")


if __name__ == "__main__":
    sys.exit(main())
