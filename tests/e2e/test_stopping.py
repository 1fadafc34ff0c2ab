"""SIGTERM, SIGINT and SIGHUP: every caller gets a definite end, and every row says how it ended."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from herding.store import sqlite
from tests.e2e.doors import ADMIN_TOKEN, Admin, bearer, open_app
from tests.e2e.running_app import RunningApp, wait_until
from tests.e2e.workbench import Workbench

TEXT = " ".join(["word"] * 2000)
SLOW = """
name: Slow
target_models: [slow]
variables:
  text: {type: text, default: x}
prompt: "{{text}}"
"""
STREAMS, PLAIN = 20, 10


@pytest.fixture
def app(tmp_path: Path) -> Iterator[RunningApp]:
    running = open_app(tmp_path, HERDING_GRACE_SECONDS="1")
    (tmp_path / "prompts" / "slow.yaml").write_text(SLOW)
    (tmp_path / "nodes.yaml").write_text(
        "nodes:\n  - {kind: echo, name: slow, models: [slow], delay: 0.3, concurrency: 25}\n"
    )
    yield running.start()
    running.stop()


class Callers:
    """Requests in threads, and what each of them got."""

    def __init__(self, app: RunningApp) -> None:
        self._app = app
        self.began = threading.Semaphore(0)
        self.pool = ThreadPoolExecutor(STREAMS + PLAIN + 5)

    def client(self) -> httpx.Client:
        made = self._app.client()
        made.headers.update(bearer(ADMIN_TOKEN))
        return made

    def native(self) -> str:
        body = {"prompt": "slow", "variables": {"text": TEXT}, "stream": True}
        return self._stream("/api/v1/infer", body)

    def chat(self) -> str:
        body = {"model": "slow", "messages": [{"role": "user", "content": TEXT}], "stream": True}
        return self._stream("/v1/chat/completions", body)

    def _stream(self, path: str, body: dict[str, Any]) -> str:
        with self.client() as http, http.stream("POST", path, json=body) as response:
            assert response.status_code == 200
            lines = []
            for line in response.iter_lines():
                if not lines:
                    self.began.release()
                lines.append(line)
        return "\n".join(lines)

    def plain(self) -> httpx.Response:
        self.began.release()
        with self.client() as http:
            return http.post("/api/v1/infer", json={"prompt": "slow", "variables": {"text": TEXT}})

    def heartbeat(self) -> str:
        """What an open page listens to."""
        with self.client() as http, http.stream("GET", "/gradio_api/heartbeat/a-page") as response:
            self.began.release()
            return "".join(response.iter_text())


def statuses(app: RunningApp) -> Counter[str]:
    connection = sqlite.DRIVER.connect(f"file:{app.home / 'herding.sqlite'}?mode=ro", uri=True)
    try:
        return Counter(row[0] for row in connection.execute("SELECT status FROM request"))
    finally:
        connection.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
def test_every_caller_gets_a_definite_end(app: RunningApp, how: signal.Signals) -> None:
    callers = Callers(app)
    ways: list[Callable[[], Any]] = [callers.native, callers.chat] * (STREAMS // 2)
    streams = [callers.pool.submit(way) for way in ways]
    for _ in streams:  # they get places on the node; some of the others wait for one
        assert callers.began.acquire(timeout=60)
    plain = [callers.pool.submit(callers.plain) for _ in range(PLAIN)]
    pages = [callers.pool.submit(callers.heartbeat) for _ in range(3)]
    for _ in range(PLAIN + len(pages)):
        assert callers.began.acquire(timeout=60)
    wait_until(lambda: statuses(app)["running"] == STREAMS + PLAIN, seconds=60, what="the requests")
    began = time.monotonic()
    app.send_signal(how)
    assert app.wait(seconds=60) == 0
    assert time.monotonic() - began < 30
    for number, stream in enumerate(streams):
        event = stream.result(30).strip().split("\n\n")[-1]
        data = json.loads(event.partition("data: ")[2])["error"]
        assert "shutting down" in data["message"]
        if number % 2 == 0:
            assert event.startswith("event: error\n")
            assert data["type"] == "shutting_down"
    for answer in plain:
        response = answer.result(30)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert response.json()["error"]["type"] == "shutting_down"
    for page in pages:
        page.result(30)
    assert statuses(app) == {"interrupted": STREAMS + PLAIN}
    log = app.log.read_text()
    assert "Traceback" not in log, log[-3000:]
    assert "ERROR" not in log, log[-3000:]


def test_two_interrupts_at_the_keyboard_end_it_at_once_without_a_traceback(app: RunningApp) -> None:
    callers = Callers(app)
    plain = callers.pool.submit(callers.plain)
    wait_until(lambda: statuses(app)["running"] == 1, seconds=60, what="the request")
    app.send_signal(signal.SIGINT)
    wait_until(lambda: not accepts(app), seconds=60, what="the first signal")
    app.send_signal(signal.SIGINT)
    assert app.wait(seconds=60) == 0
    assert plain.result(30).status_code == 503
    assert statuses(app) == {"interrupted": 1}
    assert "Traceback" not in app.log.read_text()


def accepts(app: RunningApp) -> bool:
    """Return whether it accepts connections."""
    try:
        app.client().get("/healthz")
    except httpx.TransportError:
        return False
    return True


def test_a_request_that_is_nearly_done_is_completed(app: RunningApp) -> None:
    callers = Callers(app)
    with (
        callers.client() as http,
        http.stream(
            "POST", "/api/v1/infer", json={"prompt": "slow", "variables": {"text": "one two three"}, "stream": True}
        ) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        app.send_signal(signal.SIGTERM)
        assert "event: done" in list(lines)
        app.wait(seconds=60)
    assert statuses(app) == {"succeeded": 1}


@pytest.mark.browser
def test_a_run_in_the_page_ends_with_a_reason(app: RunningApp, page: Page) -> None:
    context = page.context
    context.set_extra_http_headers(bearer(ADMIN_TOKEN))
    bench = Workbench(page, app.url).open("slow")
    bench.fill("text", TEXT)
    bench.run()
    bench.expect_status("Streaming")
    wait_until(lambda: statuses(app)["running"] == 1, seconds=60, what="the run")
    app.send_signal(signal.SIGTERM)
    bench.expect_status("Interrupted")
    app.wait(seconds=60)
    assert statuses(app) == {"interrupted": 1}
    assert "Traceback" not in app.log.read_text()


def test_a_logout_ends_what_runs_in_other_tabs(app: RunningApp) -> None:
    """The app stays up: only the streams of this login end, with an error that says why."""
    token = Admin(app.url).user("ada")
    for number, everywhere in enumerate((False, True), start=1):
        log_out(app, token, everywhere)
        ended = {"cancelled": number}
        wait_until(lambda ended=ended: statuses(app) == ended, seconds=60, what="the row")


def log_out(app: RunningApp, token: str, everywhere: bool) -> None:
    """Log in, run, and log out here or everywhere, while another tab reads the stream."""
    with httpx.Client(base_url=app.url, trust_env=False, timeout=60) as browser:
        assert browser.post("/login", data={"token": token}).status_code == 303
        cookie = {"cookie": f"herding_session={browser.cookies['herding_session']}"}
        body = {"prompt": "slow", "variables": {"text": TEXT}, "stream": True}
        with (
            httpx.Client(base_url=app.url, headers=cookie, trust_env=False, timeout=60) as tab,
            tab.stream("POST", "/api/v1/infer", json=body) as run,
            tab.stream("GET", "/gradio_api/heartbeat/a-page") as page,
        ):
            lines = run.iter_lines()
            next(lines)
            if everywhere:
                assert browser.delete("/api/v1/me/sessions").json() == {"ended": 1}
            else:
                assert browser.post("/logout").status_code == 303
            said = "\n".join(lines)
            assert said.strip().split("\n\n")[-1].startswith("event: error")
            assert "not valid any more" in said or "session" in said
            "".join(page.iter_text())  # ends too
            assert tab.get("/api/v1/me").status_code == 401
