"""Models of a hub in a real browser: loaded with progress, cancelled, continued, used and removed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Locator, Page, expect

from tests.e2e.running_app import RunningApp, wait_until
from tests.e2e.workbench import LONG, Workbench
from tests.engine.conftest import save_tiny_model
from tests.support.fakehub import FakeHub, fakehub

pytestmark = pytest.mark.browser

ADDED, PICKED, GATED = "someone/added", "someone/picked", "someone/gated"
PROMPT = """
name: Say it
target_models: [someone/picked, quick-echo]
variables:
  text: {type: text, default: once}
parameters: {max_tokens: 5}
prompt: "{{text}}"
"""


def make_model(folder: Path) -> Path:
    """A tiny model with weights of 6 MB, so that a download takes its time."""
    import torch
    from safetensors.torch import load_file, save_file

    save_tiny_model(folder)
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"unused": torch.zeros(1_500_000)}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    folder = tmp_path_factory.mktemp("hub")
    with ThreadPoolExecutor() as pool:  # the loop of the browser runs in this thread
        model = pool.submit(make_model, folder / "model").result()
    with fakehub() as found:
        found.add(ADDED, model)
        found.add(PICKED, model)
        found.add(GATED, model, status=401, code="GatedRepo")
        yield found


@pytest.fixture(scope="module")
def app(hub: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app whose engine reaches the hub, and keeps what it downloads in the app's own directory."""
    home = tmp_path_factory.mktemp("home")
    prompts = home / "prompts"
    prompts.mkdir()
    (prompts / "say_it.yaml").write_text(PROMPT)
    nodes = [
        {"kind": "local", "name": "local", "models": [PICKED]},
        {"kind": "echo", "name": "echo", "models": ["quick-echo"]},
    ]
    (home / "nodes.yaml").write_text(yaml.safe_dump({"nodes": nodes}))
    environment = {
        "HERDING_PROMPTS": str(prompts),
        "HERDING_NODES": str(home / "nodes.yaml"),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    running = RunningApp(home, environment=environment).start()
    yield running
    running.stop()
    shutil.rmtree(home / "models", ignore_errors=True)


def row(page: Page, model: str) -> Locator:
    return page.locator(".model-row", has_text=model)


def ask(app: RunningApp, model: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
    return app.client().post("/v1/chat/completions", json=body).status_code


def state_of(app: RunningApp, model: str) -> dict[str, Any]:
    nodes = app.client().get("/api/v1/nodes").json()["nodes"]
    models = next(node for node in nodes if node["name"] == "local")["status"]["models"]
    return next((one for one in models if one["id"] == model), {})


def percent(bar: Locator) -> int:
    return int(bar.get_attribute("aria-valuenow") or 0)


def enter(page: Page, model: str) -> None:
    """Load any model from the card of the engine."""
    panel = page.locator("article", has_text="Model memory")
    field = panel.locator(".node-any input")
    if not field.is_visible():
        panel.get_by_text("Load another model").click()
    field.fill(model)
    field.press("Enter")


def test_a_hub_model_is_loaded_from_the_nodes_tab(app: RunningApp, hub: FakeHub, page: Page) -> None:
    hub.open.clear()
    Workbench(page, app.url).open().tab("Nodes")
    expect(row(page, "herding/cria")).to_contain_text("Loaded", timeout=LONG)
    enter(page, f"https://huggingface.co/{ADDED}")
    bar = row(page, ADDED).get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[3-9]\d$"), timeout=LONG)
    expect(row(page, ADDED)).to_contain_text(re.compile(r"Downloading \d.\d+ MB of 6.\d+ MB|Downloading \d MB of 6 MB"))
    assert ask(app, "herding/cria") == ask(app, "quick-echo") == 200

    page.reload()  # the address leads to this tab again
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[3-9]\d$"), timeout=LONG)
    row(page, ADDED).get_by_role("button", name="Cancel").click()
    expect(page.locator("#notice")).to_contain_text(f"Loading {ADDED} cancelled.", timeout=LONG)
    expect(row(page, ADDED)).to_contain_text("Partly downloaded", timeout=LONG)
    expect(page.locator("#nodes-events li").first).to_contain_text("Load cancelled")
    expect(page.locator("#nodes-events")).not_to_contain_text("Not loaded")

    hub.open.set()
    hub.ranges.clear()
    row(page, ADDED).get_by_role("button", name="Resume").click()
    expect(row(page, ADDED)).to_contain_text("Idle", timeout=LONG)
    ((name, first),) = hub.ranges
    assert (name, first > 1_000_000) == ("model.safetensors", True)
    assert ask(app, ADDED) == 200

    row(page, ADDED).get_by_role("button", name="Remove from list").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("checkbox", name=re.compile("Delete its files")).check()
    dialog.get_by_role("button", name="Remove").click()
    expect(row(page, ADDED)).to_have_count(0, timeout=LONG)
    assert not (app.home / "models" / "hub" / "models--someone--added").exists()
    assert ask(app, ADDED) == 404


def test_a_model_that_is_picked_in_the_engineer_is_downloaded(app: RunningApp, hub: FakeHub, page: Page) -> None:
    hub.open.clear()
    Workbench(page, app.url).open("say_it")
    page.get_by_label("Model", exact=True).select_option(PICKED)
    note = page.locator("#model-note")
    expect(note).to_contain_text(re.compile(r"Downloading .*[3-9]\d%"), timeout=LONG)
    note.get_by_role("button", name="Cancel").click()
    expect(note).to_contain_text("This model is partly downloaded", timeout=LONG)
    hub.open.set()
    hub.ranges.clear()
    note.get_by_role("button", name="Resume download").click()
    expect(note).to_have_count(0, timeout=LONG)
    assert [first > 0 for _, first in hub.ranges] == [True]
    bench = Workbench(page, app.url)
    bench.run()
    bench.expect_status("Succeeded")


def test_what_goes_wrong_is_told_on_the_row_and_in_the_log(app: RunningApp, hub: FakeHub, page: Page) -> None:
    Workbench(page, app.url).open().tab("Nodes")
    enter(page, GATED)
    expect(row(page, GATED)).to_contain_text("is gated (HTTP 401). Accept its license", timeout=LONG)
    row(page, GATED).get_by_role("button", name="Dismiss").click()
    expect(row(page, GATED)).to_have_count(0, timeout=LONG)
    assert "is gated (HTTP 401)" in app.log.read_text()

    hub.open.clear()
    enter(page, ADDED)
    bar = row(page, ADDED).get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[3-9]\d$"), timeout=LONG)
    hub.stop()
    expect(row(page, ADDED)).to_contain_text("Try again", timeout=LONG)
    expect(row(page, ADDED).locator(".wrong")).to_contain_text(re.compile("can't be reached|broke off"))
    assert ask(app, "herding/cria") == 200
    app.kill()  # what is partly downloaded is known after a restart too
    hub.start()
    hub.open.set()
    app.start()
    wait_until(lambda: state_of(app, ADDED).get("downloaded"), seconds=60, what="the partly downloaded model")
    page.reload()
    row(page, ADDED).get_by_role("button", name="Resume").click()
    expect(row(page, ADDED)).to_contain_text("Idle", timeout=LONG)
