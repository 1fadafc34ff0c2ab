"""A chat in a real browser: turns, regenerate, an edited turn, stop and stars, on a wide and on a narrow screen."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.running_app import RunningApp, wait_until
from tests.e2e.workbench import LONG, Workbench

pytestmark = pytest.mark.browser

QUICK, SLOW = "HuggingFaceTB/SmolLM2-135M-Instruct", "slow-echo"


@pytest.fixture(params=[1280, 390])
def bench(request: pytest.FixtureRequest, app: RunningApp, page: Page) -> Workbench:
    """The page with a chat of this test alone, which repeats what it is told."""
    key = f"{request.node.originalname}_{request.param}"
    http = httpx.Client(base_url=app.url, trust_env=False, timeout=60)
    content = http.get("/api/v1/prompts/chat@newest").json()["content"]
    body = content | {"name": key, "target_models": [QUICK, SLOW]}
    http.put(f"/api/v1/prompts/{key}", json=body).raise_for_status()
    page.set_viewport_size({"width": request.param, "height": 844})
    return Workbench(page, app.url).open(key)


def entries(bench: Workbench) -> list[dict[str, Any]]:
    """The requests of the chat, the newest first."""
    key = bench.page.evaluate("new URL(location.href).searchParams.get('prompt')")
    text = bench.page.request.get(f"{bench.url}/api/v1/history.jsonl?prompt={key}").text()
    return [json.loads(line) for line in text.splitlines()]


def composer(bench: Workbench) -> Locator:
    return bench.page.get_by_label("Message", exact=True)


def turns(bench: Workbench, who: str) -> Locator:
    return bench.page.locator(f"#response .turn-{who}")


def send(bench: Workbench, text: str, *, turn: int) -> None:
    """Write a message and press Enter; wait for the response."""
    field = composer(bench)
    field.fill(text)
    field.press("Enter")
    expect(field).to_have_value("")
    expect(turns(bench, "assistant")).to_have_count(turn, timeout=LONG)
    expect(turns(bench, "assistant").last.locator(".stars")).to_be_visible(timeout=LONG)
    expect(turns(bench, "assistant").last).to_contain_text(text.splitlines()[-1])


def test_three_turns_with_regenerate_an_edited_turn_and_stars(bench: Workbench) -> None:
    page, field = bench.page, composer(bench)
    expect(page.locator("#run")).to_be_in_viewport()
    send(bench, "First question", turn=1)
    field.fill("Two")
    field.press("Shift+Enter")
    page.keyboard.type("lines")
    expect(field).to_have_value("Two\nlines")
    field.press("Enter")
    expect(field).to_have_value("")
    expect(turns(bench, "assistant").nth(1).locator(".stars")).to_be_visible(timeout=LONG)
    send(bench, "Third question", turn=3)

    before = turns(bench, "assistant").last.get_attribute("data-request")
    turns(bench, "assistant").last.locator("[data-regenerate]").click()
    expect(turns(bench, "assistant").last).not_to_have_attribute("data-request", before or "", timeout=LONG)
    expect(turns(bench, "assistant").last.locator(".stars")).to_be_visible(timeout=LONG)
    expect(turns(bench, "assistant")).to_have_count(3)

    edit = turns(bench, "user").nth(1).get_by_role("button", name="Edit message")
    edit.click()
    area = turns(bench, "user").nth(1).get_by_role("textbox", name="Edit message")
    expect(area).to_be_focused()
    area.press("Escape")
    expect(turns(bench, "user").nth(1)).to_contain_text("lines")
    expect(edit).to_be_focused()
    page.keyboard.press("Enter")
    expect(area).to_be_focused()
    area.fill("Changed question")
    area.press("Enter")
    expect(turns(bench, "user")).to_have_count(2, timeout=LONG)
    expect(turns(bench, "assistant").last).to_contain_text("Changed question", timeout=LONG)
    expect(turns(bench, "assistant").last.locator(".stars")).to_be_visible(timeout=LONG)

    for turn, stars in ((0, 5), (1, 2)):
        choice = turns(bench, "assistant").nth(turn).locator(f".stars input[value='{stars}']")
        choice.focus()
        page.keyboard.press("Space")
        expect(turns(bench, "assistant").nth(turn).locator(".feedback-news")).to_contain_text(
            "Rating saved", timeout=LONG
        )
    rows = entries(bench)
    assert [row["answer"] for row in rows] == [
        "Changed question", "Third question", "Third question", "Two\nlines", "First question",
    ]  # fmt: skip
    assert [row["stars"] for row in rows] == [2, None, None, None, 5]
    assert len({row["session_id"] for row in rows}) == 1
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

    page.reload()  # the branch that was left stays in the history, the chat as it was last comes back
    expect(turns(bench, "assistant")).to_have_count(2, timeout=LONG)
    expect(turns(bench, "user").nth(1)).to_contain_text("Changed question")

    switch = turns(bench, "user").nth(1).get_by_role("group", name="Branch 2 of 2")
    expect(switch).to_contain_text("2/2")
    expect(switch.get_by_role("button", name="Next branch")).to_be_disabled()
    switch.get_by_role("button", name="Previous branch").click()
    expect(turns(bench, "user")).to_have_count(3, timeout=LONG)  # the newest branch with the first text
    expect(turns(bench, "user").nth(1)).to_contain_text("lines")
    last = turns(bench, "user").nth(2).get_by_role("group", name="Branch 2 of 2")
    last.get_by_role("button", name="Previous branch").click()
    expect(turns(bench, "user").nth(2).get_by_role("group", name="Branch 1 of 2")).to_be_visible(timeout=LONG)
    expect(turns(bench, "assistant").nth(2)).to_have_attribute("data-request", before or "")
    turns(bench, "user").nth(1).get_by_role("button", name="Next branch").click()
    expect(turns(bench, "user")).to_have_count(2, timeout=LONG)
    expect(turns(bench, "user").nth(1)).to_contain_text("Changed question")
    expect(turns(bench, "assistant").nth(1).locator(".stars input:checked")).to_have_value("2")
    send(bench, "After the switch", turn=3)  # goes on from the branch that is shown
    newest = entries(bench)[0]
    assert [turn["content"] for turn in json.loads(newest["input"])[-3:]] == [
        "Changed question", "Changed question", "After the switch",
    ]  # fmt: skip


def test_stop_at_any_moment_is_recorded_as_stopped(bench: Workbench) -> None:
    page = bench.page
    with page.expect_response(lambda response: response.url.endswith("ui/engineer/model")):
        page.locator("#model-picker").select_option(SLOW)
    expect(page.locator("#model-picker")).to_have_value(SLOW)
    expect(page.locator("#run")).to_be_enabled()
    composer(bench).fill("one two three four five six seven eight nine ten " * 5)
    composer(bench).press("Enter")
    expect(turns(bench, "assistant").last).to_contain_text("two three", timeout=LONG)
    composer(bench).press("Escape")
    bench.expect_status("Stopped")
    wait_until(lambda: [row["status"] for row in entries(bench)] == ["cancelled"], seconds=60, what="the row")

    expect(page.locator("#run")).to_be_enabled(timeout=LONG)
    composer(bench).fill("too late")
    page.evaluate("document.getElementById('run').click(); document.getElementById('stop').click()")
    both = ["cancelled", "cancelled"]
    wait_until(lambda: [row["status"] for row in entries(bench)] == both, seconds=60, what="the second row")
    bench.expect_status("Stopped")
