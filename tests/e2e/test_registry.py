"""Nodes that are added at run time, in the real app: they outlive it, and open no private network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.e2e.doors import NODES
from tests.e2e.running_app import RunningApp
from tests.support.anyserver import AnyServer, anyserver

SECRET = "sk-canary-0123456789"
TOKEN = "operators-token-123"


def worker(server: AnyServer) -> dict[str, Any]:
    return {
        "model_name": "chatglm2-6b",
        "body": {"input": "{USER_PROMPT}"},
        "req_url_template": f"{server.url}/api/generate",
        "header": {"Authorization": f"Bearer {SECRET}"},
    }


def running(home: Path, **environment: str) -> RunningApp:
    """The app without an engine, not started yet."""
    (home / "nodes.yaml").write_text(NODES)
    return RunningApp(home, environment={"HERDING_NODES": str(home / "nodes.yaml"), **environment})


def post(app: RunningApp, path: str, body: Any, token: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.post(app.url + path, json=body, headers=headers, trust_env=False, timeout=120).json()


def test_a_model_that_registered_is_there_after_a_crash(tmp_path: Path) -> None:
    with anyserver() as server:
        app = running(tmp_path).start(ready=False)
        try:
            assert post(app, "/api/server/register", worker(server))["success"]
            app.kill()
            app.start(ready=False)
            said = post(app, "/api/v1/chat/completions", {"input": "who are you?", "model_name": "chatglm2-6b"})
            assert said == {"success": True, "msg": "execute succeed", "result": "You said: who are you?"}
            assert server.asked[0].headers["authorization"] == f"Bearer {SECRET}"
        finally:
            app.stop()
    kept = [file for file in tmp_path.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
    assert kept == []


def test_an_app_that_others_reach_uses_no_private_server_without_the_operators_word(tmp_path: Path) -> None:
    with anyserver() as server:
        environment = {"HERDING_HOST": "0.0.0.0", "HERDING_ADMIN_TOKEN": TOKEN}
        for allowed, success in ("[]", False), (f'["{server.url}"]', True):
            app = running(tmp_path, HERDING_ALLOWED_HOSTS=allowed, **environment)
            app.start(ready=False)
            try:
                assert post(app, "/api/server/register", worker(server), TOKEN)["success"] is success
                assert "error" in post(app, "/api/server/register", worker(server))
            finally:
                app.stop()
