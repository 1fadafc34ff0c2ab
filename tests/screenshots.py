"""`python -m tests.screenshots`: pictures of all tabs, wide and narrow, light and dark, in `screenshots/`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests import browser
from tests.e2e.running_app import RunningApp
from tests.e2e.workbench import Workbench

FOLDER = Path("screenshots")
TABS = ("engineer", "overview", "history", "nodes")
WIDTHS = {"wide": 1280, "narrow": 390}
THEMES = ("light", "dark")


def main() -> int:
    """Runs a few prompts so that there is something to see, then takes sixteen pictures."""
    path = browser.find()
    if path is None:
        sys.stdout.write("NO BROWSER: install Chromium to take screenshots\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        app = RunningApp(Path(home)).start()
        try:
            opened = playwright.chromium.launch(executable_path=path, args=list(browser.ARGUMENTS))
            use(opened, app.url)
            for width in WIDTHS:
                for theme in THEMES:
                    take(opened, app.url, width, theme)
        finally:
            app.stop()
    return 0


def use(opened: Browser, url: str) -> None:
    """Leave some requests in the history."""
    page = opened.new_page()
    for prompt in ("scattergories", "jay_trainer", "entity_recognition"):
        bench = Workbench(page, url).open(prompt)
        bench.run()
        bench.expect_status("Succeeded")
        bench.rate_by_keyboard(4)
    page.close()


def take(opened: Browser, url: str, width: str, theme: str) -> None:
    """All tabs at one width in one theme."""
    context = opened.new_context(viewport={"width": WIDTHS[width], "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    bench = Workbench(page, url).open("entity_recognition")
    bench.run()
    bench.expect_status("Succeeded")
    for tab in TABS:
        if tab != "engineer":
            page.goto(f"{url}/?tab={tab}&prompt=entity_recognition")
        page.wait_for_timeout(1500)
        if tab == "history":
            bench.history_rows().first.get_by_role("button").click()
            page.wait_for_timeout(1000)
        name = f"{tab}-{width}-{theme}.png"
        page.screenshot(path=FOLDER / name, full_page=True)
        sys.stdout.write(f"{FOLDER / name}\n")
    context.close()


if __name__ == "__main__":
    sys.exit(main())
