"""The official JavaScript client with its `runTools`, on every way."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import Way
from tests.e2e.test_node_sdk import SDK

PROGRAM = Path(__file__).parent / "run_tools.mjs"
ANSWER = "The tools returned: 18 degrees in Paris | 18 degrees in Rome"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the client installed; without Node, or without a way to get it, the test is skipped."""
    folder = tmp_path_factory.mktemp("node")
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("NO NODE: this test needs Node.js")
    command = [npm, "install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", SDK]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if installed.returncode:
        pytest.skip(f"NO NODE CLIENT: {SDK} could not be installed: {installed.stderr[-300:]}")
    shutil.copy(PROGRAM, folder)
    return folder


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
