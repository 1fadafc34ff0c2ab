"""How quick the page is, in a real browser (Chromium, found as the browser tests find it).

stream    a response that the server sends in 7.8 s: when the page shows its end, on a page that was just opened and on
          one where all tabs were visited; how much later than the server recorded it, from the click on; the share of
          that time in which the main thread is busy, and its long tasks
ready     from the navigation to a Run button that can be pressed, with an empty browser cache
stop      from pressing Stop to "Stopped" on the page
typing    from a key in a message to the next frame, while a response streams; and the requests that typing sends

The apps run on this machine, one for each checkout, each with a data directory of its own; rounds go from one to the
other. `--checkout` measures another checkout beside this one: of a version whose page was Gradio's alone, stream and
ready only.

    python benchmarks/page.py [--rounds 5] [--checkout PATH]...
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import browser
from tests.e2e.running_app import ROOT, RunningApp

WORDS, PAUSE = 130, 0.06
TEXT = " ".join(f"word{number}" for number in range(WORDS))
PROMPT = f"""
name: Say slowly
target_models: [slow]
variables:
  text: {{type: text, default: "{TEXT}"}}
messages:
  - {{role: user, content: "{{{{text}}}}"}}
"""
NODES = f"nodes:\n  - {{kind: echo, name: slow, models: [slow], delay: {PAUSE}}}\n"
TYPED = "The quick brown fox jumps over the lazy dog. "
KEY_PAUSE_MS = 60

STATUS = "#run-status, #response-status"
NEW = "button#run"
RUN = "button#run, #run button"

WATCH = """() => {
  const seen = (element) => element && element.offsetParent !== null && !element.disabled;
  const wait = () => {
    if (seen(document.querySelector("button#run, #run button"))) window.readyAt = performance.now();
    else requestAnimationFrame(wait);
  };
  wait();
  window.tasks = [];
  new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((one) => [one.startTime, one.duration])))
    .observe({ entryTypes: ["longtask"] });
}"""
"""Installed before the page's own scripts."""

CLICK_UNTIL = """([button, status, text]) => new Promise((resolve) => {
  const shown = () => [...document.querySelectorAll(status)].some((one) => one.textContent.includes(text));
  const began = performance.now();
  let fresh = !shown(); // a page may show the status of an earlier request for a while
  const look = () => {
    if (fresh && shown()) return resolve(performance.now() - began);
    fresh ||= !shown();
    requestAnimationFrame(look);
  };
  document.querySelector(button).click();
  setTimeout(look);
})"""
"""Click, and resolve to the milliseconds until a status is shown."""

TIME_KEYS = """(id) => {
  window.keys = [];
  document.getElementById(id).addEventListener("keydown", (event) => {
    const began = event.timeStamp;
    requestAnimationFrame(() => setTimeout(() => window.keys.push(performance.now() - began)));
  });
}"""

Times = dict[str, list[float]]


def main() -> int:
    options = parse_options()
    path = browser.find()
    if path is None:
        print("NO BROWSER: install Chromium, or name one in HERDING_TEST_BROWSER")
        return 1
    checkouts = [ROOT, *(Path(given).resolve() for given in options.checkout)]
    found: dict[Path, Times] = {checkout: defaultdict(list) for checkout in checkouts}
    with contextlib.ExitStack() as stack:
        apps = {checkout: stack.enter_context(serving(checkout)) for checkout in checkouts}
        playwright = stack.enter_context(sync_playwright())
        opened = playwright.chromium.launch(executable_path=path, args=list(browser.ARGUMENTS))
        stack.callback(opened.close)
        for app in apps.values():  # a warm server
            with visiting(opened) as page:
                open_page(page, app)
        for number in range(options.rounds):
            turn = list(apps.items())
            for checkout, app in turn if number % 2 else reversed(turn):
                measure(opened, app, found[checkout])
                print(f"round {number + 1} of {options.rounds}: {checkout}", file=sys.stderr)
    for checkout in checkouts:
        report(checkout, found[checkout], options.rounds)
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--checkout", action="append", default=[], help="another checkout to measure beside this one")
    return parser.parse_args()


