"""Faults of nodes as a caller of the running app meets them: alone, and beside a healthy node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running_app import RunningApp, wait_until
from tests.support.fakenode import WORDS, FakeNode, fakenode
from tests.support.nodes import PATIENT, patience

ROUND = 30
IN_A_ROW = 3
SAID = "".join(WORDS)
BEFORE = {
    "hang": (504, "node_timeout"),
    "slow-ttfb:3": (504, "node_timeout"),
    "drip:0.05": (504, "node_timeout"),
    "cut-after:0": (502, "node_bad_response"),
    "status:500": (502, "node_status"),
    "status:503": (503, "node_status"),
    "status:429;ra=600": (429, "node_busy"),
    "status:401": (502, "node_misconfigured"),
    "html": (502, "node_bad_response"),
    "empty": (502, "node_bad_response"),
    "error-in-200": (502, "node_bad_response"),
    "gzip": (502, "node_bad_response"),
}
AFTER = {
    "cut-after:3": "node_cut_stream",
    "hang-after:3": "node_timeout",
    "badjson": "node_bad_response",
    "error-in-stream": "node_bad_response",
}
ONE_CALL = ("status:429;ra=600", "status:401")
SAY = """
name: Say
target_models: [ok]
messages: [{role: user, content: Say something}]
"""


class Herd:
    """The app, and the servers behind its nodes: `ill` shows what the model's name says, `well` answers."""

    def __init__(self, app: RunningApp, ill: FakeNode, well: FakeNode) -> None:
        self.ill, self.well = ill, well
        self.http = httpx.Client(base_url=app.url, trust_env=False, timeout=300)

    def ask(self, model: str) -> httpx.Response:
        return self.http.post("/api/v1/infer", json={"prompt": "say", "model": model})

    def events(self, model: str) -> list[tuple[str, Any]]:
        """The events of a streamed answer."""
        body = {"prompt": "say", "model": model, "stream": True}
        found, name = [], ""
        with self.http.stream("POST", "/api/v1/infer", json=body) as answer:
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    found.append((name, json.loads(line.removeprefix("data: "))))
        return found

    def node(self, name: str) -> dict[str, Any]:
        nodes = self.http.get("/api/v1/nodes").raise_for_status().json()["nodes"]
        found: dict[str, Any] = next(node for node in nodes if node["name"] == name)
        return found

    def row(self, request_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/api/v1/history/{request_id}").raise_for_status().json()
        return found

    def rows(self) -> int:
        return int(self.http.get("/api/v1/history", params={"limit": 1}).json()["total"])


def place(name: str, server: FakeNode, *models: str) -> dict[str, Any]:
    """A node of the nodes file, whose deadlines are short where they are what ends the fault of its first model."""
    deadlines = (PATIENT if server.fault == "ok" else patience(models[0].partition("@")[0])).model_dump()
    return {"kind": "openai", "name": name, "base_url": server.url, "models": list(models), "deadlines": deadlines}


@pytest.fixture(scope="module")
def herd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Herd]:
    """For each fault a node that is alone with it, and one beside a node that is well."""
    home: Path = tmp_path_factory.mktemp("faults")
    (home / "prompts").mkdir()
    (home / "prompts" / "say.yaml").write_text(SAY)
    with fakenode() as ill, fakenode() as well:
        well.fault = "ok"
        faults = [*BEFORE, *AFTER, "context-length"]
        nodes = [place(f"alone {fault}", ill, fault) for fault in faults]
        nodes += [place(f"beside {fault}", ill, f"{fault}@beside") for fault in faults]
        nodes += [place("well", well, *(f"{fault}@beside" for fault in faults))]
        nodes += [place(f"again {number}", ill, "ok@again") for number in (1, 2)]
        (home / "nodes.yaml").write_text(json.dumps({"nodes": nodes}))
        files = {"HERDING_PROMPTS": str(home / "prompts"), "HERDING_NODES": str(home / "nodes.yaml")}
        app = RunningApp(home, environment=files).start()
        try:
            yield Herd(app, ill, well)
        finally:
            app.stop()


