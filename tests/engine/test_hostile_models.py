"""Directories that are no models, or that would stop or trick whoever reads them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from herding.engine.embeddings.files import check
from herding.engine.errors import LoadError, UnsafeModelError
from herding.engine.model_check import check_model, has_key

CHECKS = pytest.mark.parametrize("checked", [check_model, check])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return tmp_path


@CHECKS
@pytest.mark.parametrize("name", ["tokenizer_config.json", "vocab.txt", "inner/model.safetensors"])
def test_a_pipe_among_the_files_of_a_model_is_refused(model: Path, name: str, checked: Callable[[Path], None]) -> None:
    checked(model)
    (model / name).parent.mkdir(exist_ok=True)
    os.mkfifo(model / name)
    with pytest.raises(UnsafeModelError, match="is not a file, but a pipe"):
        checked(model)


@CHECKS
def test_a_link_to_a_device_and_a_socket_are_refused(model: Path, checked: Callable[[Path], None]) -> None:
    (model / "a_config.json").symlink_to("/dev/zero")
    with pytest.raises(UnsafeModelError, match="device"):
        checked(model)
    (model / "a_config.json").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(model / "s"))
        with pytest.raises(UnsafeModelError, match="socket"):
            checked(model)


@CHECKS
@pytest.mark.parametrize(
    ("content", "words"),
    [("[" * 100_000, "deeply|not valid JSON"), ("{", "not valid JSON"), ("\x00", "not valid JSON")],
)
def test_settings_that_are_damaged_are_named(
    model: Path, content: str, words: str, checked: Callable[[Path], None]
) -> None:
    (model / "generation_config.json").write_text(content)
    with pytest.raises(LoadError, match=words):
        checked(model)


@CHECKS
def test_a_directory_in_place_of_settings_is_named(model: Path, checked: Callable[[Path], None]) -> None:
    (model / "generation_config.json").mkdir()
    with pytest.raises(LoadError, match="Can't read"):
        checked(model)
    (model / "generation_config.json").rmdir()
    (model / "generation_config.json").symlink_to(model / "nowhere")
    with pytest.raises(LoadError, match="Can't read"):
        checked(model)


def test_a_key_is_found_at_any_depth() -> None:
    deep: dict[str, object] = {"auto_map": {}}
    for _ in range(5_000):
        deep = {"a": deep}
    assert has_key(deep, "auto_map")
    assert not has_key(deep, "other")
    assert not has_key(5, "a")
