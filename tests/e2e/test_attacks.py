"""Clients that misbehave at the real app: nobody else has to wait for them, or is locked out."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.doors import ADMIN_TOKEN, Admin, bearer, open_app
from tests.e2e.running_app import RunningApp

HALF = b"GET / HTTP/1.1\r\nHost: x\r\n"
ELSEWHERE = "127.0.0.9"
LONGEST_SECONDS = 5.0
"""A stalled event loop would keep the health check waiting longer than a busy test machine does."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    running = open_app(tmp_path_factory.mktemp("attacked")).start()
    yield running
    running.stop()


@contextmanager
def healthy(app: RunningApp) -> Iterator[None]:
    """While the block runs, the app answers somebody else, and soon."""
    ended, waits = threading.Event(), []

    def ask() -> None:
        transport = httpx.HTTPTransport(local_address=ELSEWHERE)
        with httpx.Client(base_url=app.url, transport=transport, timeout=60) as http:
            while not ended.is_set() or not waits:
                began = time.monotonic()
                assert http.get("/healthz").status_code == 200
                waits.append(time.monotonic() - began)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield
        finally:
            ended.set()
        asking.result(60)
    assert max(waits) < LONGEST_SECONDS


def connect(app: RunningApp, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", app.port), 30)
    connection.sendall(data)
    return connection


def test_a_head_of_40_megabytes(app: RunningApp) -> None:
    with healthy(app), connect(app, HALF + b"X: " + b"y" * 40_000_000) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 431 ")


def test_1100_half_heads(app: RunningApp) -> None:
    with healthy(app), ExitStack() as opened:
        for _ in range(1100):
            opened.enter_context(connect(app, HALF))
        answer = app.client().get("/healthz")
        assert answer.status_code == 200  # also for their own address


def test_bodies_that_come_byte_by_byte(app: RunningApp) -> None:
    head = b"POST /api/v1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"
    with healthy(app), ExitStack() as opened:
        slow = [opened.enter_context(connect(app, head)) for _ in range(200)]
        for _ in range(3):
            for connection in slow:
                connection.sendall(b"x")
        assert Admin(app.url).http.get("/api/v1/me").status_code == 200


@pytest.mark.parametrize("who", ["guest", "user"])
@pytest.mark.parametrize("field", ["turns", "variables"])
def test_four_callers_with_large_bodies(app: RunningApp, who: str, field: str) -> None:
    turns = [{"role": "user", "content": "x"}] * 195_000
    body = {"prompt": "greet", field: turns if field == "turns" else {f"v{n}": "x" for n in range(400_000)}}
    content = json.dumps(body).encode()
    headers = {"content-type": "application/json"} | (bearer(ADMIN_TOKEN) if who == "user" else {})

    def send() -> set[int]:
        with httpx.Client(base_url=app.url, headers=headers, trust_env=False, timeout=120) as http:
            return {http.post("/api/v1/infer", content=content).status_code for _ in range(3)}

    with healthy(app), ThreadPoolExecutor(4) as pool:
        statuses = set().union(*(sent.result(300) for sent in [pool.submit(send) for _ in range(4)]))
    assert statuses <= ({413, 429} if who == "guest" else {413})
    assert Admin(app.url).http.post("/api/v1/infer", json={"prompt": "greet"}).status_code == 200


def test_what_was_closed_is_in_the_log(app: RunningApp) -> None:
    log = Path(app.log).read_text()
    assert "close connection (431 Request Header Fields Too Large, address 127.0.0.1" in log
    assert "close connection (too many connections of one address, address 127.0.0.1" in log
    assert "Traceback" not in log
