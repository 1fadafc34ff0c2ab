"""Indexing goes on where it was after `kill -9`: what is stored is not embedded again, and nothing is stored twice."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.knowledge.conftest import MODEL, Words, index_all, text
from tests.support.herding import ADMIN, herding
from tests.support.nodes import echo

ROOT = Path(__file__).resolve().parents[2]
LINES = [f"Line {n} tells of bread, boat number {n}, and the wind." for n in range(400)]

PROGRAM = """
import asyncio, sys
from pathlib import Path
from tests.knowledge.conftest import Words, index_all
from tests.support.herding import herding
from tests.support.nodes import echo

class Slow(Words):
    async def embed(self, *arguments, **options):
        if len(self.calls) == 2:
            print("two steps are stored", flush=True)
            await asyncio.sleep(3600)
        return await super().embed(*arguments, **options)

async def main():
    async with herding(Path(sys.argv[1]), echo(), Slow()) as place:
        await index_all(place.orchestrator)

asyncio.run(main())
"""


def index_until_killed(home: Path) -> subprocess.Popen[str]:
    """Start a process that indexes two steps and then waits."""
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(home)], cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
async def test_it_goes_on_after_kill_9(tmp_path: Path) -> None:
    async with herding(tmp_path, echo(), Words()) as place:
        await place.orchestrator.collections.create("docs", ADMIN, chunk_tokens=20, overlap_tokens=0)
        job = await place.orchestrator.collections.add("docs", [text("long.txt", "\n\n".join(LINES))], ADMIN)
    child = index_until_killed(tmp_path)
    try:
        line = await asyncio.to_thread(child.stdout.readline)
        assert line == "two steps are stored\n"
    finally:
        child.send_signal(signal.SIGKILL)
        await asyncio.to_thread(child.wait)
        child.stdout.close()
    words = Words()
    async with herding(tmp_path, echo(), words) as place:
        collections = place.orchestrator.collections
        half = await collections.job("docs", job.id, ADMIN)
        assert (half.state, half.done) == ("running", 128)
        assert half.total > 300
        assert await collections.query("docs", "bread", ADMIN) == ()  # nothing half is found
        await index_all(place.orchestrator)
        done = await collections.job("docs", job.id, ADMIN)
        assert (done.state, done.done) == ("ready", half.total)
        assert sum(call for call in words.calls if call > 1) <= half.total - 128 + 1
        numbers = [chunk.number for _, chunk in await collections.chunks("docs", "long.txt", ADMIN, count=200)]
        numbers += [c.number for _, c in await collections.chunks("docs", "long.txt", ADMIN, first=201, count=200)]
        assert numbers == list(range(1, half.total + 1))
        assert (await collections.get("docs", ADMIN)).embedding_model == MODEL
