"""The real app on PostgreSQL: page, login, runs, ratings, history, search and exports, and a kill in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.doors import ADMIN_TOKEN, Admin, bearer, open_app
from tests.e2e.running_app import RunningApp, wait_until
from tests.e2e.workbench import LONG, Workbench
from tests.support.postgres import Server

pytestmark = pytest.mark.postgres


@pytest.fixture
def served(postgres_server: Server, tmp_path: Path) -> Iterator[RunningApp]:
    """An app that others can reach, on an empty database."""
    url = postgres_server.create(migrated=False).replace("postgresql://", "postgres://", 1)
    running = open_app(tmp_path, DATABASE_URL=url).start()
    yield running
    running.stop()
    postgres_server.drop(url.replace("postgres://", "postgresql://", 1))


def exported(app: RunningApp, **filters: str) -> list[dict[str, object]]:
    """The rows of an export, newest first."""
    got = httpx.get(
        f"{app.url}/api/v1/history.jsonl", params=filters, headers=bearer(ADMIN_TOKEN), trust_env=False, timeout=60
    )
    return [json.loads(line) for line in got.raise_for_status().text.splitlines()]


def test_what_was_acknowledged_survives_a_kill(served: RunningApp) -> None:
    admin = Admin(served.url)
    token = admin.user("ada")
    ada = httpx.Client(base_url=served.url, headers=bearer(token), trust_env=False, timeout=120)
    sent = [ada.post("/api/v1/infer", json={"prompt": "greet"}).raise_for_status().json() for _ in range(5)]
    newest = sent[-1]["request_id"]
    ada.post("/api/v1/score", json={"request_id": newest, "score": 4}).raise_for_status()
    ada.post("/api/v1/feedback", json={"request_id": newest, "comment": "Schöne GRÜẞE"}).raise_for_status()
    served.kill()
    served.start()
    rows = exported(served)
    assert [row["request_id"] for row in rows] == [one["request_id"] for one in reversed(sent)]
    assert {row["status"] for row in rows} == {"succeeded"}
    assert [row["request_id"] for row in exported(served, text="schöne grüsse")] == [newest]
    page = ada.get("/api/v1/history", params={"text": "GRÜSSE"}).json()
    assert (page["total"], page["more"], page["entries"][0]["score"]) == (1, False, 4)
    assert ada.get("/api/v1/history.csv").raise_for_status().text.count("\n") >= 6
    assert "FATAL" not in served.log.read_text()
    assert "Traceback" not in served.log.read_text()


SLOW_NODE = """
nodes:
  - {kind: echo, name: slow, models: [slow], delay: 0.5}
"""


def test_a_second_app_leaves_the_running_requests_of_the_first_alone(postgres_server: Server, tmp_path: Path) -> None:
    url = postgres_server.create()
    apps = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        apps.append(open_app(tmp_path / name, DATABASE_URL=url))
        (tmp_path / name / "nodes.yaml").write_text(SLOW_NODE)
    first, second = apps
    first.start()
    body = {"model": "slow", "messages": [{"role": "user", "content": "word " * 1_000}], "stream": True}
    client = httpx.Client(base_url=first.url, headers=bearer(ADMIN_TOKEN), trust_env=False, timeout=120)
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200
        second.start()
        assert [row["status"] for row in exported(second)] == ["running"]
    wait_until(lambda: exported(second)[0]["status"] != "running", seconds=30, what="the end of the request")
    assert [row["status"] for row in exported(second)] == ["abandoned"]
    for app in apps:
        app.stop()
    postgres_server.drop(url)


@pytest.mark.browser
def test_a_person_logs_in_runs_and_finds_it_again(served: RunningApp, page: Page) -> None:
    page.goto(f"{served.url}/login")
    page.get_by_label("Access token").fill(ADMIN_TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible(timeout=LONG)
    bench = Workbench(page, served.url).open("greet")
    bench.run()
    bench.expect_status("Succeeded")
    bench.rate_by_keyboard(3)
    page.reload()
    bench.open_history()
    expect(bench.history_rows().first).to_contain_text("Succeeded")
    (row,) = exported(served)
    assert row["status"] == "succeeded"
