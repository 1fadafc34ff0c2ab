"""Processes that have imported what they need, forked from one that did so once: each start saves seconds."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

PRELOADED = {
    "herding.main": "tests.support.preloaded.app",
    "herding.cli": "tests.support.preloaded.app",
    "herding.engine.__main__": "tests.support.preloaded.engine",
}
"""Modules with a function `main`, and those that import what it needs."""

_servers: dict[str, forkserver.ForkServer] = {}


class ReadyProcess:
    """Runs `main` of a module, with other settings in each process; used like a `Popen`.

    Its output goes to the file descriptor `stdout`, and its errors there too, unless there is `stderr`.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str],
        directory: Path,
        stdout: int,
        stderr: int | None = None,
    ) -> None:
        preloaded = PRELOADED[module]
        if preloaded not in _servers:
            _servers[preloaded] = forkserver.ForkServer()
            _servers[preloaded].set_forkserver_preload([preloaded])
        streams = [Connection(os.dup(stream)) for stream in (stdout, stdout if stderr is None else stderr)]
        self._process = multiprocessing.get_context("forkserver").Process(
            target=_run, args=(module, arguments, dict(environment), str(directory), streams), daemon=True
        )
        with patch.object(forkserver, "connect_to_new_process", _servers[preloaded].connect_to_new_process):
            self._process.start()
        for stream in streams:
            stream.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Return the exit status once it ended."""
        self._process.join(timeout)
        if (status := self.poll()) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return status

    def send_signal(self, how: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, how)


def _run(
    module: str, arguments: Sequence[str], environment: dict[str, str], directory: str, streams: Sequence[Connection]
) -> None:
    """Become the program."""
    for number, stream in enumerate(streams, 1):
        os.dup2(stream.fileno(), number)
        stream.close()
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # it depends on the environment
    sys.argv[1:] = arguments
    sys.exit(importlib.import_module(module).main())
