"""Writing prompts in a real browser: drafts outlive everything, two people do not write over each other."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.doors import ADMIN_TOKEN, Admin, bearer
from tests.e2e.running_app import RunningApp, wait_until
from tests.e2e.workbench import LONG, Workbench

pytestmark = pytest.mark.browser

MAY_BE_LOST = 5.0
"""Seconds of typing; the promise is one, and machines under test are slow."""

SAY = """
# for the tests
name: Say
target_models: [say-echo]
variables:
  text: {type: text, default: one two}
messages:
  - {role: user, content: "{{text}}"}
"""
NODES = "nodes:\n  - {kind: echo, name: echo, models: [say-echo]}\n"
SENTENCE = "Every key that was pressed more than a second ago is still here, whatever happens to machines. "


@pytest.fixture(scope="module")
def writing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app of a team, with a node that answers at once."""
    home = tmp_path_factory.mktemp("home")
    (home / "prompts").mkdir()
    (home / "nodes.yaml").write_text(NODES)
    paths = {"HERDING_PROMPTS": str(home / "prompts"), "HERDING_NODES": str(home / "nodes.yaml")}
    app = RunningApp(home, environment={**paths, "HERDING_ADMIN_TOKEN": ADMIN_TOKEN}).start()
    yield app
    app.stop()


@pytest.fixture
def say(writing: RunningApp, request: pytest.FixtureRequest) -> str:
    """The key of a prompt that no other test changes."""
    key = request.function.__name__.removeprefix("test_")[:40]
    with httpx.Client(base_url=writing.url, headers=bearer(ADMIN_TOKEN), trust_env=False, timeout=60) as http:
        (writing.home / "prompts" / f"{key}.yaml").write_text(SAY.lstrip())
        wait_until(lambda: http.get(f"/api/v1/prompts/{key}").is_success, seconds=60, what=f"the prompt {key}")
    return key


