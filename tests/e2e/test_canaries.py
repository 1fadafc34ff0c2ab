"""Secrets, and the texts of whoever opted out, are found nowhere: answers, logs, metrics, files, exports."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.doors import ADMIN_TOKEN, GREET, NODES, Admin, bearer, open_app
from tests.e2e.running_app import RunningApp
from tests.support.fakenode import FakeNode

NODE_SECRET = "canary-node-secret-5d02"
KEY = "canary-key-of-a-host-93ab"
SECRET_KEY = "canary-secret-key-0123456789-0123456789"
TEXT = "canary-text-of-someone-who-opted-out"
KEPT = "text-of-somebody-who-did-not"
FAULTS = ("echo-headers", "status:500", "status:401", "error-in-200", "html", "cut-after:2")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, faulty_server: FakeNode) -> Iterator[RunningApp]:
    """An app that knows secrets, with a node that tells whatever it is sent."""
    home = tmp_path_factory.mktemp("canaries")
    secrets = {"MY_KEY": KEY, "HERDING_NODE_SECRET": NODE_SECRET, "HERDING_SECRET_KEY": SECRET_KEY}
    running = open_app(home, own_interpreter=True, **secrets)
    node = {"kind": "openai", "name": "host", "base_url": faulty_server.url, "models": list(FAULTS)}
    (home / "nodes.yaml").write_text(f"{NODES}  - {json.dumps(node | {'api_key_env': 'MY_KEY'})}\n")
    (home / "prompts" / "failing.yaml").write_text(GREET.replace("[echo]", "['status:500']"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def told(app: RunningApp) -> dict[str, str]:
    """Everything that the app said and wrote, by where; `answers` are those to whoever opted out."""
    admin = Admin(app.url)
    opted_out, other = admin.user("ada", opt_out_history_content=True), admin.user("bob")
    said = _use(app, other, KEPT)
    answers = _use(app, opted_out, TEXT)
    assert TEXT in answers
    assert admin.http.get("/api/v1/history", params={"text": TEXT}).json()["total"] == 0
    paths = (
        "history?limit=200",
        "history.csv",
        "history.jsonl",
        "nodes",
        "models",
        "prompts",
        "users",
        "tokens",
        "roles",
    )
    pages = ("/", "/config", "/login", "/openapi.json", "/metrics", "/healthz", "/readyz", "/v1/models", "/api/v1/me")
    shown = {path: admin.http.get(path).text for path in (*pages, *(f"/api/v1/{path}" for path in paths))}
    own = app.client().get("/api/v1/history?limit=200", headers=bearer(opted_out)).text
    app.kill()  # what is only in memory is gone; what is on disk is what counts
    files = {str(file): file.read_bytes().decode("latin-1") for file in app.home.rglob("*") if file.is_file()}
    assert any(name.endswith(".sqlite") for name in files)
    assert app.log.read_text()
    return {**shown, **files, "said": said, "theirs": own, "tokens": opted_out + other}


def _use(app: RunningApp, token: str, text: str) -> str:
    """All ways to send a text; what came back."""
    heard = []
    chat = {"messages": [{"role": "system", "content": text}, {"role": "user", "content": text}], "stop": [text]}
    with httpx.Client(base_url=app.url, headers=bearer(token), trust_env=False, timeout=120) as http:
        for stream in (False, True):
            run = {"prompt": "greet", "variables": {"name": text}, "stream": stream}
            heard.append(http.post("/api/v1/infer", json=run))
            heard.append(http.post("/api/v1/infer", json=run | {"prompt": "failing"}))
            heard.append(http.post("/api/v1/infer", json=run | {"variables": {"ghost": text}}))
            heard.append(http.post("/v1/chat/completions", json=chat | {"model": "echo", "stream": stream}))
            for fault in FAULTS:
                heard.append(http.post("/v1/chat/completions", json=chat | {"model": fault, "stream": stream}))
        heard.append(http.post("/v1/completions", json={"model": "echo", "prompt": text}))
        heard.append(http.get("/api/v1/run/greet", params={"name": text}))
        heard.append(http.post("/api/v1/infer", json={"prompt": "greet", "model": "echo", "session_id": text}))
        done = http.post("/api/v1/infer", json={"prompt": "greet", "variables": {"name": text}}).json()
        heard.append(http.post("/api/v1/score", json={"request_id": done["request_id"], "score": 4}))
        heard.append(http.post("/api/v1/feedback", json={"request_id": done["request_id"], "comment": text}))
        heard.append(http.post("/api/v1/infer", json={"prompt": text}))
        heard.append(http.post("/api/v1/infer", content=text.encode()))
    return "\n".join(f"{answer.status_code} {answer.headers} {answer.text}" for answer in heard)


def places_of(canary: str, told: dict[str, str]) -> list[str]:
    return [place for place, text in told.items() if canary in text]


def test_the_search_finds_what_is_kept(told: dict[str, str]) -> None:
    found = places_of(KEPT, told)
    assert any(place.endswith((".sqlite", ".sqlite-wal")) for place in found)
    assert {"/api/v1/history.csv", "/api/v1/history.jsonl", "said"} <= set(found)


def test_the_texts_of_somebody_who_opted_out_are_nowhere(told: dict[str, str]) -> None:
    assert places_of(TEXT, told) == []


def test_their_counts_and_stars_remain(told: dict[str, str]) -> None:
    rows = [json.loads(line) for line in told["/api/v1/history.jsonl"].splitlines()]
    theirs, others = ([row for row in rows if row["principal"] == name] for name in ("ada", "bob"))
    assert len(theirs) > 10
    assert len(theirs) >= len(others) - 1  # a session needs what is kept
    assert sum(row["output_tokens"] for row in theirs) > 0
    stars = [entry["score"] for entry in json.loads(told["theirs"])["entries"]]
    assert [given for given in stars if given] == [4]


@pytest.mark.parametrize("secret", [NODE_SECRET, KEY, SECRET_KEY, ADMIN_TOKEN])
def test_secrets_are_nowhere(told: dict[str, str], secret: str) -> None:
    assert places_of(secret, told) == []


def test_tokens_are_nowhere_after_they_were_made(told: dict[str, str]) -> None:
    one = told["tokens"][: len(told["tokens"]) // 2]
    assert places_of(one, told) == ["tokens"]
    assert places_of(one.rpartition("_")[2], told) == ["tokens"]
