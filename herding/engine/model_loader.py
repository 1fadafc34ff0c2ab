"""Fetches and opens models; imports torch and transformers, which takes seconds, in a thread."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from herding.engine.errors import LoadError
from herding.engine.model import ServedModel
from herding.engine.model_files import ModelSource, check_model
from herding.engine.options import Options, default_threads
from herding.engine.progress import ProgressBar, Report, StageProgress

_SHARED_LIBRARIES = ("libtorch_cpu.so", "libtorch_python.so")
_FILE_PATTERNS = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
_SUBFOLDERS = ["*/*"]


class TransformersLoader:
    """Loads models from disk or from the hub; implements `ModelLoader`."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def fetch(self, source: ModelSource, report: Report) -> Path:
        """Return the checked directory or file of a model; download missing files of a hub model."""
        path = source.path or _download(source.id, report)
        check_model(path)
        return path

    def open(self, path: Path, report: Report, loop: asyncio.AbstractEventLoop) -> ServedModel:
        """Load the model in `path`; its tokens arrive on `loop`."""
        report("starting", None)
        options = self._options
        return _import_open_model()(
            path,
            report,
            quantization=options.quantization,
            max_context=options.max_context,
            max_active=options.max_active,
            threads=options.threads or default_threads(),
            loop=loop,
        )


def _download(model: str, report: Report) -> Path:
    """Return the local directory of a hub model; download missing files, except those that can contain code."""
    from huggingface_hub import snapshot_download

    progress = StageProgress("downloading", report)
    try:
        files = snapshot_download(model, allow_patterns=_FILE_PATTERNS, ignore_patterns=_SUBFOLDERS, dry_run=True)
        total = sum(file.file_size or 0 for file in files if file.will_download)
        path = snapshot_download(
            model,
            allow_patterns=_FILE_PATTERNS,
            ignore_patterns=_SUBFOLDERS,
            tqdm_class=_download_bar(progress, total),
        )
    except (OSError, ValueError) as error:
        raise LoadError(f"Can't download '{model}': {error}") from error
    return Path(path)


def _download_bar(progress: StageProgress, total: int) -> Any:
    """Return a progress bar class that reports the fraction of `total` bytes that are on disk."""

    class DownloadBar(ProgressBar):
        def __init__(self, *items: Any, **options: Any) -> None:
            on_disk = str(options.get("desc", "")).startswith("Reconstructing")
            super().__init__(lambda n, _: progress(n, total) if on_disk else None, *items, **options)

    return DownloadBar


def _import_open_model() -> Callable[..., ServedModel]:
    """Import torch and transformers while the event loop keeps running.

    Their shared libraries are opened first by a call that releases the interpreter lock. The garbage collector, which
    stops all threads to scan a million new objects repeatedly, is paused until the end.
    """
    _open_shared_libraries()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        from herding.engine import transformers_model
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
    return transformers_model.open_model


def _open_shared_libraries() -> None:
    """Call the system's dlopen; unlike `ctypes.CDLL(path)`, a foreign call releases the interpreter lock."""
    spec = importlib.util.find_spec("torch")
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for name in _SHARED_LIBRARIES:
            file = Path(folder) / "lib" / name
            if file.exists():
                dlopen(bytes(file), os.RTLD_NOW)
