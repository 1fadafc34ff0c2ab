"""The main job in a real browser: run, watch, stop, rate, comment, and find it all again."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.running_app import RunningApp
from tests.e2e.workbench import LONG, Workbench

pytestmark = pytest.mark.browser

SAID = "one two three " + "and on it goes " * 50
HARBOUR = "The harbour walk was lovely and the crew was kind."


def test_a_person_runs_stops_rates_and_finds_it_again(app: RunningApp, page: Page) -> None:
    # A prompt of this test alone: the fields of a prompt begin with what was last typed into them.
    content = app.client().get("/api/v1/prompts/sentiment@newest").json()["content"]
    content |= {"name": "Harbour reviews"}
    app.client().put("/api/v1/prompts/harbour", json=content).raise_for_status()
    bench = Workbench(page, app.url).open()
    bench.pick("Harbour reviews")
    expect(bench.variable("text")).to_have_value(re.compile("soup"))  # its default, which would replace what is typed
    bench.fill("text", HARBOUR)
    bench.run()
    bench.expect_status("Succeeded")
    assert bench.answer == "positive"
    bench.rate_by_keyboard(4)
    bench.comment("Right, and quick.")

    bench.pick("Say slowly")
    expect(bench.variable("text")).not_to_have_value(HARBOUR)  # the form is that of the other prompt
    bench.fill("text", SAID)
    page.evaluate(WATCH_THE_ANSWER)
    bench.run()
    expect(page.locator("#response")).to_contain_text("three")
    bench.stop()
    bench.expect_status("Stopped")
    stopped = bench.answer
    assert SAID.startswith(stopped)
    assert len(stopped) < len(SAID)
    assert page.evaluate("window.lengthsOfAnswer.length") > 2

    page.reload()
    bench.open_history()
    rows = bench.history_rows()
    expect(rows.nth(0)).to_contain_text("Stopped")
    expect(rows.nth(1)).to_contain_text("Succeeded")
    rows.nth(1).get_by_role("button").click()
    opened = page.locator("#history-detail")
    expect(opened).to_contain_text("The harbour walk was lovely", timeout=LONG)
    expect(opened.locator("[name=comment]")).to_have_value("Right, and quick.")
    expect(opened.locator(".stars input:checked")).to_have_value("4")
    page.keyboard.press("ArrowUp")
    expect(opened).to_contain_text("one two three", timeout=LONG)
    lines = app.client().get("/api/v1/history.jsonl?status=cancelled").text.splitlines()
    assert stopped in [json.loads(line)["answer"] for line in lines]


WATCH_THE_ANSWER = """() => {
  window.lengthsOfAnswer = [];
  setInterval(() => {
    const length = document.querySelector("#response .response")?.textContent.length ?? 0;
    if (length && length !== window.lengthsOfAnswer.at(-1)) window.lengthsOfAnswer.push(length);
  }, 20);
}"""


def test_three_browsers_run_at_once_and_health_stays_quick(app: RunningApp, chromium: Browser) -> None:
    contexts = [chromium.new_context() for _ in range(3)]
    benches = [Workbench(context.new_page(), app.url).open("word_to_number") for context in contexts]
    questions = ["twelve", "forty", "ninety"]
    for bench, question in zip(benches, questions, strict=True):
        bench.page.locator("#variables textarea").first.fill(question)
    with ThreadPoolExecutor(1) as beside:
        waits = beside.submit(_health_waits, app.url, 40)
        for bench in benches:
            bench.run()
        for bench in benches:
            bench.expect_status("Succeeded")
    lines = app.client().get("/api/v1/history.jsonl?prompt=word_to_number").text
    for bench, question in zip(benches, questions, strict=True):
        [line] = [line for line in lines.splitlines() if f'"{question}"' in line]
        assert f'"answer": "{bench.answer}"' in line
    for context in contexts:
        context.close()
    assert all(status == 200 for status, _ in waits.result())


def _health_waits(url: str, times: int) -> list[tuple[int, float]]:
    found = []
    with httpx.Client(trust_env=False, timeout=60) as http:
        for _ in range(times):
            began = time.perf_counter()
            found.append((http.get(f"{url}/healthz").status_code, time.perf_counter() - began))
            time.sleep(0.02)
    return found


def test_a_rating_survives_kill_dash_nine(alone: RunningApp, page: Page) -> None:
    bench = Workbench(page, alone.url).open("greet")
    bench.run()
    bench.expect_status("Succeeded")
    bench.rate_by_keyboard(5)
    alone.kill()
    alone.start()
    row = alone.client().get("/api/v1/history.jsonl").text.splitlines()[0]  # the newest
    assert '"stars": 5' in row
    assert '"status": "succeeded"' in row


@pytest.mark.parametrize("width", [1280, 390])
def test_a_prompt_from_an_empty_page_to_a_published_version(app: RunningApp, chromium: Browser, width: int) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 844})
    page, key = context.new_page(), f"joke_{width}"
    bench = Workbench(page, app.url).open("word_to_number")
    page.get_by_role("button", name="New prompt").click()
    expect(page.get_by_label("Prompt ID")).to_be_focused()
    page.keyboard.type(key)
    page.keyboard.press("Enter")
    expect(page.locator("#prompt-about")).to_contain_text("Not saved")
    expect(bench.message(0)).to_be_focused()
    bench.message(0).fill("Say {{topic}}")
    expect(page.locator("#variable-topic")).to_be_visible()
    page.get_by_role("button", name="Add message").click()
    page.locator("[id='messages.1.role']").select_option("system")
    bench.message(1).fill("You tell jokes.")
    bench.message(1).press("Alt+ArrowUp")
    expect(bench.message(0)).to_have_value("You tell jokes.")
    page.locator("#variable-topic summary").click()
    page.locator("[id='def.topic.default']").fill("cats and dogs")
    expect(page.locator("#var-topic")).to_have_value("cats and dogs")
    other = f"spare-{width}"  # no prompt of another test has it among its target models
    page.locator("#model-picker").select_option(other)
    expect(page.locator("#model-note")).to_contain_text("Not a target model")
    expect(page.locator("#run")).to_be_in_viewport()
    bench.message(1).press("Control+Enter")
    bench.expect_status("Succeeded")
    assert "cats and dogs" in bench.answer
    page.locator("#model-add").click()
    expect(page.locator("#model-note")).to_have_count(0)
    page.locator("#save-message").fill("first version")
    page.locator("#save-message").press("Enter")
    expect(page.locator("#save-note")).to_contain_text("Saved v1")
    page.locator("#saved-publish").click()
    expect(page.locator("#save-note")).to_contain_text("v1 is live")
    page.locator("#save-note a", has_text="View versions").press("Enter")
    expect(page.locator(".view[data-view=versions]")).to_be_focused()
    saved = app.client().get(f"/api/v1/prompts/{key}").json()
    assert other in saved["content"]["target_models"]
    assert [message["role"] for message in saved["content"]["messages"]] == ["system", "user"]
    assert saved["labels"]["prod"] == 1
    context.close()
