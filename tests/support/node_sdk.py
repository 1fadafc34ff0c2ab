"""The official JavaScript client, installed for a script that uses it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SDK = "openai@7.55.0"


def install(folder: Path, script: Path) -> Path:
    """Install the client beside a copy of `script` in `folder`, and return that.

    Without Node, or without a way to get the client, the test is skipped.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("NO NODE: this test needs Node.js")
    command = [npm, "install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", SDK]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if installed.returncode:
        pytest.skip(f"NO NODE CLIENT: {SDK} could not be installed: {installed.stderr[-300:]}")
    shutil.copy(script, folder)
    return folder
