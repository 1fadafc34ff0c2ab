"""The engine as a process: how it starts, who may talk to it, how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
SECRET = "correct horse battery staple"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key != "HERDING_NODE_SECRET"}
    command = [sys.executable, "-m", "herding.engine", *arguments]
    options = {"capture_output": True, "text": True, "timeout": 20, "cwd": ROOT}
    return subprocess.run(command, env=clean | environment, check=False, **options)


@pytest.mark.parametrize(
    ("host", "blank"), [("0.0.0.0", {}), ("127.0.0.1", {}), ("::", {"HERDING_NODE_SECRET": " \n"})]
)
def test_it_does_not_start_without_a_secret(host, blank):
    done = run("--host", host, **blank)
    assert done.returncode == 2
    assert "HERDING_NODE_SECRET" in done.stderr
    assert done.stdout == ""


def test_a_wrong_command_line_is_refused():
    assert run("--offer", "a/b/c", HERDING_NODE_SECRET="s").returncode == 2
    assert "owner/name" in run("--offer", "a b=/tmp", HERDING_NODE_SECRET="s").stderr


@pytest.mark.parametrize("path", ["/status", "/models", "/docs", "/openapi.json", "/", "/nowhere"])
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", f"Basic {SECRET}", f"Bearer {SECRET}x", "Bearer ü"])
def test_nothing_answers_without_the_secret(engine, path, header):
    headers = {} if header is None else {"Authorization": header.encode()}
    response = httpx.get(engine.url + path, headers=headers, timeout=60)
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "unauthorized"


def test_a_wrong_secret_loads_and_generates_nothing(engine):
    stranger = engine.new_client("wrong")
    assert stranger.post("/generate", json={"text": "x"}).status_code == 401
    assert stranger.post("/load", json={"model": "test/other"}).status_code == 401


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/"])
def test_there_are_no_interactive_docs(engine, path):
    assert engine.client.get(path).status_code == 404


def test_the_port_is_announced_at_once_and_status_answers_while_the_model_loads(start, tiny):
    child = start("--model", "test/tiny", "--offer", f"test/tiny={tiny}", own_interpreter=True)
    first = child.status()
    assert (first["state"], first["loading"]) == ("loading", "test/tiny")
    refused = child.client.post("/generate", json={"text": "x"})
    assert (refused.status_code, refused.json()["error"]["type"]) == (503, "loading")
    assert int(refused.headers["Retry-After"]) >= 1
    assert child.wait_until_ready()["state"] == "ready"
    child.process.send_signal(signal.SIGTERM)
    child.process.wait(60)
    assert child.output.read() == ""  # the announcement was the only line


def test_sigterm_ends_it_in_the_middle_of_an_answer(start, talker):
    child = start("--model", "test/talker", "--offer", f"test/talker={talker}", own_interpreter=True)
    child.wait_until_ready()
    endless = {"text": "Once", "parameters": {"temperature": 0, "max_tokens": 32_000}}  # many times the grace
    with child.client.stream("POST", "/generate", json=endless) as response:
        lines = response.iter_lines()
        next(lines)
        child.process.send_signal(signal.SIGTERM)
        rest = ""
        with contextlib.suppress(httpx.TransportError):
            for line in lines:
                rest += line
        assert '"text"' in rest
        assert '"done"' not in rest
        child.process.wait(60)


def test_it_ends_with_its_parent(start):
    child = start("--model", "", "--exit-with-parent", stdin=subprocess.PIPE)
    assert child.status()["state"] == "idle"
    assert child.client.post("/generate", json={"text": "x"}).json()["error"]["type"] == "no_model"
    child.process.stdin.close()
    assert child.process.wait(60) == 0
    child.process.stdin = None


def test_an_orphan_ends_too():
    launcher = (
        "import os, subprocess, sys, time;"
        "c = subprocess.Popen([sys.executable, '-m', 'herding.engine', '--model', '', '--exit-with-parent'],"
        " stdin=subprocess.PIPE); time.sleep(60)"
    )
    environment = os.environ | {"HERDING_NODE_SECRET": SECRET}
    parent = subprocess.Popen([sys.executable, "-c", launcher], stdout=subprocess.PIPE, env=environment, cwd=ROOT)
    parent.stdout.readline()
    parent.kill()
    parent.wait()
    assert parent.stdout.read() == b""  # the orphan held the other end of this pipe until it ended
