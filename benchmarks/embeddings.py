"""Embeddings of the local engine: texts a second with five parallel callers, against one caller, in turns.

    python -m benchmarks.embeddings [--rounds 6] [--texts 40]

Each caller embeds one short text after the other. With five callers the engine puts the texts that wait into one batch.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

from herding.engine.embeddings.files import MINILM
from herding.nodes.local import LocalConfig, LocalNode

CALLERS = 5
SENTENCE = "Rows that become ready in one turn of the event loop share a transaction; note {number} of caller {caller}."


async def texts_per_second(node: LocalNode, *, callers: int, texts: int) -> float:
    """Return the texts that all callers together embed in a second."""

    async def call(caller: int) -> None:
        for number in range(texts):
            await node.embed(MINILM, [SENTENCE.format(number=number, caller=caller)])

    began = time.perf_counter()
    await asyncio.gather(*map(call, range(callers)))
    return callers * texts / (time.perf_counter() - began)


async def main(rounds: int, texts: int) -> None:
    """Measure and print."""
    node = LocalNode(LocalConfig(kind="local", name="local"))
    await node.start()
    try:
        while not node.embeds:  # noqa: ASYNC110  the status is refreshed by itself
            await asyncio.sleep(0.1)
        await texts_per_second(node, callers=CALLERS, texts=10)  # loads the model
        measured: dict[int, list[float]] = {1: [], CALLERS: []}
        for _ in range(rounds):
            for callers, found in measured.items():
                found.append(await texts_per_second(node, callers=callers, texts=texts))
        one, many = (statistics.median(found) for found in measured.values())
        print(f"1 caller         {one:7.0f} texts/s")
        print(f"{CALLERS} callers        {many:7.0f} texts/s")
        print(f"ratio            {many / one:7.2f}")
    finally:
        await node.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6, help="rounds of each")
    parser.add_argument("--texts", type=int, default=40, help="texts of each caller and round")
    options = parser.parse_args()
    asyncio.run(main(options.rounds, options.texts))
