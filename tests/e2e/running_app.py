"""The real app as a child process of a test, on a port and a data directory of its own."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.support.ports import free_port
from tests.support.ready_process import ReadyProcess

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 300.0
CRIA_ONLY = Path(__file__).parent / "nodes.yaml"
"""The herd of apps that are given no other one: with the larger model of the shipped file, each would start slower."""
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""An app that is started here has no TLS, and to read all certificate authorities takes longer than most requests."""


class RunningApp:
    """Starts the app with its data in `home`; with `own_home` it must find a place for them itself.

    It runs in a process that has imported it already, unless it has an `own_interpreter`: then it is started as users
    do, by `python app.py`, which takes seconds. `kill` is SIGKILL, `stop` is SIGTERM, `start` brings it up again on the
    same data.
    """

    def __init__(
        self,
        home: Path,
        *,
        environment: Mapping[str, str] | None = None,
        code: Path = ROOT,
        own_home: bool = False,
        own_interpreter: bool = False,
    ) -> None:
        self.home = home
        self.code = code
        self.port = free_port()
        self.log = home / "app.log"
        self._own_interpreter = own_interpreter or code != ROOT
        self._environment = dict(environment or {})
        self._environment.setdefault("HERDING_NODES", str(CRIA_ONLY))
        if not own_home:
            self._environment.setdefault("HERDING_HOME", str(home))
        self._process: subprocess.Popen[bytes] | ReadyProcess | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, ready: bool = True, prefix: tuple[str, ...] = ()) -> RunningApp:
        """Start it and wait until it listens, or until a request can be served."""
        environment = {k: v for k, v in os.environ.items() if k not in ("HF_TOKEN", "TOGETHER_API_KEY")}
        environment |= {"HERDING_PORT": str(self.port), **self._environment}
        with self.log.open("ab") as log:
            if self._own_interpreter:
                command = [*prefix, sys.executable, str(self.code / "app.py")]
                self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.code)
            else:
                where = {"environment": environment, "directory": self.code}
                self._process = ReadyProcess("herding.main", **where, stdout=log.fileno())
        self.wait_for("/readyz" if ready else "/healthz")
        return self

    def wait_for(self, path: str, *, seconds: float = START_SECONDS) -> None:
        def answers() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, f"the app ended:\n{self.log.read_text()[-3000:]}"
            try:
                return http.get(path).status_code == 200
            except httpx.TransportError:
                return False

        with self.client() as http:
            wait_until(answers, seconds=seconds, what=f"{path} of the app; its log:\n{self.log.read_text()[-3000:]}")

    def client(self) -> httpx.Client:
        """A client for it, which is made quickly."""
        return httpx.Client(base_url=self.url, trust_env=False, timeout=120, verify=NO_AUTHORITIES)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an operator would."""
        if self._process and self._process.poll() is None:
            self._end(signal.SIGTERM)

    def send_signal(self, how: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(how)

    def wait(self, *, seconds: float = 120) -> int:
        """Wait for its end; return its exit status."""
        assert self._process is not None
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the app does not end:\n{self.log.read_text()[-3000:]}") from None

    def _end(self, how: signal.Signals) -> None:
        self.send_signal(how)
        self.wait()

    def children(self) -> list[int]:
        """Process ids of its children."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(pid) for pid in listed]


def wait_until(holds: Callable[[], Any], *, seconds: float, what: str) -> None:
    """Return as soon as `holds`; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process still runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
