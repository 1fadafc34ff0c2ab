"""The one door to torch and transformers; importing them takes seconds, so it happens in a thread."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

from herding.engine.directory import check_directory
from herding.engine.offers import Offer
from herding.engine.options import Options, default_threads
from herding.engine.progress import Report
from herding.engine.served import Served

_LIBRARIES = ("libtorch_cpu.so", "libtorch_python.so")


class Runtime:
    """Gets models from disk or hub; imports the libraries when the first one is opened. Blocks."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def fetch(self, offer: Offer, report: Report) -> Path:
        """The checked directory of `offer`; downloads what is missing of a model from the hub."""
        path = offer.path or _import_download()(offer.id, report)
        check_directory(path)
        return path

    def open(self, path: Path, report: Report, loop: asyncio.AbstractEventLoop) -> Served:
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


def _import_download() -> Callable[[str, Report], Path]:
    from herding.engine.download import download

    return download


def _import_open_model() -> Callable[..., Served]:
    """Import the libraries so that the event loop goes on answering.

    Their shared objects are opened first by a call that lets other threads run meanwhile, and the garbage
    collector, which stops all threads to look at a million new objects again and again, waits until the end.
    """
    _open_shared_objects()
    was_on = gc.isenabled()
    gc.disable()
    try:
        from herding.engine import transformers_model  # late on purpose: see above
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
    return transformers_model.open_model


def _open_shared_objects() -> None:
    """Call the system's own dlopen: unlike `ctypes.CDLL(path)`, a foreign call lets other threads run."""
    spec = importlib.util.find_spec("torch")
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for name in _LIBRARIES:
            file = Path(folder) / "lib" / name
            if file.exists():
                dlopen(bytes(file), os.RTLD_NOW)
