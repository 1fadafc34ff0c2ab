"""Insights in a real browser: answers are rated, the figures follow, and what is learned is reset."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.running_app import RunningApp
from tests.e2e.workbench import LONG, Workbench

pytestmark = pytest.mark.browser

LONG_NAME = "an-organisation-with-a-long-name/a-model-of-the-longest-name-there-may-be-Instruct-v0.3-GGUF"
NODES = f"""
nodes:
  - {{kind: echo, name: one, models: [good/model]}}
  - {{kind: echo, name: two, models: [{LONG_NAME}]}}
"""
DUEL = f"""
name: Duel
target_models: [good/model, {LONG_NAME}, ghost/model]
variables: {{text: {{type: text, default: one two three}}}}
messages: [{{role: user, content: "{{{{text}}}}"}}]
checks: {{max_words: 5}}
"""
STARS = {"good/model": 5, LONG_NAME: 2}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app with two models that echo, and a prompt that asks for either."""
    home = tmp_path_factory.mktemp("home")
    prompts = home / "prompts"
    prompts.mkdir()
    for key in ("duel", "quiet"):
        (prompts / f"{key}.yaml").write_text(DUEL.replace("Duel", key.title()))
    (home / "nodes.yaml").write_text(NODES)
    given = {"HERDING_PROMPTS": str(prompts), "HERDING_NODES": str(home / "nodes.yaml")}
    running = RunningApp(home, environment=given).start()
    yield running
    running.stop()


def api(app: RunningApp) -> httpx.Client:
    return httpx.Client(base_url=app.url, trust_env=False, timeout=120)


def ask(app: RunningApp, times: int) -> None:
    """Answers of each model with the stars that it deserves."""
    with api(app) as http:
        for model, stars in STARS.items():
            for _ in range(times):
                done = http.post("/api/v1/infer", json={"prompt": "duel", "model": model}).raise_for_status().json()
                rated = {"request_id": done["request_id"], "score": stars}
                http.post("/api/v1/score", json=rated).raise_for_status()


def shares(app: RunningApp) -> dict[str, float]:
    """The chance of each model to be chosen next."""
    with api(app) as http:
        found = http.get("/api/v1/insights/duel").raise_for_status().json()
    return {model["model"]: model["share"] for model in found["models"]}


def open_tab(page: Page, app: RunningApp, prompt: str) -> None:
    page.goto(f"{app.url}/?tab=insights&prompt={prompt}")
    expect(page.locator("#insights-routing li")).to_have_count(3, timeout=LONG)


def test_answers_are_rated_looked_at_and_forgotten(app: RunningApp, page: Page) -> None:
    ask(app, 10)
    bench = Workbench(page, app.url).open("duel")
    bench.run()
    bench.expect_status("Succeeded")
    bench.rate_by_keyboard(5)
    page.locator("#engineer-response details.why summary").click()
    expect(page.locator("#engineer-response details.why")).to_contain_text("no node serves it")
    expect(page.locator("#engineer-response details.why li")).to_have_count(3)

    bench.tab("Insights")
    expect(page.locator("#insights-prompt")).to_have_value("duel", timeout=LONG)
    matrix = page.locator("#insights-matrix")
    expect(matrix).to_contain_text("21 requests in the last 30 days")
    expect(matrix.locator("tbody tr")).to_have_count(3)
    row = matrix.locator("tbody tr").filter(has_text="good/model")
    expect(row).to_contain_text("5.0 ★")
    expect(row).to_contain_text("ratings")
    expect(page.locator("#insights-ratings svg[role=img]")).to_have_count(2)
    expect(page.locator("#insights-latency .dot-mark")).to_have_count(21)
    bars = page.locator("#insights-requests rect")
    assert {name for bar in bars.all() for name in STARS if name in (bar.text_content() or "")} == set(STARS)
    expect(page.locator("#insights-shares")).to_contain_text("last 21 responses")
    before = shares(app)
    assert before["good/model"] > 0.8
    expect(page.locator("#insights-routing")).to_contain_text("5.0 stars from")

    page.locator("#insights-reset").click()
    question = page.locator("dialog.question")
    expect(question).to_contain_text("can't be undone")
    question.get_by_role("button", name="Cancel").click()
    expect(question).to_have_count(0)
    assert shares(app) == pytest.approx(before, abs=0.01)
    page.locator("#insights-reset").click()
    question.get_by_role("button", name="Reset").click()
    expect(page.locator("#notice")).to_contain_text("Routing data reset", timeout=LONG)
    expect(page.locator("#insights-routing")).to_contain_text("no data for this prompt yet")
    expect(row).to_contain_text("5.0 ★")
    after = shares(app)
    assert after["good/model"] == pytest.approx(after[LONG_NAME], abs=0.01)

    app.kill()
    app.start()
    assert shares(app) == pytest.approx(after, abs=0.01)


def test_another_prompt_and_period_are_chosen_and_stay_in_the_address(app: RunningApp, page: Page) -> None:
    ask(app, 1)
    open_tab(page, app, "duel")
    page.locator("#insights-prompt").focus()
    page.keyboard.type("quiet")
    page.keyboard.press("Enter")
    report = page.locator("#insights-report")
    expect(report).to_contain_text("No requests in this period", timeout=LONG)
    expect(page).to_have_url(re.compile("prompt=quiet"))
    page.locator("#insights-prompt").select_option("duel")
    expect(report).to_contain_text("in the last 30 days", timeout=LONG)
    page.locator("#insights-days").select_option("7")
    expect(report).to_contain_text("in the last 7 days", timeout=LONG)
    expect(page).to_have_url(re.compile("days=7"))
    page.reload()
    expect(report).to_contain_text("in the last 7 days", timeout=LONG)
    requests = page.locator("#insights-report dl dd").first
    before = int(requests.text_content() or "")
    report.get_by_role("link", name="Open in engineer").click()
    bench = Workbench(page, app.url)
    expect(page.locator("#prompt-picker")).to_contain_text("Duel", timeout=LONG)
    bench.run()
    bench.expect_status("Succeeded")
    bench.tab("Insights")  # opened again, it shows the new request
    expect(requests).to_have_text(str(before + 1), timeout=LONG)


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (390, "dark"), (1000, "light"), (1280, "light")])
def test_the_tab_fits_the_screen(app: RunningApp, chromium: Browser, width: int, theme: str) -> None:
    ask(app, 1)
    context = chromium.new_context(viewport={"width": width, "height": 844}, color_scheme=theme)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        open_tab(page, app, "duel")
        expect(page.locator("#insights-matrix tbody tr").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        frame = page.locator("#insights-matrix .matrix-frame")
        assert frame.evaluate("frame => frame.scrollWidth <= frame.clientWidth")
    finally:
        context.close()
