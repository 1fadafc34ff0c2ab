"""The command `llm` with tools, attachments and a schema, on every way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from llm.cli import cli

from tests.clients.conftest import Way

WEATHER = """
def get_weather(location: str) -> str:
    "The weather at a place."
    return f"18 degrees in {location}"
"""


@pytest.fixture
def llm(way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs the command; gives what it prints."""
    found = dict.fromkeys(("supports_tools", "supports_schema", "vision", "audio"), True)
    model = {"model_id": "m", "model_name": way.chat, "api_base": way.url, "api_key_name": "gateway", **found}
    (tmp_path / "extra-openai-models.yaml").write_text(yaml.safe_dump([model]))
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))

    def run(*arguments: str) -> str:
        ran = CliRunner().invoke(cli, ["prompt", "-m", "m", "--key", way.key, *arguments], catch_exceptions=False)
        assert ran.exit_code == 0, ran.output
        return ran.stdout.strip()

    return run


def test_a_tool(llm: Callable[..., str]) -> None:
    for more in ((), ("--no-stream",)):
        said = llm("How is the weather in 'Paris'?", "--functions", WEATHER, *more)
        assert said == "The tools returned: 18 degrees in Paris"


def test_attachments(llm: Callable[..., str], tmp_path: Path) -> None:
    picture, sound = tmp_path / "a.png", tmp_path / "a.wav"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    sound.write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt ")
    attached = ["--at", str(picture), "image/png", "--at", str(sound), "audio/wav"]
    said = llm("Look:", *attached)
    assert said == "You said: Look: [image image/png, 8 bytes] [audio wav, 16 bytes]"


def test_a_schema(llm: Callable[..., str]) -> None:
    assert json.loads(llm("'Ada' is 36", "--schema", "name, age int")) == {"name": "Ada", "age": 36}
