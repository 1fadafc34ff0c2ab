"""The checks on the files of a model before it is loaded: nothing may run code, and what is damaged is named."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

from herding.engine.errors import LoadError, UnsafeModelError
from herding.values.model_paths import GGUF

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_INDEX = "model.safetensors.index.json"
_POINTER = b"version https://git-lfs.github.com/spec"
_LENGTH_BYTES = 8
_MAX_HEADER = 100 * 2**20
"""Bytes of the header of a safetensors file, which the library limits too."""


def check_model(path: Path) -> None:
    """Raise LoadError unless `path` is a model that loads without running code of its own."""
    try:
        if path.suffix.lower() == GGUF and not path.is_dir():
            _check_gguf(path)
        else:
            _check_directory(path)
    except PermissionError as error:
        raise LoadError(
            f"Can't read {error.filename or path}: permission denied. Allow Herding's user to read it."
        ) from error
    except OSError as error:
        raise LoadError(f"Can't read {path}: {error.strerror or error}.") from error


def _check_gguf(path: Path) -> None:
    if not path.is_file():
        raise LoadError(f"Model file not found: {path}.")
    with path.open("rb") as file:
        start = file.read(len(_POINTER))
    if start == _POINTER:
        raise LoadError(_pointer(path))
    if start[:4] != b"GGUF":
        raise LoadError(f"{path} is not a GGUF file.")


def _check_directory(path: Path) -> None:
    if path.is_file():
        raise LoadError(f"{path} is a file. Enter the directory of the model, or a .gguf file.")
    if not path.is_dir():
        raise LoadError(f"Model directory not found: {path}.")
    refuse_special_files(path)
    if (path / "adapter_config.json").is_file():
        raise LoadError(f"{path} is an adapter. Merge it into its base model first.")
    if not (path / "config.json").is_file():
        raise LoadError(f"{path} has no config.json, so it is not a transformers model.{_nearby(path)}")
    for file in sorted(path.glob("*config*.json")):
        _check_config(file)
    if not has_weights(path):
        raise LoadError(f"{path} has no weights (*.safetensors).{_nearby(path)}")
    _check_shards(path)
    for file in sorted(path.glob("*.safetensors")):
        _check_safetensors(file)
    if (tokenizer := path / "tokenizer.json").is_file():
        _object(tokenizer)


def refuse_special_files(path: Path) -> None:
    """Raise UnsafeModelError for a directory with pipes, sockets or devices, on which reading would wait for good."""
    for file in (*path.glob("*"), *path.glob("*/*")):
        with suppress(OSError):  # a link to nowhere
            mode = file.stat().st_mode
            if not (S_ISREG(mode) or S_ISDIR(mode)):
                raise UnsafeModelError(f"{file} is not a file, but a pipe, a socket or a device. Remove it.")


def _nearby(path: Path) -> str:
    """Return what a directory has instead of a model."""
    found = sorted(path.iterdir())
    if packed := next((file for file in found if file.suffix.lower() == GGUF), None):
        return f" It has a GGUF file: enter {packed}."
    if inside := next((folder for folder in found if folder.is_dir() and (folder / "config.json").is_file()), None):
        return f" Did you mean {inside}?"
    return "" if found else " The directory is empty."


def _check_config(file: Path) -> None:
    config = _object(file) if file.name == "config.json" else read_json(file)
    if has_key(config, "auto_map") and not (file.name == "config.json" and _is_supported(config)):
        raise UnsafeModelError(
            f"{file} requires custom model code (auto_map), which is never run. Choose a model that the transformers "
            "library supports without custom code."
        )


def _is_supported(config: dict[str, Any]) -> bool:
    """Return whether transformers has code of its own for a model; that of the model is then ignored."""
    from transformers.models.auto.auto_mappings import CONFIG_MAPPING_NAMES  # takes a second

    return config.get("model_type") in CONFIG_MAPPING_NAMES


def has_weights(path: Path) -> bool:
    """Return whether a directory has weights; raise UnsafeModelError if all of them are pickled."""
    if any(path.glob("*.safetensors")):
        return True
    pickles = sorted(file.name for pattern in _PICKLES for file in path.glob(pattern))
    if pickles:
        raise UnsafeModelError(
            f"{path} has only pickled weights ({pickles[0]}), which can run code and are never read. Convert them to "
            "safetensors."
        )
    return False


def _check_shards(path: Path) -> None:
    """Raise LoadError if a file is missing that the index of the weights names."""
    index = path / _INDEX
    if not index.is_file():
        return
    names = _object(index).get("weight_map")
    if not isinstance(names, dict):
        raise LoadError(f"{index} is damaged: it has no 'weight_map'.")
    wanted = sorted({str(name) for name in names.values()})
    missing = [name for name in wanted if not (path / name).is_file()]
    if missing:
        raise LoadError(f"{path} lacks {len(missing)} of {len(wanted)} files of weights, such as {missing[0]}.")


def _check_safetensors(file: Path) -> None:
    """Raise LoadError if a file of weights is damaged or ends early."""
    size = file.stat().st_size
    with file.open("rb") as content:
        start = content.read(_LENGTH_BYTES)
        if _POINTER.startswith(start) and size > _LENGTH_BYTES:
            raise LoadError(_pointer(file))
        length = int.from_bytes(start, "little")
        if len(start) < _LENGTH_BYTES or not 0 < length <= min(_MAX_HEADER, size - _LENGTH_BYTES):
            raise LoadError(f"{file} is damaged: it is no safetensors file.")
        header = content.read(length)
    try:
        ends = [tensor["data_offsets"][1] for name, tensor in json.loads(header).items() if name != "__metadata__"]
        expected = _LENGTH_BYTES + length + max(ends, default=0)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise LoadError(f"{file} is damaged: its header can't be read.") from error
    if size != expected:
        raise LoadError(f"{file} is damaged: it has {size:,} of {expected:,} bytes.")


def _pointer(file: Path) -> str:
    return f"{file} is a Git LFS pointer without the weights. Run 'git lfs pull' in its directory."


def _object(file: Path) -> dict[str, Any]:
    found = read_json(file)
    if not isinstance(found, dict):
        raise LoadError(f"{file} is damaged: it is no JSON object.")
    return found


def read_json(file: Path) -> Any:
    """Return the content of a JSON file; raise LoadError for a damaged one."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (IsADirectoryError, FileNotFoundError) as error:
        raise LoadError(f"Can't read {file}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise LoadError(f"{file} is not valid JSON: {error}") from error


def has_key(value: Any, key: str) -> bool:
    """Return whether an object has a key, at any depth."""
    left = [value]
    while left:
        found = left.pop()
        if isinstance(found, dict):
            if key in found:
                return True
            left += found.values()
    return False
