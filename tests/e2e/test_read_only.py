"""As in a container: another user, code that cannot be written, a home directory with nothing in it."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running_app import ROOT, RunningApp

# Uid 1000 may read what root reads (the interpreter may live in root's home) and nothing else.
AS_UID_1000 = (
    "setpriv",
    "--reuid=1000",
    "--regid=1000",
    "--clear-groups",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
    "--bounding-set=-all,+dac_read_search",
)


@pytest.mark.skipif(sys.platform != "linux", reason="user ids and their rights are Linux's here")
def test_it_runs_as_another_user_with_read_only_code_and_an_empty_home(open_path: Path) -> None:
    code, home = open_path / "code", open_path / "home"
    code.mkdir()
    for name in ("app.py", "config", "herding", "prompts"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, code / name)
    home.mkdir()
    read_only(code)
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0 and shutil.which("setpriv"):
        os.chown(home, 1000, 1000)
        prefix = AS_UID_1000
    app = RunningApp(home, code=code, environment={"HOME": str(home)}, own_home=True)
    try:
        app.start(prefix=prefix)
        assert app.client().get("/").status_code == 200
    finally:
        app.stop()
        read_only(code, undo=True)
    assert (home / ".local/share/herding/herding.sqlite").stat().st_size > 0
    assert not (code / "data").exists()


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A temporary directory that other users may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def read_only(folder: Path, *, undo: bool = False) -> None:
    """Take the right to write from everything in `folder`, or give it back."""
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | stat.S_IWUSR if undo else mode & ~0o222)
