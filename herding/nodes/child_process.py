"""A supervised child process: restarted with back-off when it dies, and ended with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from herding.errors import NodeError

ANNOUNCE_SECONDS = 60.0
STOP_SECONDS = 3.0
OUTPUT_SECONDS = 0.5
MIN_PAUSE, MAX_PAUSE = 0.5, 30.0
RESET_AFTER = 60.0

log = logging.getLogger(__name__)


class ChildProcess:
    """Keeps one process running, which `command` returns before each start.

    The process announces itself with one JSON line on stdout, which is passed to `on_up`. Its stdin is a pipe that
    closes when the parent ends, even when it is killed. `on_down` is called with the reason when the process dies.
    A restart waits 0.5 s, doubled each time up to 30 s; after a minute of running the wait is reset.
    """

    def __init__(
        self,
        command: Callable[[], Sequence[str]],
        *,
        name: str,
        environment: Mapping[str, str],
        on_up: Callable[[dict[str, Any]], Awaitable[None]],
        on_down: Callable[[str], Awaitable[None]],
    ) -> None:
        self._command = command
        self._name = name
        self._environment = dict(environment)
        self._on_up, self._on_down = on_up, on_down
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._last_lines: deque[str] = deque(maxlen=20)

    @property
    def pid(self) -> int | None:
        """The process id of the running process."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def start(self) -> None:
        """Start the process and its supervision."""
        self._task = asyncio.create_task(self._supervise(), name=f"child {self._name}")

    async def close(self) -> None:
        """Terminate the process, kill it if it does not exit, and stop supervising it."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._terminate()
        await self._finish_output()

    async def _supervise(self) -> None:
        loop, pause = asyncio.get_running_loop(), MIN_PAUSE
        while True:
            started_at = loop.time()
            reason = await self._run()
            await self._on_down(reason)
            pause = MIN_PAUSE if loop.time() - started_at > RESET_AFTER else pause
            log.warning("restart %s in %.1f s (%s)", self._name, pause, reason)
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE)

    async def _run(self) -> str:
        """Run the process once and return why it ended."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
                start_new_session=True,
            )
        except OSError as error:
            return f"can't start: {error}"
        announcement = asyncio.get_running_loop().create_future()
        self._last_lines.clear()
        self._readers = [
            asyncio.create_task(self._log_output(self._process.stderr)),
            asyncio.create_task(self._read_stdout(self._process.stdout, announcement)),
        ]
        try:
            async with asyncio.timeout(ANNOUNCE_SECONDS):
                line = await announcement
            await self._on_up(_json_object(line))
            await self._process.wait()
        except (TimeoutError, ValueError, LookupError, TypeError, NodeError) as error:
            log.debug("start %s failed: %r", self._name, error)
            await self._terminate()
        await self._finish_output()
        return self._reason()

    async def _read_stdout(self, stream: asyncio.StreamReader | None, announcement: asyncio.Future[bytes]) -> None:
        """Read the announcement, then log the rest, since a full pipe would block the process."""
        line = await _read_line(stream)
        if not announcement.done():
            announcement.set_result(line)
        await self._log_output(stream)

    async def _log_output(self, stream: asyncio.StreamReader | None) -> None:
        """Log the lines of the process and remember the last ones."""
        while stream and (line := await _read_line(stream)):
            text = line.decode(errors="replace").rstrip()
            self._last_lines.append(text)
            log.info("[%s] %s", self._name, text)

    async def _finish_output(self) -> None:
        """Read the rest of the output of a process that has ended."""
        if self._readers:
            await asyncio.wait(self._readers, timeout=OUTPUT_SECONDS)
        for task in self._readers:
            task.cancel()

    def _reason(self) -> str:
        code = self._process.returncode if self._process else None
        last = next((line for line in reversed(self._last_lines) if line.strip()), "")
        exit_text = f"killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        return f"{exit_text}: {last}" if last and code and code > 0 else exit_text

    async def _terminate(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _json_object(line: bytes) -> dict[str, Any]:
    """Return the JSON object in `line`; raise ValueError if there is none."""
    data = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError("the announcement is not a JSON object")
    return data


async def _read_line(stream: asyncio.StreamReader | None) -> bytes:
    """Return the next line; a line that exceeds the buffer is replaced by a note."""
    if stream is None:
        return b""
    try:
        return await stream.readline()
    except ValueError:
        return b"(a very long line)\n"
