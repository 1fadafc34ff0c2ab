"""A chain in the page: its steps in the form, their states while it runs, and its children in the history."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import httpx
from playwright.sync_api import Page, expect

from tests.e2e.running_app import RunningApp, wait_until
from tests.e2e.workbench import LONG, Workbench

STEP = "name: Part\ntarget_models: [quick-echo]\nvariables: {text: {}}\nprompt: 'part {{text}}'\n"
CHAIN = """
name: Two parts
variables: {text: {default: hello}}
steps:
  - {prompt: chain_part, variables: {text: "{{text}}"}, into: first}
  - {prompt: chain_part, name: skipped, when: len(text) > 99, variables: {text: "{{first}}"}, into: second}
  - {prompt: say_slowly, variables: {text: "{{first}} {{second}} and so on"}, name: last}
"""


def test_a_chain_shows_its_steps_while_it_runs_and_afterwards(page: Page, app: RunningApp) -> None:
    (app.home / "prompts" / "chain_part.yaml").write_text(STEP)
    (app.home / "prompts" / "two_parts.yaml").write_text(CHAIN)
    bench = Workbench(page, app.url).open("two_parts")
    expect(page.locator("#steps")).to_contain_text("3 steps, in this order.")
    expect(page.locator("#steps .engineer-step")).to_have_count(3)
    expect(page.locator("#engineer-preview-head")).to_contain_text("Chain of 3 steps")
    expect(page.locator("#messages")).to_have_count(0)
    bench.run()
    steps = page.locator("#response .chain-steps > li")
    expect(steps.filter(has_text="last").locator(".chip")).to_have_text("running", timeout=LONG)
    expect(steps.filter(has_text="first").locator(".chip")).to_have_text("done")
    expect(steps.filter(has_text="skipped").locator(".chip").first).to_have_text("skipped")
    bench.expect_status("Succeeded")
    expect(page.locator("#response [data-pane=raw]")).to_contain_text("part hello  and so on")
    opened = steps.filter(has_text="first")
    opened.locator("summary").click()
    expect(opened.locator("pre")).to_have_text("part hello")

    second = page.locator("[id='steps.1.when']")
    page.locator("#steps .engineer-step").nth(1).locator("summary").click()
    second.fill("len(text) > 1")
    bench.expect_draft()
    bench.run()
    expect(steps.filter(has_text="skipped").locator(".chip").first).to_have_text("done", timeout=LONG)
    bench.expect_status("Succeeded")
    expect(page.locator("#response .running")).to_have_count(0, timeout=LONG)  # its last piece would fold the steps

    opened = steps.filter(has_text="first")
    opened.locator("summary").click()
    opened.get_by_role("link", name="Open request").click()
    expect(page.locator("#history-detail")).to_contain_text("Step first of a chain", timeout=LONG)
    page.locator("#history-detail").get_by_role("link", name="Open the chain").click()
    expect(page.locator("#history-detail")).to_contain_text("Steps", timeout=LONG)
    expect(page.locator("#history-detail .history-steps-list > li")).to_have_count(3)


def test_a_chain_that_is_killed_does_not_look_finished(alone: RunningApp) -> None:
    (alone.home / "prompts" / "chain_part.yaml").write_text(STEP)
    (alone.home / "prompts" / "two_parts.yaml").write_text(CHAIN)
    body = {"prompt": "two_parts", "variables": {"text": "killed " * 200}}

    def run() -> None:
        with contextlib.suppress(httpx.HTTPError), alone.client() as caller:
            caller.post("/api/v1/infer", json=body)

    caller = threading.Thread(target=run)
    with alone.client() as http:

        def running() -> list[dict[str, Any]]:
            found = http.get("/api/v1/history?kind=chain&prompt=two_parts&status=running").json()["entries"]
            return [chain for chain in found if len(chain["children"]) == 3]

        wait_until(lambda: http.get("/api/v1/prompts/two_parts").status_code == 200, seconds=60, what="the prompt")
        caller.start()
        wait_until(running, seconds=60, what="the last step runs")
        chain = running()[0]["request_id"]
    alone.kill()
    caller.join()
    alone.start()
    with alone.client() as http:
        found = http.get(f"/api/v1/history/{chain}").json()
    assert (found["status"], found["text"]) == ("interrupted", "")
    assert [child["status"] for child in found["children"]] == ["succeeded", "succeeded", "interrupted"]
