"""Four columns of the tab "Compare" at once, against the same four requests one after the other.

The whole app without its front doors: prompt, limits, routing, the local engine with the bundled model, and a durable
row for each request. Every round measures both ways, one after the other and in turns; each request has a seed of its
own, as columns with different parameters have. What counts is tokens per second, since answers may differ in length.

    python benchmarks/compare.py [--rounds 7] [--columns 4] [--tokens 160]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from herding.main import assemble, running
from herding.orchestrator import Orchestrator
from herding.settings import Settings
from herding.ui.compare.merge_streams import merge_streams
from herding.values import Done, Parameters, Principal, Request

TEXT = "the quick brown fox jumps over the lazy dog " * 6
PROMPT = "name: Go on\ntarget_models: [herding/cria]\nvariables: {text: {type: text}}\nprompt: '{{text}}'\n"
NODES = "nodes:\n  - {kind: local, name: local}\n"
WHO = Principal("benchmark", "admin", frozenset({"run"}), nodes=("*",), prompts=("*",))


def main() -> None:
    options = parse_options()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "prompts").mkdir()
        (home / "prompts" / "go_on.yaml").write_text(PROMPT)
        (home / "nodes.yaml").write_text(NODES)
        settings = Settings(home=home, prompts=home / "prompts", nodes=home / "nodes.yaml")
        report(asyncio.run(measure(settings, options)), options)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=160, help="length of an answer at most")
    return parser.parse_args()


async def measure(settings: Settings, options: argparse.Namespace) -> list[dict[str, tuple[float, int]]]:
    """Seconds and tokens of both ways, by round."""
    async with assemble(settings) as found, running(found, settings):
        orchestrator = found.orchestrator
        await until_ready(orchestrator)
        requests = [asked(seed, options.tokens) for seed in range(options.columns)]
        await at_once(orchestrator, requests)
        ways = {"single": one_by_one, "at once": at_once}
        rounds = []
        for number in range(options.rounds):
            names = list(ways) if number % 2 else list(reversed(ways))
            rounds.append({name: await timed(ways[name], orchestrator, requests) for name in names})
        return rounds


async def until_ready(orchestrator: Orchestrator) -> None:
    for _ in range(600):
        if await orchestrator.ready() is None:
            return
        await asyncio.sleep(0.2)
    sys.exit("The local engine did not get ready.")


def asked(seed: int, tokens: int) -> Request:
    return Request("go_on", {"text": TEXT}, parameters=Parameters(temperature=0.8, max_tokens=tokens, seed=seed))


async def timed(way, orchestrator: Orchestrator, requests: list[Request]) -> tuple[float, int]:
    began = time.perf_counter()
    tokens = await way(orchestrator, requests)
    return time.perf_counter() - began, tokens


async def one_by_one(orchestrator: Orchestrator, requests: list[Request]) -> int:
    return sum([(await orchestrator.pipeline.run(request, WHO)).usage.output_tokens for request in requests])


async def at_once(orchestrator: Orchestrator, requests: list[Request]) -> int:
    """As the tab does it."""
    tokens = 0
    async for batch in merge_streams(
        {n: orchestrator.pipeline.stream(request, WHO) for n, request in enumerate(requests)}
    ):
        tokens += sum(event.outcome.usage.output_tokens for _, event in batch if isinstance(event, Done))
    return tokens


def report(rounds: list[dict[str, tuple[float, int]]], options: argparse.Namespace) -> None:
    print(
        f"{options.rounds} rounds, {options.columns} requests each, at most {options.tokens} tokens an answer; medians"
    )
    for way in ("single", "at once"):
        seconds, tokens = (statistics.median(r[way][part] for r in rounds) for part in (0, 1))
        print(f"{way:8}  {seconds:6.2f} s  {tokens:5.0f} tokens  {tokens / seconds:6.0f} tokens/s")
    times = statistics.median(r["at once"][0] / r["single"][0] for r in rounds)
    speeds = [(r["at once"][1] / r["at once"][0]) / (r["single"][1] / r["single"][0]) for r in rounds]
    print(f"at once takes x {times:.2f} of the time; tokens per second x {statistics.median(speeds):.2f}")


if __name__ == "__main__":
    main()
