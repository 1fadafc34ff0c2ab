"""A look at a model's directory before anything in it is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from herding.engine.refusals import LoadError, UnsafeModelError

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def check_directory(path: Path) -> None:
    """Raise LoadError unless `path` holds a model whose loading runs nothing that comes with it."""
    if not path.is_dir():
        raise LoadError(f"There is no model directory at {path}.")
    if not (path / "config.json").is_file():
        raise LoadError(f"{path} has no config.json: it is not a transformers model.")
    if (path / "adapter_config.json").is_file():
        raise LoadError(f"{path} is an adapter. Merge it into its base model first.")
    for file in sorted(path.glob("*config*.json")):
        _check_config(file)
    _check_weights(path)


def _check_config(file: Path) -> None:
    if _has_key(_read(file), "auto_map"):
        raise UnsafeModelError(
            f"{file} asks for code that comes with the model (auto_map). This engine runs only the model code of "
            "the transformers library; nothing was run. Choose a model that needs no code of its own."
        )


def _check_weights(path: Path) -> None:
    if any(path.glob("*.safetensors")):
        return
    pickles = sorted(file.name for pattern in _PICKLES for file in path.glob(pattern))
    if pickles:
        raise UnsafeModelError(
            f"{path} has its weights only as pickle ({pickles[0]}), which can run code when read; nothing was "
            "read. Convert them to safetensors."
        )
    raise LoadError(f"{path} has no weights: no *.safetensors file.")


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LoadError(f"{file} is not JSON: {error}") from error


def _has_key(value: Any, key: str) -> bool:
    return isinstance(value, dict) and (key in value or any(_has_key(item, key) for item in value.values()))
