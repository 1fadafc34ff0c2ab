"""The models that were added to a node while Herding ran, in a file, so that it offers them after a restart too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from herding.values.model_paths import split_path


class AddedModels:
    """Models by id, each with its path or None for one of the hub. Without a `file` they last as long as the app."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._paths = dict(split_path(model) for model in _read(file))

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __contains__(self, model: str) -> bool:
        return model in self._paths

    @property
    def paths(self) -> dict[str, str]:
        """The paths of those that have one."""
        return {model: path for model, path in self._paths.items() if path is not None}

    def add(self, model: str, path: str | None) -> None:
        """Remember a model."""
        if model not in self._paths:
            self._paths[model] = path
            self._write()

    def remove(self, model: str) -> None:
        """Forget a model."""
        if model in self._paths:
            del self._paths[model]
            self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        models = [f"{model}={path}" if path else model for model, path in self._paths.items()]
        part.write_text(json.dumps(models), encoding="utf-8")
        part.replace(self._file)


def _read(file: Path | None) -> list[str]:
    """Return the models in a file; none if it is missing or damaged."""
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file else []
    except (OSError, ValueError):
        return []
    return [model for model in found if isinstance(model, str)] if isinstance(found, list) else []
