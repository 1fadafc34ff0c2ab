"""Whatever is sent to the operations that the app describes, they answer as described, and none of them breaks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.doors import ADMIN_TOKEN, Admin, open_app
from tests.e2e.running_app import ROOT, RunningApp

EXAMPLES = {"operator": 30, "user": 20}
"""Random bodies for each operation."""
PHASES = {"operator": "examples,coverage,fuzzing", "user": "examples,fuzzing"}
"""The edges of each field are for who may do everything: a user's privileges are checked before a body is read."""
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
CONFIG = """
hooks = "archives.py"
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 502, 503, 504]
"""
"""That no node serves a model, or that one failed, is an honest answer; 500 is a fault of ours."""
HOOKS = """
import io
import zipfile

import schemathesis
from hypothesis import strategies as st


def archive(files):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as opened:
        for name, text in files.items():
            opened.writestr(name, text)
    return body.getvalue()


texts = st.sampled_from(["name: Ok\\ntemplate: Say it.\\n", "name: [", "", "name: Ok\\nmessages: 3\\n"])
names = st.sampled_from(["ok.yaml", "folder/ok.yaml", "../up.yaml", "/etc/ok.yaml", "readme.txt"])
archives = st.dictionaries(names, texts, max_size=3).map(archive)
schemathesis.openapi.media_type("application/zip", archives | st.binary(max_size=64))
"""
"""The tool makes no zip archives by itself."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    running = open_app(tmp_path_factory.mktemp("schema")).start()
    yield running
    running.stop()


@pytest.mark.parametrize("role", EXAMPLES)
def test_every_operation_answers_as_it_is_described(app: RunningApp, role: str) -> None:
    token = ADMIN_TOKEN if role == "operator" else Admin(app.url).user("somebody-who-tries")
    (app.home / "schemathesis.toml").write_text(CONFIG)
    (app.home / "archives.py").write_text(HOOKS)
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{app.url}/openapi.json"]
    command += ["-H", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS), "--seed", "7"]
    command += ["--phases", PHASES[role], "--max-examples", str(EXAMPLES[role]), "--no-color"]
    characters = {"HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis")}  # tables that take seconds to make
    options = {"cwd": app.home, "env": os.environ | characters, "timeout": 1200}
    ran = subprocess.run(command, **options, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-1000:]
    tested = next(line for line in ran.stdout.splitlines() if "generated" in line and "passed" in line)
    assert int(tested.split()[0]) > 500, "hardly anything was tried"
    log = Path(app.log).read_text()
    assert "Traceback" not in log, log[-3000:]
