"""Brings the files of a model to the disk: downloads from the hub, and converts GGUF files once."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from herding.engine.errors import LoadError, MemoryBudgetError
from herding.engine.fetching.hub_cache import Download, HubCache
from herding.engine.model_check import check_model
from herding.engine.model_files import INSTALL_COMMAND, ModelSource, is_packaged, packaged_weights
from herding.engine.progress import Report
from herding.values.model_paths import GGUF, model_id_of

_FORMAT = 1
"""Changes with the files that a conversion writes, so that older ones are not used."""


class ModelFetcher:
    """Returns the directory of a model. Downloads and conversions are processes that end when the caller is cancelled.

    Converted models are kept in the directory `cache`, and those of the hub in `hub`. Models whose weights have more
    than `max_weights` bytes are not downloaded.
    """

    def __init__(self, cache: Path, *, hub: HubCache | None = None, max_weights: int | None = None) -> None:
        self._cache = cache.absolute()
        self._hub = hub or HubCache()
        self._max_weights = max_weights

    def on_disk(self, source: ModelSource) -> bool:
        """Return whether a model needs no download."""
        return _given(source) is not None or self._hub.complete(source.id) is not None

    def unfinished(self, source: ModelSource) -> Download | None:
        """Return how far the download of a model came; None without one."""
        return None if _given(source) else self._hub.unfinished(source.id)

    def deletable(self, source: ModelSource) -> int:
        """Return the bytes of a model's files that belong to Herding alone and that can be made again."""
        path = _given(source)
        if path is None:
            return self._hub.size(source.id) if self._hub.own else 0
        return sum(_size(folder) for folder in self._conversions(path))

    def delete(self, source: ModelSource) -> None:
        """Remove the files of a model that belong to Herding alone."""
        path = _given(source)
        if path is None:
            if self._hub.own:
                self._hub.delete(source.id)
            return
        for folder in self._conversions(path):
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)

    async def fetch(self, source: ModelSource, report: Report) -> Path:
        """Return the checked directory of a model; raise LoadError if it cannot be used."""
        path = _given(source) or await asyncio.to_thread(self._hub.complete, source.id)
        if path is None:
            path = await self._download(source.id, report)
        await asyncio.to_thread(check_model, path)
        if path.suffix.lower() != GGUF or path.is_dir():
            return path
        target = await asyncio.to_thread(self._converted, path)
        return target if target.is_dir() else await _run(report, "convert", str(path), str(target))

    async def _download(self, model: str, report: Report) -> Path:
        try:
            return await _run(report, "download", model, *self._limits())
        except MemoryBudgetError:
            raise
        except LoadError as error:
            if not is_packaged(model):
                raise
            advice = f"Its weights also come as a package: {INSTALL_COMMAND}"
            raise LoadError(f"{error.message} {advice}") from error

    def _limits(self) -> list[str]:
        own = ["--own", str(self._hub.directory)] if self._hub.own else []
        return own if self._max_weights is None else [*own, "--max-weights", str(self._max_weights)]

    def _conversions(self, path: Path) -> list[Path]:
        """Return the directory that a GGUF file was converted to, if there is one."""
        if path.suffix.lower() != GGUF or not path.is_file():
            return []
        return [folder for folder in [self._converted(path)] if folder.is_dir()]

    def _converted(self, file: Path) -> Path:
        """Return the directory for what a file is converted to; a file that changes gets another one."""
        facts = file.stat()
        described = f"{_FORMAT} {file.resolve()} {facts.st_size} {facts.st_mtime_ns}"
        digest = hashlib.sha256(described.encode()).hexdigest()[:16]
        return self._cache / f"{model_id_of(file)}-{digest}"


async def _run(report: Report, *arguments: str) -> Path:
    """Run the fetch program and return the path that it ends with; kill it when the caller is cancelled."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "herding.engine.fetching.program", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    last: dict[str, Any] = {}
    try:
        assert process.stdout is not None  # noqa: S101  a pipe was asked for
        async for line in process.stdout:
            last = json.loads(line)
            if "stage" in last:
                report(last["stage"], last["fraction"])
        code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if "path" in last:
        return Path(last["path"])
    message = last.get("error") or f"The {arguments[0]} of {arguments[1]} ended with exit code {code}."
    raise MemoryBudgetError(message) if last.get("error_type") == MemoryBudgetError.type else LoadError(message)


def _given(source: ModelSource) -> Path | None:
    """Return the path of a model that is not of the hub's cache: the given one, or that of packaged weights."""
    return source.path or packaged_weights(source.id)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*") if file.is_file())
