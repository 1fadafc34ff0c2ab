"""Instructor on every way. It needs an older official client than ours, so it lives in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Way

VERSION = "1.17.0"
PROGRAM = Path(__file__).parent / "instructor_program.py"
ADA = {"name": "Ada", "age": 36}


@pytest.fixture(scope="module")
def python(request: pytest.FixtureRequest) -> Path:
    """The Python of an environment with instructor, made once and kept in pytest's cache.

    It sees the packages of this one, so that only what differs is installed. Without a way to get it, the test is
    skipped, and in CI it fails.
    """
    name = f"instructor-{VERSION}-{sys.version_info.major}.{sys.version_info.minor}"
    folder = Path(request.config.cache.mkdir(name)) / "environment"
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.exists() and ready.read_text() == sys.prefix:
        return python
    venv.create(folder, clear=True, symlinks=True)
    ours = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"
    (folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages" / "zz_ours.pth").write_text(ours)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", f"instructor=={VERSION}"]
    installed = subprocess.run(pip, capture_output=True, text=True, timeout=300, check=False)
    if installed.returncode:
        message = f"NO INSTRUCTOR: instructor {VERSION} could not be installed: {installed.stderr[-300:]}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    ready.write_text(sys.prefix)
    return python


@pytest.fixture(scope="module")
def results(ways: dict[str, Way], python: Path) -> dict[str, dict[str, Any]]:
    """What one program gets on each way: to start it takes longer than to use it."""
    arguments = [argument for way in ways.values() for argument in (way.url, way.key, way.chat)]
    ran = subprocess.run([python, PROGRAM, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return dict(zip(ways, json.loads(ran.stdout), strict=True))


def test_structured_responses(way: Way, results: dict[str, dict[str, Any]]) -> None:
    got = results[way.name]
    assert got.pop("iterable") == [ADA]
    assert got.pop("requests") == 2, "a response that is refused is asked for again"
    assert got == dict.fromkeys(("tool_call", "tools_strict", "json_schema_mode", "partial"), ADA)
