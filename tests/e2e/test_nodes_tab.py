"""The Nodes tab in a real browser: a node is tried, added, watched, retried, changed and removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.running_app import RunningApp
from tests.e2e.workbench import LONG, Workbench
from tests.support.anyserver import AnyServer, anyserver
from tests.support.fakenode import FakeNode, fakenode

pytestmark = pytest.mark.browser

KEY = "sk-a-key-that-nobody-may-see"


@pytest.fixture
def server() -> Iterator[AnyServer]:
    with anyserver() as found:
        yield found


@pytest.fixture
def hosted() -> Iterator[FakeNode]:
    with fakenode() as found:
        yield found


def opened(page: Page, app: RunningApp) -> None:
    """The tab with its form unfolded."""
    Workbench(page, app.url).open().tab("Nodes")
    expect(card(page, "slow")).to_be_visible(timeout=LONG)
    page.locator("#node-new").click()
    expect(page.locator("#node-name")).to_be_visible(timeout=LONG)


def card(page: Page, name: str) -> Locator:
    return page.get_by_role("article", name=name, exact=True)


def fill(page: Page, **fields: str) -> None:
    for name, text in fields.items():
        page.locator(f"#node-{name}").fill(text)


def ask(app: RunningApp, model: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    return app.client().post("/v1/chat/completions", json=body)


def test_a_node_is_tried_added_used_and_removed(app: RunningApp, page: Page, server: AnyServer) -> None:
    opened(page, app)
    page.locator("#node-kind").select_option(label="HTTP template")
    expect(page.locator("#node-template")).to_be_visible(timeout=LONG)
    fill(page, name="glm", url=f"{server.url}/api/generate", models="chatglm2-6b", prompt="who are you?")
    held: list[Route] = []
    page.route("**/ui/nodes/test", lambda route: held.append(route))  # noqa: PLW0108 (Playwright writes on it)
    page.locator("#node-test").press("Enter")
    expect(page.locator("#node-result")).to_have_text("Waiting for the response of the node…")
    held[0].continue_()
    expect(page.locator("#node-result")).to_contain_text("You said: who are you?", timeout=LONG)
    expect(page.locator("#node-result")).to_contain_text("HTTP 200")
    expect(page.locator("#node-test")).to_be_focused()  # it was disabled meanwhile
    page.locator("#node-add").press("Enter")
    expect(page.locator("#node-result")).to_contain_text("glm (HTTP template) added", timeout=LONG)
    expect(page.locator("#node-name")).to_have_value("")
    expect(page.locator("#node-add")).to_be_focused()  # another one, in its place
    expect(card(page, "glm")).to_contain_text("chatglm2-6b", timeout=LONG)
    expect(page.locator("#nodes-events")).to_contain_text("Added", timeout=LONG)
    assert ask(app, "chatglm2-6b").json()["choices"][0]["message"]["content"] == "You said: hi"

    card(page, "glm").get_by_role("button", name="Edit").click()
    field = card(page, "glm").get_by_label("Models", exact=False).and_(page.locator("input"))
    field.fill("chatglm2-6b, chatglm3")
    field.press("Enter")
    expect(card(page, "glm").locator(".chip", has_text="chatglm3")).to_be_visible(timeout=LONG)
    expect(field).to_have_count(0)

    card(page, "glm").get_by_role("button", name="Remove node").press("Enter")
    dialog = page.get_by_role("dialog", name="The node gets no new requests.")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    dialog.get_by_role("button", name="Remove").press("Enter")
    expect(card(page, "glm")).to_have_count(0, timeout=LONG)
    expect(page.locator("#nodes-live :focus")).to_have_count(1)
    expect(page.locator("#nodes-events")).to_contain_text("Removed", timeout=LONG)
    assert ask(app, "chatglm2-6b").status_code == 404


def test_a_node_that_refuses_its_key_is_retried_in_the_page(app: RunningApp, page: Page, hosted: FakeNode) -> None:
    opened(page, app)
    fill(page, name="hosted", url=hosted.url, models="status:401", secret=KEY)
    page.locator("#node-add").click()
    expect(page.locator("#node-result")).to_contain_text("hosted (OpenAI-compatible) added", timeout=LONG)
    assert ask(app, "status:401").status_code == 502
    expect(card(page, "hosted")).to_contain_text("Key rejected", timeout=LONG)
    expect(page.locator("#nodes-events")).to_contain_text("Key rejected")
    assert ask(app, "status:401").status_code == 503
    assert len(hosted.calls()) == 1
    hosted.fault = "ok"
    card(page, "hosted").get_by_role("button", name="Retry now").click()
    expect(card(page, "hosted")).not_to_contain_text("Key rejected", timeout=LONG)
    assert ask(app, "status:401").status_code == 200
    expect(page.locator("#nodes-events")).to_contain_text("Recovered", timeout=LONG)
    assert KEY not in page.content()


def test_what_cannot_be_a_node_is_refused_with_words(app: RunningApp, page: Page) -> None:
    opened(page, app)
    fill(page, name="inside", url="http://169.254.169.254/v1", models="m")
    page.locator("#node-add").click()
    expect(page.locator(".field:has(#node-url) [role=alert]")).to_contain_text("169.254.169.254", timeout=LONG)
    expect(page.locator("#node-url")).to_be_focused()
    expect(page.locator("#node-name")).to_have_value("inside")
    expect(card(page, "inside")).to_have_count(0)


def test_a_path_is_loaded_by_keyboard_while_what_is_typed_stays(app: RunningApp, page: Page, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"no model")
    opened(page, app)
    local = card(page, "local")
    expect(local).to_contain_text("Model memory", timeout=LONG)
    expect(local.locator(".model-row", has_text="herding/cria")).to_contain_text("stays loaded", timeout=LONG)
    local.get_by_text("Load another model").click()
    expect(local.get_by_text("Qwen/Qwen3-0.6B").first).to_be_visible(timeout=LONG)
    field = local.locator(".node-any input")
    field.fill(str(tmp_path / "broken.gguf"))
    with page.expect_response(lambda response: response.url.endswith("/ui/nodes/live"), timeout=LONG):
        pass  # the tab is refreshed in between
    expect(field).to_be_focused()
    page.keyboard.press("Enter")
    row = local.locator(".model-row", has_text="broken")
    expect(row).to_contain_text("broken.gguf is not a GGUF file.", timeout=LONG)
    expect(local.locator(".model-row", has_text="herding/cria")).to_contain_text("Loaded")
    row.get_by_role("button", name="Dismiss").click()
    expect(row).to_have_count(0, timeout=LONG)
    expect(field).to_have_value(str(tmp_path / "broken.gguf"))
