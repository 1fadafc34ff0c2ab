"""`python -m tests.screenshots`: pictures of all tabs, wide and narrow, light and dark, in `screenshots/`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests import browser
from tests.e2e.doors import ADMIN_TOKEN, Admin
from tests.e2e.running_app import ROOT, RunningApp
from tests.e2e.workbench import LONG, Workbench

FOLDER = Path("screenshots")
TABS = {
    "overview": "#overview-list [data-row]",
    "versions": "#version-diff :is(ins, del)",
    "history": "#history-list tr[data-row]",
    "compare": "#compare-columns",
    "insights": "#insights-routing li",
    "nodes": ".node h2",
}
"""The tabs, each with what it shows once it is loaded."""

AT_REST = """
(quiet) => new Promise((resolve) => {
  let timer = setTimeout(resolve, quiet);
  const again = () => { clearTimeout(timer); timer = setTimeout(resolve, quiet); };
  new MutationObserver(again).observe(document.body, { childList: true, characterData: true, subtree: true });
})
"""
"""Resolves when the page has not changed for `quiet` ms."""
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
        prompts = shutil.copytree(ROOT / "prompts", Path(home) / "prompts")  # saved versions go into the files
        given = {"HERDING_ADMIN_TOKEN": ADMIN_TOKEN, "HERDING_ROLES": roles, "HERDING_PROMPTS": str(prompts)}
        app = RunningApp(Path(home), environment=given).start()
        try:
            opened = playwright.chromium.launch(executable_path=path, args=list(browser.ARGUMENTS))
            token = people(app.url)
            versions(app.url)
            with visitor(opened, app.url, ADMIN_TOKEN) as page:
                use(page, app.url, USED)
            with visitor(opened, app.url, token) as page:
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
        bench.expect_status("Succeeded")
        bench.rate_by_keyboard(4)


def take(opened: Browser, url: str, token: str, width: str, theme: str) -> None:
    """Everything at one width in one theme."""
    look = {"viewport": {"width": WIDTHS[width], "height": 900}, "color_scheme": theme}
    end = f"{width}-{theme}.png"
    with visitor(opened, url, ADMIN_TOKEN, **look) as page:
        bench = Workbench(page, url).open("entity_recognition")
        bench.run()
        bench.expect_status("Succeeded")
        shoot(page, f"engineer-{end}")
        page.locator("#code-section > button").click()
        shoot(page, f"calls-{end}")
        for tab, content in TABS.items():
            page.goto(f"{url}/?tab={tab}&prompt=entity_recognition")
            page.locator(content).first.wait_for()
            if tab == "history":
                bench.history_rows().first.get_by_role("button").click()
            if tab == "versions":
                page.locator("#version-list .row-pick").nth(1).click()
                page.locator("#version-labels summary").click()
            if tab == "compare":
                compare(page)
            shoot(page, f"{tab}-{end}")
        take_access(page, url, end)
    with visitor(opened, url, token, **look) as page:
        page.goto(f"{url}/?tab=usage")
        page.locator("#forget-all-ask").click()
        page.locator("#usage-table table").wait_for()
        shoot(page, f"usage-{end}")
        page.goto(f"{url}/?tab=access")
        shoot(page, f"access-own-{end}")
    with visitor(opened, url, **look) as page:
        page.goto(f"{url}/?tab=usage")
        shoot(page, f"usage-guest-{end}")
        page.goto(f"{url}/login")
        page.get_by_label("Access token").fill("hl_wrong")
        page.keyboard.press("Enter")
        shoot(page, f"login-{end}")


def compare(page: Page) -> None:
    """Three columns with their answers."""
    page.locator("#compare-add").click()
    page.locator("#compare-c .compare-settings > summary").click()
    page.locator("#compare-c-max-tokens").fill("12")
    page.locator("#compare-run").click()
    page.get_by_text("3 of 3 columns succeeded").wait_for()
    page.locator("#compare-prefer-b").click()
    page.get_by_text("B is the best").first.wait_for()


def take_access(page: Page, url: str, end: str) -> None:
    """The three sections of the tab, each with something chosen."""
    page.goto(f"{url}/?tab=access")
    page.locator("#token-list .row-name").nth(1).click()
    page.locator("#token-revoke").wait_for()
    shoot(page, f"access-tokens-{end}")
    page.locator("#token-name").fill("for the pictures")
    page.locator("#token-create").click()
    page.locator("#access-secret input").first.wait_for()
    shoot(page, f"access-new-{end}")
    page.locator("#access-to-users").click()
    page.locator("#user-list .row-name").first.click()
    page.locator("#user-limits").fill("500 requests a day")
    page.locator("#user-save").click()
    shoot(page, f"access-users-{end}")
    page.locator("#access-to-roles").click()
    page.locator("#roles-save").click()
    shoot(page, f"access-roles-{end}")


def shoot(page: Page, name: str) -> None:
    """One picture of the whole page, when it is at rest."""
    page.evaluate(AT_REST, 1_000)
    page.screenshot(path=FOLDER / name, full_page=True)
    sys.stdout.write(f"{FOLDER / name}\n")


if __name__ == "__main__":
    sys.exit(main())
