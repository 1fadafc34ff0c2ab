"""The models of the hub on this machine: which are complete, how far a download came, and what their files take."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PART = ".part"
"""The suffix of a file that is being downloaded."""

_STATE = ".herding.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")


@dataclass(frozen=True, slots=True)
class Download:
    """A download that is not complete. `done` and `size` are in bytes; `size` is None if it is not known."""

    done: int
    size: int | None


class HubCache:
    """The directory of downloaded models, in the layout of the hub's own library.

    By default it is the one that all programs of this user share. A directory of Herding alone is its `own`: files
    there may be deleted.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or shared_directory()
        self.own = directory is not None

    def folder(self, model: str) -> Path:
        """Return the directory of a model."""
        return self.directory / f"models--{model.replace('/', '--')}"

    def begin(self, model: str, size: int) -> None:
        """Note that a download of `size` bytes begins, or goes on."""
        self._write(model, {"size": size})

    def finish(self, model: str, snapshot: Path) -> None:
        """Note that all files of a model are in the directory `snapshot`, and remove what is left of others."""
        for part in self._parts(model):
            part.unlink(missing_ok=True)
        self._write(model, {"snapshot": snapshot.name})

    def complete(self, model: str) -> Path | None:
        """Return the directory with all files of a model; None if some are missing, or if that is not certain."""
        state = self._read(model)
        if "snapshot" in state:
            found = self.folder(model) / "snapshots" / str(state["snapshot"])
            return found if has_all_weights(found) else None
        if state or self._parts(model):
            return None
        return next((place for place in self._snapshots(model) if _is_usable(place)), None)

    def perhaps_complete(self, model: str) -> Path | None:
        """Return the directory with the weights of a model, of which other files may be missing; None without one."""
        if self._read(model) or self._parts(model):
            return None
        return next((place for place in self._snapshots(model) if has_all_weights(place)), None)

    def unfinished(self, model: str) -> Download | None:
        """Return how far the download of a model came; None without one."""
        state, parts = self._read(model), self._parts(model)
        if not parts and "size" not in state:
            return None
        blobs = self.folder(model) / "blobs"
        done = _size(blobs.iterdir()) if blobs.is_dir() else 0
        size = state.get("size")
        return Download(done, size if isinstance(size, int) and size >= done else None)

    def size(self, model: str) -> int:
        """Return the bytes that the files of a model take."""
        return _size((self.folder(model) / "blobs").glob("*"))

    def delete(self, model: str) -> None:
        """Remove the files of a model, which no process may be using."""
        shutil.rmtree(self.folder(model), ignore_errors=True)

    def _parts(self, model: str) -> list[Path]:
        return list(self.folder(model).glob(f"blobs/*{PART}"))

    def _snapshots(self, model: str) -> list[Path]:
        """Return the directories of a model's versions, that of the main branch first."""
        folder = self.folder(model)
        with contextlib.suppress(OSError):
            return [folder / "snapshots" / (folder / "refs" / "main").read_text().strip()]
        return sorted(folder.glob("snapshots/*"))

    def _read(self, model: str) -> dict[str, Any]:
        try:
            found = json.loads((self.folder(model) / _STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, model: str, state: dict[str, Any]) -> None:
        file = self.folder(model) / _STATE
        part = file.with_suffix(".new")
        part.write_text(json.dumps(state), encoding="utf-8")
        part.replace(file)


def shared_directory() -> Path:
    """Return the directory that the hub's library uses in this environment."""
    environment = os.environ
    if given := environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE"):
        return Path(given).expanduser()
    caches = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or Path(caches) / "huggingface"
    return Path(home).expanduser() / "hub"


def has_all_weights(directory: Path) -> bool:
    """Return whether a directory has a configuration, and all the files that its index of weights names."""
    if not (directory / "config.json").is_file():
        return False
    try:
        index = json.loads((directory / "model.safetensors.index.json").read_text(encoding="utf-8"))
        names = set(index["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return any(file.is_file() for file in directory.glob("*.safetensors"))
    return all((directory / str(name)).is_file() for name in names)


def _is_usable(snapshot: Path) -> bool:
    """Return whether a directory that another program filled has all that a model needs."""
    return has_all_weights(snapshot) and any((snapshot / name).is_file() for name in TOKENIZERS)


def _size(files: Iterable[Path]) -> int:
    total = 0
    for file in files:
        with contextlib.suppress(OSError):  # removed meanwhile
            total += file.stat().st_size
    return total
