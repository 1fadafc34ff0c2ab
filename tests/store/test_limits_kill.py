"""A limit holds over kill -9: exactly as many requests are admitted as it allows, in all lives of the app together."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from herding.errors import LimitError
from herding.store import Store
from herding.values import Limit, Outcome
from tests.support.database import reserve

ALLOWED = 40
LIMIT = Limit("request", 24, ALLOWED)

LIVES = 5

NURSERY = """
import asyncio, os, random, signal, sys
from herding.store import Store, headroom
from herding.values import Limit, Outcome

url, allowed, lives = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def child(life, heard):
    headroom.MOST_WAITING = life % 2  # every other life admits before the commit, up to the limit
    store = await Store.open(url)
    limits = [Limit("request", 24, allowed)]

    async def call(number):
        await asyncio.sleep(random.uniform(0, 0.2))
        await (await store.admit(Outcome(f"{life}-{number}", "ada", "p", 1), limits=limits, tokens=7))
        os.write(heard, b"admitted\\n")

    await asyncio.gather(*(call(number) for number in range(50)), return_exceptions=True)


for life in range(lives):
    ear, mouth = os.pipe()
    pid = os.fork()
    if not pid:
        asyncio.run(child(life, mouth))
        os._exit(0)
    os.close(mouth)
    with os.fdopen(ear) as heard:
        lines = [heard.readline() for _ in range(1 + life)]  # it is killed after some were admitted
        os.kill(pid, signal.SIGKILL)
        lines += heard.readlines()
    os.waitpid(pid, 0)
    print(lines.count("admitted\\n"), flush=True)
"""


def lives(url: str, environment: dict[str, str]) -> list[int]:
    """Start an app with 50 callers and kill it, several times; return how many in each life knew they were admitted."""
    command = [sys.executable, "-c", NURSERY, url, str(ALLOWED), str(LIVES)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=600)
    return [int(line) for line in done.stdout.split()]


@pytest.mark.slow
async def test_a_limit_holds_over_kill(url: str, environment: dict[str, str]) -> None:
    knew = await asyncio.to_thread(lives, url, environment)
    assert len(knew) == LIVES
    store = await Store.open(url)
    (use,) = await store.usage("ada", [LIMIT])
    assert 0 < sum(knew) <= use.used <= ALLOWED

    async def admitted(number: int) -> bool:
        try:
            await reserve(store, Outcome(str(number), "ada", "p", 1), limits=[LIMIT], tokens=0)
        except LimitError:
            return False
        return True

    assert sum(await asyncio.gather(*(admitted(number) for number in range(50)))) == ALLOWED - use.used
    (use,) = await store.usage("ada", [LIMIT])
    assert use.used == ALLOWED
    await store.close()