@contextlib.contextmanager
def serving(checkout: Path) -> Iterator[RunningApp]:
    """An app of a checkout, with one slow model."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "prompts").mkdir()
        (home / "prompts" / "say_slowly.yaml").write_text(PROMPT)
        (home / "nodes.yaml").write_text(NODES)
        given = {"HERDING_PROMPTS": str(home / "prompts"), "HERDING_NODES": str(home / "nodes.yaml")}
        app = RunningApp(home, environment=given, code=checkout).start()
        try:
            yield app
        finally:
            app.stop()


@contextlib.contextmanager
def visiting(opened: Browser) -> Iterator[Page]:
    """A page in a browser that has seen nothing yet."""
    context: BrowserContext = opened.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)
    context.add_init_script(f"({WATCH})()")
    yield context.new_page()
    context.close()


def open_page(page: Page, app: RunningApp) -> float:
    """Open the page; return the seconds from the navigation until Run can be pressed."""
    page.goto(f"{app.url}/?tab=engineer&prompt=say_slowly", wait_until="commit")
    page.wait_for_function("window.readyAt !== undefined")
    ready: float = page.evaluate("window.readyAt") / 1000
    page.wait_for_timeout(1_000)  # everything that comes after
    return ready


def measure(opened: Browser, app: RunningApp, found: Times) -> None:
    """One round of all measurements with one app."""
    with visiting(opened) as page:
        found["ready"].append(open_page(page, app))
        stream(page, found, "fresh")
        visit_all_tabs(page)
        stream(page, found, "all tabs")
    with visiting(opened) as page:
        open_page(page, app)
        if page.locator(NEW).count() and page.locator("[id='messages.0.content']").count():
            stop(page, found)
            typing(page, found)


def stream(page: Page, found: Times, name: str) -> None:
    """Run the prompt; the end of the response on the page, and what the main thread did until then."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    before, at = task_seconds(session), page.evaluate("performance.now()")
    run = NEW if page.locator(NEW).count() else "#run button"
    ended = page.evaluate(CLICK_UNTIL, [run, STATUS, "Succeeded"]) / 1000
    busy = task_seconds(session) - before
    long = page.evaluate("(at) => window.tasks.filter(([from]) => from >= at).map(([, ms]) => ms)", at)
    found[f"stream, {name}: end"].append(ended)
    recorded = page.request.get(f"{page.url.partition('?')[0]}api/v1/history.jsonl").text().splitlines()
    if recorded:  # the newest request first
        found[f"stream, {name}: after the server"].append(ended - json.loads(recorded[0])["total_ms"] / 1000)
    found[f"stream, {name}: busy"].append(100 * busy / ended)
    found[f"stream, {name}: long tasks"].append(sum(long) / 1000)
    session.detach()


def task_seconds(session) -> float:
    """Seconds that the main thread has worked so far."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


def visit_all_tabs(page: Page) -> None:
    """Open every tab, then the first again."""
    tabs = page.locator("#tabs [role=tablist] [role=tab]")
    names = tabs.all_inner_texts()
    for name in [*names[1:], names[0]]:
        page.get_by_role("tab", name=name, exact=True).first.click()
        page.wait_for_timeout(1_200)
    page.wait_for_function(f"document.querySelector('{RUN}')?.offsetParent !== null")


def stop(page: Page, found: Times) -> None:
    """Stop a running response, from the key to the word on the page."""
    page.locator(NEW).click()
    page.locator("#response").get_by_text("word5").first.wait_for()
    found["stop"].append(page.evaluate(CLICK_UNTIL, ["#stop", STATUS, "Stopped"]) / 1000)
    page.wait_for_function("!document.getElementById('run').disabled")


def typing(page: Page, found: Times) -> None:
    """Type into a message while a response streams."""
    field = page.locator("[id='messages.0.content']")
    page.locator(NEW).click()
    page.locator("#response").get_by_text("word5").first.wait_for()
    page.evaluate(TIME_KEYS, "messages.0.content")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    field.focus()
    page.keyboard.press("Control+End")
    began = time.perf_counter()
    page.keyboard.type(TYPED, delay=KEY_PAUSE_MS)
    seconds = time.perf_counter() - began
    page.wait_for_timeout(500)
    keys = page.evaluate("window.keys")
    found["typing: median key"].append(statistics.median(keys))
    found["typing: slowest key"].append(max(keys))
    found[f"typing: requests ({len(TYPED)} keys in {seconds:.0f} s, one pause)"].append(len(sent))
    assert field.input_value().endswith(TYPED), "a key was lost"


UNITS = {"busy": ("%", 0), "requests": ("", 0), "key": ("ms", 0), "stop": ("s", 3)}


def report(checkout: Path, found: Times, rounds: int) -> None:
    print(f"\n{checkout}: medians of {rounds} rounds (the server streams {WORDS * PAUSE:.1f} s)")
    for name, values in found.items():
        unit, digits = next((how for part, how in UNITS.items() if part in name), ("s", 2))
        low, middle, high = (f(values) for f in (min, statistics.median, max))
        print(f"  {name:58} {middle:8.{digits}f} {unit:2}  ({low:.{digits}f}-{high:.{digits}f})")
    ends = [found.get(f"stream, {name}: end") for name in ("fresh", "all tabs")]
    if all(ends):
        times = statistics.median(after / before for before, after in zip(*ends, strict=True))
        print(f"  {'end of a stream after all tabs, of that on a fresh page':58} x {times:.3f}")


if __name__ == "__main__":
    sys.exit(main())
