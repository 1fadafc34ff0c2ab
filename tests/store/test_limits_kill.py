"""A limit holds over kill -9: exactly as many requests are admitted as it allows, in all lives of the app together."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys

import pytest

from herding.errors import LimitError
from herding.store import Store
from herding.values import Limit, Outcome

ALLOWED = 40
LIMIT = Limit("request", 24, ALLOWED)

CHILD = """
import asyncio, os, random, sys
from herding.store import Store
from herding.values import Limit, Outcome


async def main(url, life, allowed):
    store = await Store.open(url)
    limits = [Limit("request", 24, int(allowed))]

    async def call(number):
        await asyncio.sleep(random.uniform(0, 0.2))
        await store.reserve(Outcome(f"{life}-{number}", "ada", "p", 1), limits=limits, tokens=7)
        os.write(1, b"admitted\\n")

    await asyncio.gather(*(call(number) for number in range(50)), return_exceptions=True)


asyncio.run(main(*sys.argv[1:]))
"""


def live_and_die(url: str, life: int, patience: int, environment: dict[str, str]) -> int:
    """Starts an app with 50 callers, and kills it after some were admitted; says how many knew that they were."""
    command = [sys.executable, "-c", CHILD, url, str(life), str(ALLOWED)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        heard = [child.stdout.readline() for _ in range(patience)]
        child.send_signal(signal.SIGKILL)
        heard += child.stdout.readlines()
    return heard.count("admitted\n")


@pytest.mark.slow
async def test_a_limit_holds_over_kill(url: str, environment: dict[str, str]) -> None:
    knew = [live_and_die(url, life, patience=1 + life, environment=environment) for life in range(5)]
    store = await Store.open(url)
    (use,) = await store.usage("ada", [LIMIT])
    assert 0 < sum(knew) <= use.used <= ALLOWED

    async def admitted(number: int) -> bool:
        try:
            await store.reserve(Outcome(str(number), "ada", "p", 1), limits=[LIMIT], tokens=0)
        except LimitError:
            return False
        return True

    assert sum(await asyncio.gather(*(admitted(number) for number in range(50)))) == ALLOWED - use.used
    (use,) = await store.usage("ada", [LIMIT])
    assert use.used == ALLOWED
    await store.close()
