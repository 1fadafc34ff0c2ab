"""The app on the open net, with a node that answers at once and an admin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.e2e.running_app import RunningApp

ADMIN_TOKEN = "0f-operator-of-the-tests-7d1c"
NODES = "nodes:\n  - {kind: echo, name: echo, models: [echo]}\n"
GREET = """
name: Greet
target_models: [echo]
variables:
  name: {type: text, default: you}
prompt: "Hello {{name}}"
"""
ECHOING = """
name: Echoing
target_models: [echo]
variables:
  text: {type: text, default: x}
  size: {type: number, default: 1}
  sizes: {type: number_list, required: false}
prompt: "{{text}}"
parameters: {max_tokens: 500}
"""


def open_app(home: Path, *, own_interpreter: bool = False, **environment: str) -> RunningApp:
    """Not started yet; visitors of it are guests."""
    prompts = home / "prompts"
    prompts.mkdir()
    (prompts / "greet.yaml").write_text(GREET)
    (home / "nodes.yaml").write_text(NODES)
    given = {"HERDING_PROMPTS": str(prompts), "HERDING_NODES": str(home / "nodes.yaml"), "HERDING_HOST": "0.0.0.0"}
    given = {"HERDING_ADMIN_TOKEN": ADMIN_TOKEN, **given, **environment}
    return RunningApp(home, environment=given, own_interpreter=own_interpreter)


class Admin:
    """What an admin does through the API."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, headers=bearer(ADMIN_TOKEN), trust_env=False, timeout=120)

    def user(self, id: str, role: str = "user", **more: Any) -> str:
        """The token of a new user."""
        self.http.post("/api/v1/users", json={"id": id, "role": role, **more}).raise_for_status()
        return self.token(id)

    def token(self, user: str, **more: Any) -> str:
        """A new token of a user."""
        made = self.http.post("/api/v1/tokens", json={"user": user, **more}).raise_for_status()
        return str(made.json()["token"])


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}
