"""The code of the panel "API", copied from the page and run as it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.doors import ADMIN_TOKEN
from tests.e2e.running_app import ROOT, RunningApp
from tests.e2e.workbench import LONG, Workbench

pytestmark = pytest.mark.browser

PROMPTS = sorted(
    path.stem for path in (ROOT / "prompts").glob("*.yaml") if "\nretrieval:" not in path.read_text("utf-8")
)
"""The shipped prompts that need no collection of documents."""

KINDS = ("curl", "python", "javascript")
DIFFICULT = 'It\'s "quoted" `id` $HOME ${x} \\n {{name}} <b>é 😀</b></script>\nand a second line \\'


def calls_of(page: Page) -> dict[str, list[str]]:
    """The texts of all kinds of call, visible or not."""
    expect(page.locator("#code [data-call=curl] pre").first).not_to_be_empty(timeout=LONG)
    read = "all => all.map(one => [one.dataset.call, [...one.querySelectorAll('pre')].map(pre => pre.textContent)])"
    return dict(page.locator("#code [data-call]").evaluate_all(read))


def unfold(page: Page) -> None:
    page.locator("#code-section > summary").click()
    expect(page.locator("#code .segments")).to_be_visible(timeout=LONG)


def switch(page: Page, prompt: str) -> None:
    """Open a prompt as a link on the page does, and unfold its calls."""
    detail = {"tab": "engineer", "fields": {"prompt": prompt}}
    page.evaluate("(detail) => document.dispatchEvent(new CustomEvent('open-tab', { detail }))", detail)
    expect(page.locator("#engineer-form [name=key]")).to_have_value(prompt, timeout=LONG)
    unfold(page)


def command(kind: str, text: str, folder: Path) -> list[str]:
    """What a person does with a call that they copied."""
    if kind == "python":
        (folder / "call.py").write_text(text, encoding="utf-8")
        return [sys.executable, str(folder / "call.py")]
    if kind == "javascript":
        (folder / "call.mjs").write_text(text, encoding="utf-8")
        return ["node", str(folder / "call.mjs")]
    return ["bash", "-c", text]


def said(kind: str, text: str, folder: Path, **environment: str) -> str:
    """What a call prints."""
    given = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()} | environment
    done = subprocess.run(
        command(kind, text, folder), capture_output=True, text=True, timeout=120, check=False, env=given
    )
    assert done.returncode == 0, f"{text}\n{done.stderr}"
    if kind == "curl":
        answer = json.loads(done.stdout)
        assert "error" not in answer, answer
        return str(answer.get("text", answer.get("score")))
    return done.stdout.strip()


RUN_PYTHON = """
import runpy, sys
for file in sys.argv[1:]:
    runpy.run_path(file)
    print("\\0")
"""
RUN_JAVASCRIPT = """
(async () => {
  for (const file of process.argv.slice(1)) {
    await import(file);
    console.log("\\0");
  }
})();
"""
RUNNERS = {"python": ("py", sys.executable, "-c", RUN_PYTHON), "javascript": ("mjs", "node", "-e", RUN_JAVASCRIPT)}


def all_said(kind: str, texts: list[str], folder: Path) -> list[str]:
    """What calls print. One process runs them all, since an interpreter takes longer to start than a call."""
    if kind == "curl":
        return [said(kind, text, folder) for text in texts]
    ending, *words = RUNNERS[kind]
    files = [folder / f"call{number}.{ending}" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text, encoding="utf-8")
    given = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        [*words, *map(str, files)], capture_output=True, text=True, timeout=300, check=False, env=given
    )
    assert done.returncode == 0, done.stderr
    return [answer.strip() for answer in done.stdout.split("\0")[:-1]]


def runnable(kind: str) -> bool:
    needed = {"curl": "curl", "javascript": "node"}.get(kind)
    return needed is None or shutil.which(needed) is not None


def test_every_call_of_every_shipped_prompt_gets_an_answer(app: RunningApp, page: Page, tmp_path: Path) -> None:
    Workbench(page, app.url).open(PROMPTS[-1])
    shown: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for prompt in PROMPTS:
        switch(page, prompt)
        calls = calls_of(page)
        assert set(calls) == set(KINDS)
        for kind, (text,) in calls.items():
            assert prompt in text
            assert app.url in text
            assert "HERDING_TOKEN" not in text, "nobody needs a token on loopback"
            shown[kind].append(text)
    for kind in filter(runnable, KINDS):
        answers = dict(zip(PROMPTS, all_said(kind, shown[kind], tmp_path), strict=True))
        assert all(answers.values()), (kind, answers)


def test_calls_with_a_token_say_any_text_word_for_word(open_net: RunningApp, chromium: Browser, tmp_path: Path) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(LONG)
    assert context.request.post(f"{open_net.url}/login", form={"token": ADMIN_TOKEN}).ok
    page = context.new_page()
    bench = Workbench(page, open_net.url).open("echoing")
    unfold(page)
    bench.fill("text", DIFFICULT)
    bench.fill("size", "2.5")
    expect(page.locator("#code [data-call=curl] pre").first).to_contain_text("second line", timeout=LONG)
    expect(page.locator("#code [data-call=curl] pre").first).to_contain_text('"size": 2.5', timeout=LONG)
    bench.run()
    bench.expect_status("Succeeded")
    heard = bench.answer
    expect(page.locator("#code [data-call=curl] pre")).to_have_count(2, timeout=LONG)
    for kind, texts in calls_of(page).items():
        if not runnable(kind):
            continue
        assert len(texts) == 2
        ready = [text.replace('"$HERDING_TOKEN"; //', f'"{ADMIN_TOKEN}"; //') for text in texts]
        assert said(kind, ready[0], tmp_path, HERDING_TOKEN=ADMIN_TOKEN) == heard.strip(), kind
        assert said(kind, ready[1], tmp_path, HERDING_TOKEN=ADMIN_TOKEN) == "5", kind
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def test_one_kind_is_in_sight_and_the_choice_lasts(app: RunningApp, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    bench = Workbench(page, app.url).open("sentiment")
    unfold(page)
    assert page.locator("#code [data-call]:visible").count() == 1
    page.locator("#code input[value=curl]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#code [data-call=python]")).to_be_visible()
    expect(page.locator("#code [data-call=curl]")).to_be_hidden()
    page.locator("#code [data-call=python] button.copy").click()
    expect(page.locator("#code [data-call=python] button.copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == calls_of(page)["python"][0]
    bench.fill("text", "Quite another text")
    expect(page.locator("#code [data-call=python] pre").first).to_contain_text("Quite another text", timeout=LONG)
    expect(page.locator("#code [data-call=python]")).to_be_visible()
    bench.open("greeting")
    unfold(page)
    expect(page.locator("#code [data-call=python]")).to_be_visible()