@pytest.mark.parametrize("fault", BEFORE)
def test_alone_a_fault_is_an_error_that_says_whose(herd: Herd, fault: str) -> None:
    status, kind = BEFORE[fault]
    answer = herd.ask(fault)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (status, kind)
    assert f"alone {fault}" in error["message"]
    assert answer.headers.get("retry-after") == ("600" if "429" in fault else None)
    row = herd.row(error["request_id"])
    assert (row["status"], row["error"]["type"], len(row["routing"]["attempts"])) == ("failed", kind, 1)


@pytest.mark.parametrize("fault", AFTER)
def test_an_answer_that_breaks_off_ends_with_an_error_and_is_kept(herd: Herd, fault: str) -> None:
    events = herd.events(fault)
    assert [name for name, _ in events if name != "delta"] == ["start", "error"]
    text = "".join(data["text"] for name, data in events if name == "delta")
    assert text
    assert SAID.startswith(text)
    error = events[-1][1]["error"]
    assert error["type"] == AFTER[fault]
    row = herd.row(error["request_id"])
    assert (row["status"], row["text"], row["error"]["type"]) == ("partial", text, AFTER[fault])


@pytest.mark.parametrize("fault", BEFORE)
def test_beside_a_healthy_node_no_caller_sees_the_fault(herd: Herd, fault: str) -> None:
    for number in range(ROUND):
        if number % 2:
            answer = herd.ask(f"{fault}@beside")
            assert answer.status_code == 200, answer.text
            body = answer.json()
        else:
            name, body = herd.events(f"{fault}@beside")[-1]
            assert name == "done", body
        assert (body["text"], body["node"]) == (SAID, "well")
    calls, stats = len(herd.ill.calls(f"{fault}@beside")), herd.node(f"beside {fault}")["stats"]
    assert stats["requests"] == stats["failures"] <= calls
    if fault in ONE_CALL:
        assert calls == 1
    else:  # the failures of one caller count once: a call of the app's own decides
        assert calls >= IN_A_ROW
        wait_until(
            lambda: herd.node(f"beside {fault}")["health"]["ejections"], seconds=60, what="the node to be ejected"
        )


def test_an_input_that_is_too_long_is_the_callers_and_tried_once(herd: Herd) -> None:
    for _ in range(ROUND):
        answer = herd.ask("context-length")
        assert (answer.status_code, answer.json()["error"]["type"]) == (422, "context_length")
        row = herd.row(answer.json()["error"]["request_id"])
        assert len(row["routing"]["attempts"]) == 1
    assert herd.node("alone context-length")["health"]["state"] == "healthy"
    chat = {"model": "context-length", "messages": [{"role": "user", "content": "hi"}]}
    answer = herd.http.post("/v1/chat/completions", json=chat)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_a_herd_that_is_all_out_says_when_and_comes_back_without_traffic(herd: Herd) -> None:
    herd.ill.fault = "status:500"
    names = ("again 1", "again 2")
    try:
        while any(herd.node(name)["health"]["state"] == "healthy" for name in names):
            assert herd.ask("ok@again").status_code in (502, 503)
        chat = {"model": "ok@again", "messages": [{"role": "user", "content": "hi"}]}
        assert {herd.node(name)["health"]["state"] for name in names} == {"trial"}, "the last nodes are never out"
        for _ in range(ROUND):
            answer = herd.ask("ok@again")
            assert answer.status_code in (502, 503)
            if answer.json()["error"]["type"] == "no_node":
                assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (503, True)
    finally:
        herd.ill.fault = None
    rows = herd.rows()
    wait_until(
        lambda: all(herd.node(name)["health"]["state"] == "healthy" for name in names),
        seconds=300,
        what="the nodes to come back by themselves",
    )
    assert herd.rows() == rows
    assert herd.ill.calls("ok@again")[-1].body["max_tokens"] == 1
    assert herd.ask("ok@again").json()["text"] == SAID
    assert herd.http.post("/v1/chat/completions", json=chat).status_code == 200
