"""A child process that must neither die unnoticed nor outlive us: launched, watched, restarted with back-off."""

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
LAST_WORDS_SECONDS = 0.5
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
HEALTHY_AFTER = 60.0

log = logging.getLogger(__name__)


class Child:
    """Keeps one process running.

    The process announces itself with one JSON line on its standard output; `on_up` gets that line. Its standard
    input is a pipe from us, whose end tells it that we are gone, even when we were killed. `on_down` is called when
    it died. Restarts wait 0.5 s, then twice as long each time up to 30 s; a minute of health starts over.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        environment: Mapping[str, str],
        on_up: Callable[[dict[str, Any]], Awaitable[None]],
        on_down: Callable[[str], Awaitable[None]],
    ) -> None:
        self._command = list(command)
        self._name = name
        self._environment = dict(environment)
        self._on_up, self._on_down = on_up, on_down
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._listening: list[asyncio.Task[None]] = []
        self._last_words: deque[str] = deque(maxlen=20)

    @property
    def pid(self) -> int | None:
        """Process id of the running child."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def start(self) -> None:
        """Begin to keep the process running."""
        self._task = asyncio.create_task(self._keep(), name=f"child {self._name}")

    async def close(self) -> None:
        """End the process, kindly and then not, and stop watching it."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._end()
        await self._hush()

    async def _keep(self) -> None:
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while True:
            began = loop.time()
            reason = await self._live()
            await self._on_down(reason)
            pause = FIRST_PAUSE if loop.time() - began > HEALTHY_AFTER else pause
            log.warning("%s ended (%s); starting it again in %.1f s", self._name, reason, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _live(self) -> str:
        """One life of the process; returns why it ended."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
                start_new_session=True,
            )
        except OSError as error:
            return f"cannot be started: {error}"
        announced = asyncio.get_running_loop().create_future()
        self._last_words.clear()
        self._listening = [
            asyncio.create_task(self._listen(self._process.stderr)),
            asyncio.create_task(self._hear(self._process.stdout, announced)),
        ]
        try:
            async with asyncio.timeout(ANNOUNCE_SECONDS):
                line = await announced
            await self._on_up(_object(line))
            await self._process.wait()
        except (TimeoutError, ValueError, LookupError, TypeError, NodeError) as error:
            log.debug("%s did not come up: %r", self._name, error)
            await self._end()
        await self._hush()
        return self._reason()

    async def _hear(self, stream: asyncio.StreamReader | None, announced: asyncio.Future[bytes]) -> None:
        """The first line is the announcement. The others are read too: a pipe that nobody empties stops its writer."""
        line = await _line(stream)
        if not announced.done():
            announced.set_result(line)
        await self._listen(stream)

    async def _listen(self, stream: asyncio.StreamReader | None) -> None:
        """Pass the process's log lines on to ours, and remember the last ones."""
        while stream and (line := await _line(stream)):
            text = line.decode(errors="replace").rstrip()
            self._last_words.append(text)
            log.info("[%s] %s", self._name, text)

    async def _hush(self) -> None:
        """Take in the last words of a process that has ended."""
        if self._listening:
            await asyncio.wait(self._listening, timeout=LAST_WORDS_SECONDS)
        for task in self._listening:
            task.cancel()

    def _reason(self) -> str:
        code = self._process.returncode if self._process else None
        last = next((line for line in reversed(self._last_words) if line.strip()), "")
        how = f"killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        return f"{how}: {last}" if last and code and code > 0 else how

    async def _end(self) -> None:
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


def _object(line: bytes) -> dict[str, Any]:
    """The JSON object in `line`; ValueError if it holds none."""
    data = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError("the announcement is not a JSON object")
    return data


async def _line(stream: asyncio.StreamReader | None) -> bytes:
    """The next line; a line too long for the buffer comes back empty-handed but does not end the reading."""
    if stream is None:
        return b""
    try:
        return await stream.readline()
    except ValueError:
        return b"(a very long line)\n"
