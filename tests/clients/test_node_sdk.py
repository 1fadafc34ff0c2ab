"""The official JavaScript client with its `runTools`, on every way."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import Way
from tests.support import node_sdk

PROGRAM = Path(__file__).parent / "run_tools.mjs"
ANSWER = "The tools returned: 18 degrees in Paris | 18 degrees in Rome"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the client installed; without Node, or without a way to get it, the test is skipped."""
    return node_sdk.install(tmp_path_factory.mktemp("node"), PROGRAM)


def test_tools_run(way: Way, folder: Path) -> None:
    command = ["node", PROGRAM.name, way.url, way.key, way.chat]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    got = json.loads(ran.stdout)
    assert got["places"] == ["Paris", "Rome"] * 2
    assert got["whole"] == got["streamed"] == ANSWER
    assert got["pieces"] > 0
    picture = "You said: [image image/png, 4 bytes]"
    assert got["choices"] == [picture, f"{picture} (choice 1)"]
    assert got["tokens"] == ["You", " said:", " [image", " image/png,", " 4", " bytes]"]
