"""A child process: watched, restarted, never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from herding.nodes.child_process import ChildProcess
from tests.support.until import until

ROOT = Path(__file__).resolve().parents[2]
UP = "import sys; print('{\"port\": 1}', flush=True); "
WAIT = "sys.stdin.read()"


class Watched:
    """A child, and what it reported."""

    def __init__(self, code: str, on_up: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.ups: list[dict[str, Any]] = []
        self.downs: list[str] = []
        self.times: list[float] = []
        self._on_up = on_up
        self.child = ChildProcess(
            lambda: [sys.executable, "-c", code],
            name="child",
            environment=os.environ,
            on_up=self._up,
            on_down=self._down,
        )

    async def _up(self, announced: dict[str, Any]) -> None:
        self.ups.append(announced)
        if self._on_up:
            self._on_up(announced)

    async def _down(self, reason: str) -> None:
        self.downs.append(reason)
        self.times.append(time.monotonic())


@asynccontextmanager
async def running(code: str, on_up: Callable[[dict[str, Any]], None] | None = None) -> AsyncIterator[Watched]:
    watched = Watched(code, on_up)
    watched.child.start()
    try:
        yield watched
    finally:
        async with asyncio.timeout(60):
            await watched.child.close()
        assert watched.child.pid is None


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be buried does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


async def test_the_announcement_is_passed_on_and_close_ends_the_process() -> None:
    async with running(UP + WAIT) as watched:
        await until(lambda: watched.ups)
        pid = watched.child.pid
        assert pid is not None
        assert watched.ups == [{"port": 1}]
    await until(lambda: not alive(pid))
    assert watched.downs == []


@pytest.mark.slow
async def test_a_child_that_dies_is_started_again_after_longer_and_longer_pauses() -> None:
    async with running(UP + "sys.exit(3)") as watched:
        await until(lambda: len(watched.downs) == 3)
    first, second, third = watched.times
    assert "exit code 3" in watched.downs[0]
    assert second - first >= 0.5
    assert third - second >= 1.0


async def test_a_killed_child_is_started_again() -> None:
    async with running(UP + WAIT) as watched:
        await until(lambda: watched.ups)
        assert watched.child.pid is not None
        os.kill(watched.child.pid, signal.SIGKILL)
        await until(lambda: len(watched.ups) == 2)
        assert watched.downs == ["killed by SIGKILL"]


async def test_the_reason_holds_its_last_words() -> None:
    async with running(UP + "sys.exit('the disk is full')") as watched:
        await until(lambda: watched.downs)
    assert watched.downs[0] == "exit code 1: the disk is full"


async def test_a_child_that_prints_garbage_is_ended_and_started_again() -> None:
    for garbage in ("hello", "[1]", "", "42", "{"):
        async with running(f"import sys; print({garbage!r}, flush=True); {WAIT}") as watched:
            await until(lambda watched=watched: watched.downs)
            assert watched.ups == []


async def test_an_announcement_that_lacks_the_port_does_not_end_the_watch() -> None:
    async with running('import sys; print("{}", flush=True); ' + WAIT, lambda told: told["port"]) as watched:
        await until(lambda: len(watched.downs) == 2)


async def test_a_command_that_does_not_exist() -> None:
    watched = Watched("")
    watched.child = ChildProcess(
        lambda: ["/no/such/program"], name="child", environment={}, on_up=watched._up, on_down=watched._down
    )
    watched.child.start()
    await until(lambda: watched.downs)
    await watched.child.close()
    assert "can't start" in watched.downs[0]


async def test_a_talkative_child_is_not_stopped_by_a_full_pipe() -> None:
    talk = "[print('x' * 1000, file=f) for _ in range(2000) for f in (sys.stdout, sys.stderr)]; sys.exit(4)"
    async with running(UP + talk) as watched:
        await until(lambda: watched.downs)
        assert "exit code 4" in watched.downs[0]


async def test_a_very_long_line_is_survived() -> None:
    async with running(UP + "print('x' * 500_000, file=sys.stderr); sys.exit('last')") as watched:
        await until(lambda: watched.downs)
        assert watched.downs[0] == "exit code 1: last"


@pytest.mark.slow
async def test_a_child_that_ignores_the_polite_signal_is_killed() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + UP + "time.sleep(600)"
    async with running(code) as watched:
        await until(lambda: watched.ups)
        pid = watched.child.pid
        assert pid is not None
        began = time.monotonic()
    assert time.monotonic() - began > 1.9
    assert not alive(pid)


async def test_a_child_learns_that_its_parent_was_killed() -> None:
    """Nobody tells it but the end of its standard input."""
    parent = dedent(f"""
        import asyncio, os, sys
        from herding.nodes.child_process import ChildProcess

        async def up(told):
            print(child.pid, flush=True)

        async def down(reason):
            pass

        async def main():
            global child
            child = ChildProcess(lambda: [sys.executable, "-c", {UP + WAIT!r}], name="c", environment=os.environ,
                          on_up=up, on_down=down)
            child.start()
            await asyncio.sleep(60)

        asyncio.run(main())
    """)
    command = (sys.executable, "-c", parent)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    assert alive(pid)
    process.kill()
    await until(lambda: not alive(pid))
    await process.wait()