def visit(browser: Browser, url: str, token: str = ADMIN_TOKEN) -> Page:
    """A page of somebody who logged in, in a context of its own."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(LONG)
    assert context.request.post(f"{url}/login", form={"token": token}).ok
    return context.new_page()


FIRST = "[id='messages.0.content']"


def open_prompt(page: Page, url: str, prompt: str) -> None:
    Workbench(page, url).open(prompt)
    expect(page.locator(FIRST)).to_be_visible()


def put(page: Page, text: str, prompt: str) -> None:
    """Write the first message anew, and wait until it is kept."""
    page.locator(FIRST).fill(text)
    until(page, lambda: text in kept(page, prompt, "template", "whole"))
    expect(page.locator("#draft-state")).to_contain_text("Draft saved")


def until(page: Page, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG / 1000
    while not holds():
        assert time.monotonic() < end
        page.wait_for_timeout(100)


def kept(page: Page, prompt: str, *fields: str) -> str:
    """What the app keeps in the fields of the draft, or nothing."""
    site = "/".join(page.url.split("/")[:3])
    answer = page.request.get(f"{site}/api/v1/prompts/{prompt}/draft")
    return "".join(str(answer.json()[field] or "") for field in fields) if answer.ok else ""


def text(page: Page) -> str:
    return page.locator(FIRST).input_value()


def end(mark: str) -> None:
    """Kill the browser that was started with this argument, as a crash would."""
    found = [path for path in Path("/proc").glob("[0-9]*/cmdline") if mark in _words(path)]
    assert found
    for path in found:
        with contextlib.suppress(ProcessLookupError):  # the first to go may have taken it along
            os.kill(int(path.parent.name), signal.SIGKILL)


def _words(path: Path) -> str:
    try:
        return path.read_text().replace("\0", " ")
    except OSError:
        return ""


def test_a_draft_outlives_the_browser_and_the_app(
    writing: RunningApp, say: str, launch: Callable[..., Browser]
) -> None:
    mark = f"--of-this-test={uuid4().hex}"
    page = visit(launch(mark), writing.url)
    open_prompt(page, writing.url, say)
    page.locator(FIRST).fill("{{text}} ")
    pressed: list[float] = []
    for key in SENTENCE:
        page.keyboard.type(key)
        pressed.append(time.monotonic())
        time.sleep(0.1)
    killed = time.monotonic()
    writing.kill()
    end(mark)
    writing.start()
    after = visit(launch(), writing.url)
    open_prompt(after, writing.url, say)
    expect(after.locator("#draft-state")).to_contain_text("Draft saved")
    back = text(after).partition("}} ")[2]
    sure = SENTENCE[: sum(at <= killed - MAY_BE_LOST for at in pressed)]
    assert len(sure) > 20
    assert SENTENCE.startswith(back.rstrip())
    assert len(back) >= len(sure.rstrip()), f"typed: {SENTENCE!r}, back: {back!r}"


def test_what_is_typed_when_the_session_ends_waits_for_the_next_login(
    writing: RunningApp, chromium: Browser, say: str
) -> None:
    page = visit(chromium, writing.url)
    open_prompt(page, writing.url, say)
    (cookie,) = page.context.cookies()
    header = {"cookie": f"{cookie['name']}={cookie['value']}"}
    httpx.post(f"{writing.url}/logout", headers=header, trust_env=False, timeout=60)
    page.locator(FIRST).fill("Typed after the end")
    expect(page.locator("#ended")).to_contain_text("Your session has ended")
    assert page.context.request.post(f"{writing.url}/login", form={"token": ADMIN_TOKEN}).ok
    expect(page.locator("#ended")).to_have_count(0)
    expect(page.locator("#draft-state")).to_contain_text("Draft saved")
    page.reload()
    expect(page.locator(FIRST)).to_have_value("Typed after the end")
    page.context.close()


def test_what_is_typed_while_the_app_is_away_is_kept_when_it_is_back(
    writing: RunningApp, say: str, chromium: Browser
) -> None:
    page = visit(chromium, writing.url)
    open_prompt(page, writing.url, say)
    put(page, "{{text}} one", say)
    writing.kill()
    page.locator(FIRST).press("End")
    page.keyboard.type(" two")
    expect(page.locator("#away")).to_contain_text("Connection lost")
    page.keyboard.type(" three")
    writing.start()
    until(page, lambda: "{{text}} one two three" in kept(page, say, "template"))
    expect(page.locator("#away")).to_have_count(0)
    open_prompt(page, writing.url, say)
    assert text(page) == "{{text}} one two three"


def test_an_edit_that_meets_the_end_of_the_app_is_sent_again(writing: RunningApp, say: str, chromium: Browser) -> None:
    page = visit(chromium, writing.url)
    open_prompt(page, writing.url, say)
    ends = {"error": {"type": "shutting_down", "message": "The server is shutting down."}}
    page.route("**/ui/engineer/edit", lambda route: route.fulfill(status=503, json=ends), times=1)
    page.locator(FIRST).fill("{{text}} last")
    until(page, lambda: "{{text}} last" in kept(page, say, "template"))
    expect(page.locator("#draft-state")).to_contain_text("Draft saved")


def test_an_edit_is_undone_done_again_and_discarded(writing: RunningApp, say: str, chromium: Browser) -> None:
    page = visit(chromium, writing.url)
    open_prompt(page, writing.url, say)
    own, two = text(page), "two, and much more than forty characters so that it is a step"
    put(page, "one", say)
    put(page, two, say)
    page.locator("#draft-undo").click()
    expect(page.locator(FIRST)).not_to_have_value(two)
    page.locator("#draft-redo").click()
    expect(page.locator(FIRST)).to_have_value(two)
    page.reload()
    open_prompt(page, writing.url, say)
    expect(page.locator(FIRST)).to_have_value(two)
    expect(page.locator("#draft-discard")).to_be_hidden()
    page.locator("#draft-more summary").click()
    page.locator("#draft-discard").click()
    page.locator("dialog.question").get_by_role("button", name="Discard draft").click()
    expect(page.locator(FIRST)).to_have_value(own)
    page.reload()
    open_prompt(page, writing.url, say)
    assert text(page) == own


def test_two_people_edit_and_the_second_save_is_a_conflict(writing: RunningApp, say: str, chromium: Browser) -> None:
    token = Admin(writing.url).user("ada", name="Ada")
    mine, hers = visit(chromium, writing.url), visit(chromium, writing.url, token)
    for page in (mine, hers):
        open_prompt(page, writing.url, say)
    put(hers, "hers {{text}}", say)
    put(mine, "mine {{text}}", say)
    expect(mine.locator("#engineer-others")).to_contain_text("ada is editing this prompt")
    hers.locator("#save-message").fill("another text")
    hers.locator("#save-version").click()
    expect(hers.locator("#save-note")).to_contain_text("Saved v2")
    mine.locator("#save-version").click()
    clash = mine.locator("#save-conflict")
    expect(clash).to_contain_text("ada saved v2")
    expect(clash).to_contain_text("another text")
    clash.get_by_text("Show differences").click()
    expect(clash).to_contain_text("hers {{text}}")
    assert text(mine) == "mine {{text}}"
    mine.locator("#save-mine").click()
    expect(mine.locator("#save-note")).to_contain_text("Saved v3")
    file = Path(writing.home / "prompts" / f"{say}.yaml").read_text()
    assert "# for the tests" in file
    assert "mine {{text}}" in file


CONFLICT = "#draft-conflict"


def leave(page: Page, prompt: str, *, stay: bool) -> str:
    """Open another prompt, answer the question that the page asks, and return it."""
    with page.expect_event("dialog") as asked:
        page.once("dialog", lambda dialog: dialog.dismiss() if stay else dialog.accept())
        detail = {"tab": "engineer", "fields": {"prompt": prompt}}
        page.evaluate(
            "(detail) => void setTimeout(() => document.dispatchEvent(new CustomEvent('open-tab', { detail })))", detail
        )
    return asked.value.message


def test_two_tabs_do_not_overwrite_each_other(writing: RunningApp, say: str, chromium: Browser) -> None:
    (writing.home / "prompts" / "another.yaml").write_text(SAY.replace("Say", "Another"))
    one = visit(chromium, writing.url)
    two = one.context.new_page()
    for page in (one, two):
        open_prompt(page, writing.url, say)
    put(two, "two {{text}}", say)
    one.locator(FIRST).fill("one {{text}}")
    expect(one.locator(CONFLICT)).to_contain_text("This draft was changed in another tab")
    one.locator(FIRST).press_sequentially(" more")
    expect(one.locator("#engineer-form[data-unsaved]")).to_have_count(0)
    assert text(one).endswith(" more")
    assert "two {{text}}" in kept(one, say, "template")
    asked = leave(one, "another", stay=True)
    assert "not saved" in asked
    expect(one).to_have_url(re.compile(f"prompt={say}"))
    assert text(one).endswith(" more")
    one.locator("#draft-load").click()
    expect(one.locator(FIRST)).to_have_value("two {{text}}")
    expect(one.locator(CONFLICT)).to_have_count(0)
    put(one, "one again {{text}}", say)
    two.locator(FIRST).fill("two again {{text}}")
    leave(two, "another", stay=False)
    expect(two.locator("#prompt-picker")).to_contain_text("Another")
    open_prompt(two, writing.url, say)
    put(one, "one again {{text}} and again", say)
    two.locator(FIRST).fill("two again {{text}}")
    expect(two.locator(CONFLICT)).to_be_visible()
    two.locator("#draft-keep").click()
    expect(two.locator(CONFLICT)).to_have_count(0)
    assert "two again {{text}}" in kept(two, say, "template")
    two.locator("#draft-undo").click()
    expect(two.locator(FIRST)).to_have_value("one again {{text}} and again")
    one.context.close()


def test_one_tab_never_conflicts_with_itself(writing: RunningApp, say: str, chromium: Browser) -> None:
    page = visit(chromium, writing.url)
    open_prompt(page, writing.url, say)
    page.on("response", lambda found: answers.append(found.text()) if found.url.endswith("/edit") else None)
    answers: list[str] = []
    for number in range(3):  # left while the last letters are on their way
        page.locator(FIRST).press_sequentially(f"{number} fast and faster ", delay=5)
        page.reload()
        expect(page.locator("#run")).to_be_enabled(timeout=LONG)
        put(page, f"after reload {number} {{{{text}}}}", say)
        page.goto("about:blank")
        page.go_back()
        expect(page.locator(FIRST)).to_be_visible(timeout=LONG)
        put(page, f"and back {number} {{{{text}}}}", say)
    page.locator("#run").click()
    put(page, "while it runs {{text}}", say)
    writing.kill()
    page.locator(FIRST).press_sequentially(" and killed")
    writing.start()
    until(page, lambda: "and killed" in kept(page, say, "template"))
    page.locator("#save-version").click()
    expect(page.locator("#save-note")).to_contain_text("Saved v2")
    put(page, "after the save {{text}}", say)
    assert not [answer for answer in answers if "draft-conflict" in answer]
    page.context.close()


def test_a_new_prompt_as_yaml(writing: RunningApp, say: str, chromium: Browser) -> None:
    page = visit(chromium, writing.url)
    bench = Workbench(page, writing.url).open(say)
    page.locator("#new-prompt").click()
    expect(page.get_by_label("Prompt ID")).to_be_focused()
    page.keyboard.type("mail/short")
    page.keyboard.press("Enter")
    expect(page.locator("#prompt-about")).to_contain_text("Not saved")
    page.get_by_role("button", name="Edit full YAML").click()
    good = 'name: Short\ntarget_models: [say-echo]\nvariables: {n: {type: integer, max: 9}}\nprompt: "n is {{n}}"\n'
    editor, fault = page.locator("#engineer-yaml"), page.locator("[data-error=yaml]")
    editor.fill(good + "colour: 1\n")
    expect(fault).to_contain_text("Line 5: colour")
    expect(page.locator(".yaml-lines .at-error")).to_have_text("5")
    expect(page.locator(".yaml-colours .yaml-key").first).to_have_text("name")
    editor.fill("a: 1")
    editor.press("Home")
    editor.press("Tab")
    expect(editor).to_have_value("  a: 1")
    editor.press("Shift+Tab")
    editor.press("End")
    page.keyboard.type("\nb:\nc: 2")  # the line after a colon begins further in
    expect(editor).to_have_value("a: 1\nb:\n  c: 2")
    assert (page.locator(".yaml-colours").text_content() or "").rstrip() == "a: 1\nb:\n  c: 2"
    editor.press("Control+z")
    expect(editor).not_to_have_value("a: 1\nb:\n  c: 2")
    editor.press("Escape")
    page.keyboard.press("Tab")
    expect(editor).not_to_be_focused()
    editor.fill(good)
    expect(fault).to_be_hidden()
    expect(page.locator(".yaml-lines .at-error")).to_have_count(0)
    bench.fill("n", "ten")
    expect(page.locator("#variables")).to_contain_text("Must be a number")
    bench.fill("n", "7")
    expect(page.locator("#variables")).not_to_contain_text("Must be a number")
    until(page, lambda: kept(page, "mail/short", "variables") == "{'n': '7'}")
    page.reload()
    expect(page.locator("[name=prompt_text]")).to_have_value("n is {{n}}")
    bench.run()
    bench.expect_status("Succeeded")
    assert bench.answer.strip() == "n is 7"
    page.locator("#save-version").click()
    expect(page.locator("#save-note")).to_contain_text("Saved v1")
    assert (writing.home / "prompts" / "mail" / "short.yaml").exists()


def test_what_is_typed_is_not_disturbed_by_being_kept(writing: RunningApp, say: str, chromium: Browser) -> None:
    page = visit(chromium, writing.url)
    open_prompt(page, writing.url, say)
    for field in (page.locator("#var-text"), page.locator(FIRST)):
        field.fill("")
        field.press_sequentially(SENTENCE, delay=25)
        expect(page.locator("#engineer-form[data-unsaved]")).to_have_count(0, timeout=LONG)
        expect(page.locator("#draft-state")).to_contain_text("Draft saved", timeout=LONG)
        assert field.input_value() == SENTENCE
