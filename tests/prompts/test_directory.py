"""The ID of a directory of prompts goes with its files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from herding.prompts.directory import ID_FILE, read_id


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("home", "prompts"):
        (tmp_path / name).mkdir()
    return tmp_path / "home"


def test_a_directory_keeps_its_id_and_a_copy_has_another(home: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts"
    found = read_id(prompts, home)
    assert read_id(prompts, tmp_path / "another home") == found
    shutil.copytree(prompts, tmp_path / "copy")
    assert read_id(tmp_path / "copy", home) != found
    (prompts / ID_FILE).unlink()
    assert read_id(prompts, home) != found
    assert not list(home.iterdir())


def test_a_directory_that_is_read_only_has_its_id_in_the_data_directory(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, opened = tmp_path / "prompts", Path.open

    def refuse(path: Path, *arguments: str, **more: str) -> object:
        if path.parent == prompts:
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    found = read_id(prompts, home)
    assert read_id(prompts, home) == found
    assert [path.name for path in home.iterdir()] == ["prompts-id"]
    shutil.rmtree(home)
    assert read_id(prompts, home) != found
