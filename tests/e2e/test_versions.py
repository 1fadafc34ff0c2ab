"""Versions in a real browser: publish, compare, take back, decide a conflict, and all prompts as one file."""

from __future__ import annotations

import random
import re
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from herding.ui.versions.bundle import MAX_BYTES
from tests.e2e.running_app import RunningApp
from tests.e2e.workbench import LONG

pytestmark = pytest.mark.browser

TRIES = 200
"""Races of a save against an edit of the file, until they meet."""


class Api:
    """What a program does with prompts."""

    def __init__(self, app: RunningApp) -> None:
        self.http = httpx.Client(base_url=app.url, trust_env=False, timeout=120)

    def content(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/api/v1/prompts/{key}@newest").raise_for_status().json()["content"]
        return found

    def save(self, key: str, content: dict[str, Any], message: str = "") -> None:
        self.http.put(f"/api/v1/prompts/{key}", json=content | {"message": message}).raise_for_status()

    def labels(self, key: str) -> dict[str, int]:
        found: dict[str, int] = self.http.get(f"/api/v1/prompts/{key}/labels").raise_for_status().json()["labels"]
        return found

    def conflicts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get("/api/v1/conflicts").raise_for_status().json()["conflicts"]
        return found


@pytest.fixture
def api(app: RunningApp) -> Api:
    return Api(app)


def open_tab(page: Page, app: RunningApp, prompt: str) -> None:
    page.goto(f"{app.url}/?tab=versions&prompt={prompt}")
    expect(page.locator("#version-list .row-name").first).to_be_visible(timeout=LONG)


def row(page: Page, number: int) -> Any:
    return page.locator(f'#version-list [data-row="{number}"]')


def test_a_version_is_compared_published_and_taken_back(app: RunningApp, api: Api, page: Page) -> None:
    first = api.content("sentiment")
    api.save("sentiment", first | {"description": "Says how a text sounds."}, "plainer words")
    api.save("sentiment", first | {"description": "Says how the text sounds."}, "one text")
    open_tab(page, app, "sentiment")
    expect(page.locator("#version-list")).to_contain_text("plainer words")
    row(page, 2).click()
    expect(page.locator("#version-detail")).to_contain_text("Version 2", timeout=LONG)
    page.keyboard.press("ArrowUp")
    expect(page.locator("#version-detail")).to_contain_text("Version 3", timeout=LONG)
    expect(row(page, 3)).to_be_focused()
    expect(page.locator("#version-diff del")).to_have_count(1, timeout=LONG)
    expect(page.locator("#version-diff del")).to_have_text("a")
    expect(page.locator("#version-diff ins")).to_have_text("the")

    page.locator("#version-message").fill("for the shop")
    expect(page.locator("#version-move")).to_have_text("Publish v3")
    page.locator("#version-move").click()
    expect(page.locator("#notice")).to_contain_text("prod moved from", timeout=LONG)
    expect(page.locator("#version-set")).to_be_focused()
    assert api.labels("sentiment")["prod"] == 3
    assert "label: prod" in (app.home / "prompts" / "sentiment.yaml").read_text()
    expect(page.locator("#version-move")).to_be_disabled()
    page.locator("#version-labels summary").click()
    expect(page.locator("#version-labels .moves")).to_contain_text("for the shop")

    page.locator("#version-labels").get_by_role("button", name="Revert to v1").click()
    expect(page.locator("#notice")).to_contain_text("prod moved from v3 to v1", timeout=LONG)
    assert api.labels("sentiment")["prod"] == 1
    expect(page).to_have_url(re.compile("old=2&new=3"))
    page.reload()
    expect(page.locator("#version-detail")).to_contain_text("Version 3", timeout=LONG)
    page.locator("#version-compare").click()
    expect(page.locator("#compare-a-line")).to_contain_text("v2", timeout=LONG)
    expect(page.locator("#compare-b-line")).to_contain_text("v3")


def test_the_tab_opens_from_the_overview_and_shows_what_is_written_in_the_file(
    app: RunningApp, api: Api, page: Page
) -> None:
    page.goto(f"{app.url}/?tab=overview&prompt=sentiment")
    page.locator('#overview-list [data-row="keep_it_short"]').click()
    expect(page.locator("#overview-detail")).to_contain_text("keep_it_short", timeout=LONG)
    page.get_by_role("link", name="Versions", exact=True).click()
    expect(page.locator("#version-prompt")).to_have_value("keep_it_short", timeout=LONG)
    expect(page).to_have_url(re.compile("prompt=keep_it_short"))
    expect(page.locator("#version-list .row-name")).to_have_count(1)
    write(app.home / "prompts" / "keep_it_short.yaml", "written in the file")
    expect(page.locator("#version-list .row-name")).to_have_count(2, timeout=LONG)
    row(page, 2).click()
    expect(page.locator("#version-diff .side.new").first).to_contain_text("written in the file")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download YAML").click()
    assert "description: written in the file" in Path(download.value.path()).read_text()
    page.locator("#version-open").click()
    expect(page.locator("#prompt-picker")).to_contain_text("keep_it_short", timeout=LONG)
    assert api.content("keep_it_short")["name"]


def write(path: Path, description: str) -> None:
    """Another description in a prompt file, as an editor saves it: all at once."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("description:")]
    beside = path.with_suffix(".new")
    beside.write_text("\n".join([*lines, f"description: {description}", ""]))
    beside.replace(path)


def race(app: RunningApp, api: Api, key: str) -> dict[str, Any]:
    """Save a prompt and edit its file at the same moment, until the two meet."""
    content, path, lasted = api.content(key), app.home / "prompts" / f"{key}.yaml", 0.02
    with ThreadPoolExecutor(1) as beside:
        for number in range(TRIES):
            began = time.perf_counter()
            saving = beside.submit(api.save, key, content | {"description": f"saved here {number}"})
            time.sleep(random.uniform(0, lasted))
            write(path, f"written in the file {number}")
            saving.result()
            lasted = time.perf_counter() - began
            if found := api.conflicts():
                return found[0]
    raise AssertionError(f"{TRIES} edits and saves never met")


def test_a_conflict_is_shown_with_both_sides_and_decided(app: RunningApp, api: Api, page: Page) -> None:
    found = race(app, api, "greeting")
    page.goto(f"{app.url}/?tab=overview")
    told = page.locator('.view[data-view="overview"]')
    expect(told).to_contain_text("1 prompt has a conflict", timeout=LONG)
    told.get_by_role("link", name="greeting", exact=True).click()
    expect(page.locator("#conflict-head")).to_contain_text(f"Saved: v{found['ours']}", timeout=LONG)
    expect(page.locator("#conflict-head")).to_contain_text(f"File: v{found['theirs']}")
    expect(page.locator("#conflict-diff del").first).to_contain_text("saved")
    expect(page.locator("#conflict-diff ins").first).to_contain_text("written")
    page.locator("#conflict-ours").click()
    expect(page.locator("#version-news")).to_contain_text("Conflict resolved: v", timeout=LONG)
    expect(page.locator("#conflict")).to_have_count(0)
    assert api.conflicts() == []
    assert api.content("greeting")["description"].startswith("saved here")
    assert "description: saved here" in (app.home / "prompts" / "greeting.yaml").read_text()


def test_all_prompts_leave_as_one_file_and_come_back(app: RunningApp, page: Page, tmp_path: Path) -> None:
    open_tab(page, app, "word_to_number")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all prompts").click()
    saved = tmp_path / "prompts.zip"
    download.value.save_as(saved)
    bring(page, saved)
    result = page.locator("#bundle .bundle-result")
    expect(result).to_contain_text(re.compile(r"Imported: \d+ unchanged\."), timeout=LONG)

    with zipfile.ZipFile(saved, "a") as bundle:
        bundle.writestr("shop/fresh.yaml", "name: Fresh\ntarget_models: [slow-echo]\nprompt: hello\n")
        bundle.writestr("<b>bad</b>.yaml", "promt: typo\n")
    bring(page, saved)
    expect(result).to_contain_text("1 new prompt", timeout=LONG)
    expect(result).to_contain_text("1 failed")
    expect(result.locator("li").first).to_contain_text("<b>bad</b>")
    page.locator("#version-prompt").select_option("shop/fresh")
    expect(page.locator("#version-detail")).to_contain_text("Version 1", timeout=LONG)
    expect(page.locator("#version-detail")).to_contain_text("import")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no zip", "not a valid zip file"),
        (b"\0" * (MAX_BYTES + 1), f"larger than {MAX_BYTES:,} bytes"),
        (None, "Choose a zip"),
    ],
    ids=["broken", "large", "none"],
)
def test_what_is_no_bundle_is_refused_in_words(
    app: RunningApp, page: Page, tmp_path: Path, content: bytes | None, told: str
) -> None:
    open_tab(page, app, "word_to_number")
    path = None
    if content is not None:
        path = tmp_path / "prompts.zip"
        path.write_bytes(content)
    bring(page, path)
    expect(page.locator("#bundle .bundle-result")).to_contain_text(told, timeout=LONG)


def bring(page: Page, path: Path | None) -> None:
    """Import a zip from a disk."""
    if path is not None:
        page.locator("#bundle-file").set_input_files(path)
    page.locator("#bundle-import").click()


def test_what_goes_wrong_beside_the_queue_is_told(app: RunningApp, api: Api, page: Page) -> None:
    api.save("fleeting", api.content("sentiment"))
    page.goto(f"{app.url}/?tab=overview&q=fleeting")
    card = page.locator('#overview-list [data-row="fleeting"]')
    expect(card).to_be_visible(timeout=LONG)
    page.wait_for_timeout(500)
    api.http.delete("/api/v1/prompts/fleeting").raise_for_status()
    card.click()
    notice = page.locator("#notice")
    expect(notice).to_contain_text("Prompt 'fleeting' no longer exists.", timeout=LONG)
    notice.get_by_role("button", name="Close").click()
    expect(notice).to_be_empty()
