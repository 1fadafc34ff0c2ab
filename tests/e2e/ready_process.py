"""Processes that have imported the app, forked from one that did so once: each start saves seconds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.e2e.preload"])


class ReadyProcess:
    """Runs the app as `python app.py` does, with other settings in each process; used like a `Popen`."""

    def __init__(self, environment: Mapping[str, str], *, log: Path, directory: Path) -> None:
        log.touch()
        self._process = _FORKS.Process(target=_run, args=(dict(environment), str(log), str(directory)), daemon=True)
        self._process.start()

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
            raise subprocess.TimeoutExpired("app", timeout)
        return status

    def send_signal(self, how: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, how)


def _run(environment: dict[str, str], log: str, directory: str) -> None:
    """Become the app."""
    from herding.main import main

    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # it depends on the environment
    sys.exit(main())
