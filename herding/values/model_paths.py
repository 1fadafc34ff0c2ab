"""Models that are named by a path: a directory or a `.gguf` file."""

from __future__ import annotations

import re
from pathlib import Path

from herding.errors import ConfigError

GGUF = ".gguf"
_PAGE = re.compile(r"https?://(?:huggingface\.co|hf\.co)/([^/?#]+/[^/?#]+)")
_OTHER_CHARACTERS = re.compile(r"[^A-Za-z0-9_.-]+")


def is_model_path(text: str) -> bool:
    """Return whether a model is named by a path, and not by its id at the model hub."""
    return text.startswith(("/", "./", "../", "~")) or text.lower().endswith(GGUF)


def model_id_of(path: Path) -> str:
    """Return the id of the model at a path: the name of the directory, or of the file without `.gguf`."""
    name = path.stem if path.suffix.lower() == GGUF else path.name
    return _OTHER_CHARACTERS.sub("-", name).lstrip(".-") or "model"


def split_path(model: str) -> tuple[str, str | None]:
    """Return the id and the path of a model that is written as `PATH` or `ID=PATH`; no path for an id alone.

    The address of a model's page at the hub stands for its id.
    """
    model = model.strip()
    if page := _PAGE.match(model):
        return page[1], None
    id, separator, path = model.partition("=")
    if separator and path and not is_model_path(id):
        return id, path
    return (model_id_of(Path(model)), model) if is_model_path(model) else (model, None)


def expanded(path: str) -> Path:
    """Return a path with `~` replaced by the home directory; raise ConfigError for one that can't be."""
    if "\0" in path:
        raise ConfigError("The path of a model contains a character that paths can't have.")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(f"'{path}' names no home directory. Enter the whole path of the model.") from None
