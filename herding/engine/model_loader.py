"""Fetches and opens models; imports torch and transformers, which takes seconds, in a thread."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib.util
import os
import sys
import threading
from pathlib import Path
from typing import Any

from herding.engine.fetching.fetcher import ModelFetcher
from herding.engine.fetching.hub_cache import HubCache
from herding.engine.model import ServedModel
from herding.engine.options import PACKED, Options, default_threads
from herding.engine.progress import Report

_SHARED_LIBRARIES = ("libtorch_cpu.so", "libtorch_python.so")


class TransformersLoader(ModelFetcher):
    """Loads models from disk or from the hub; implements `ModelLoader`."""

    def __init__(self, options: Options, *, budget: int) -> None:
        max_weights = int(budget / PACKED[options.quantization])
        super().__init__(options.cache, hub=HubCache(options.downloads), max_weights=max_weights)
        self.budget = budget
        self._options = options
        self._importing = threading.Lock()

    def measure(self, path: Path, report: Report) -> int:
        """Return the bytes that a model will take."""
        report("starting", None)
        options = self._options
        module = self._import()
        return int(
            module.measure_model(
                path, quantization=options.quantization, max_context=options.max_context, budget=self.budget
            )
        )

    def open(self, path: Path, report: Report, loop: asyncio.AbstractEventLoop) -> ServedModel:
        """Load the model in `path`; its tokens arrive on `loop`."""
        options = self._options
        model: ServedModel = self._import().open_model(
            path,
            report,
            quantization=options.quantization,
            max_context=options.max_context,
            max_active=options.max_active,
            threads=options.threads or default_threads(),
            loop=loop,
            budget=self.budget,
        )
        return model

    def _import(self) -> Any:
        with self._importing:
            return sys.modules.get("herding.engine.transformers_model") or _import_models()


def _import_models() -> Any:
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
    return transformers_model


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
