"""A client that is generated from `/openapi.json` is typed, and runs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import live
from tests.support.herding import ADMIN_TOKEN, Place

pytestmark = pytest.mark.one_database

PROGRAM = Path(__file__).with_name("client_program.py")
CONFIG = {
    "package_name_override": "herding_client",
    "post_hooks": [],
    "content_type_overrides": {
        "application/zip": "application/octet-stream",
        "application/jsonl": "text/plain",
        "application/yaml": "text/plain",
        "text/csv": "text/plain",
    },
}


async def output_of(*command: str | Path, cwd: Path) -> str:
    """Run a Python module or file in `cwd`; return its output."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(cwd), "NO_PROXY": "*"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await running.communicate()
    assert running.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.slow
async def test_a_generated_client_type_checks_and_runs(
    http: httpx.AsyncClient, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("client")
    (home / "openapi.json").write_bytes((await http.get("/openapi.json")).content)
    (home / "config.json").write_text(json.dumps(CONFIG))
    generate = ["-m", "openapi_python_client", "generate", "--meta", "none", "--output-path", "herding_client"]
    generated = await output_of(
        *generate, "--path", "openapi.json", "--config", "config.json", "--fail-on-warning", cwd=home
    )
    assert "Unable" not in generated
    (home / "program.py").write_text(PROGRAM.read_text())
    await output_of("-m", "mypy", "--strict", "--cache-dir", ".mypy", "program.py", "herding_client", cwd=home)
    async with live(place) as url:
        found = json.loads(await output_of("program.py", url, ADMIN_TOKEN, cwd=home))
    assert found == {
        "missing": "not_found",
        "text": "a b",
        "output_tokens": 2,
        "total": 1,
        "year": datetime.now(UTC).year,
        "score": 4,
        "stored_score": 4,
    }
