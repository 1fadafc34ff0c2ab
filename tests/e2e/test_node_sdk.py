"""The official JavaScript client against the running app."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.doors import Admin
from tests.e2e.running_app import RunningApp
from tests.support import node_sdk

SCRIPT = Path(__file__).parent / "openai_client.mjs"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the client installed; without Node, or without a way to get it, the test is skipped."""
    return node_sdk.install(tmp_path_factory.mktemp("sdk"), SCRIPT)


@pytest.fixture(scope="module")
def got(open_net: RunningApp, place: Path) -> dict[str, Any]:
    """What the client got, in one run of the script."""
    token = Admin(open_net.url).user("javascript")
    command = ["node", SCRIPT.name, f"{open_net.url}/v1", token]
    ran = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_models(got: dict[str, Any]) -> None:
    assert {"echo", "auto", "prompt:greet"} <= set(got["models"])


def test_a_chat(got: dict[str, Any]) -> None:
    assert got["chat"]["text"] == "one two three"
    assert got["chat"]["finish"] == "stop"
    assert got["chat"]["usage"]["total_tokens"] > 0


def test_a_stream_with_usage(got: dict[str, Any]) -> None:
    assert len(got["stream"]["pieces"]) > 1
    assert "".join(got["stream"]["pieces"]) == "one two three"
    assert got["stream"]["usage"] == got["chat"]["usage"]


def test_a_published_prompt_and_a_raw_text(got: dict[str, Any]) -> None:
    assert got["prompt"] == "Hello Ada"
    assert got["completion"] == "plain text"


def test_errors(got: dict[str, Any]) -> None:
    model, body, token = (got["errors"][name] for name in ("model", "body", "token"))
    assert (model["kind"], model["status"], model["code"]) == ("NotFoundError", 404, "model_not_found")
    assert (body["kind"], body["status"]) == ("BadRequestError", 400)
    assert "'n'" in body["message"]
    assert (token["kind"], token["status"], token["code"]) == ("AuthenticationError", 401, "invalid_api_key")
