"""How long the page's server side takes with many prompts: the overview, and the picker of the first tab.

The whole app with its front doors, asked as a script asks it (an event joined and its end awaited), on SQLite in a
directory of its own: 1,000 prompts in twenty folders with 5 versions each, and some requests with stars.

    python benchmarks/prompts.py [--prompts 1000] [--versions 5] [--rounds 15]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx

from herding.main import Parts, assemble, create, running
from herding.settings import Settings
from herding.values import Principal, Request

NODES = "nodes:\n  - {kind: echo, name: echo, models: [echo]}\n"
WHO = Principal(
    "local", "admin", frozenset({"run", "prompts", "save", "publish", "rate"}), nodes=("*",), prompts=("*",)
)
HOST = "http://127.0.0.1:7860"
SESSION = "benchmark"


def main() -> None:
    options = parse_options()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "prompts").mkdir()
        (home / "nodes.yaml").write_text(NODES)
        settings = Settings(home=home, prompts=home / "prompts", nodes=home / "nodes.yaml")
        report(asyncio.run(measure(settings, options)), options)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--versions", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args()


async def measure(settings: Settings, options: argparse.Namespace) -> dict[str, list[float]]:
    """Milliseconds by what was asked."""
    async with assemble(settings) as found, running(found, settings):
        print(f"Saving {options.versions} versions of {options.prompts:,} prompts ...", flush=True)
        keys = await fill(found, settings.prompts, options)
        async with Served(found, settings) as (client, demo):
            await fired(client, demo, "page_load", {})  # the page opens, and knows its choices

            async def event(name: str, **fields: Any) -> None:
                await fired(client, demo, name, fields)

            asked: dict[str, Callable[[int], Awaitable[Any]]] = {
                "overview": lambda _: event("overview"),
                "picker": lambda number: event("choose", prompt_picker=keys[number * 37 % len(keys)]),
                "API, all prompts": lambda _: client.get("/api/v1/prompts"),
            }
            taken: dict[str, list[float]] = {name: [] for name in asked}
            for number in range(-1, options.rounds):
                for name, ask in asked.items():
                    began = time.perf_counter()
                    await ask(number)
                    if number >= 0:  # the first round warms up
                        taken[name].append((time.perf_counter() - began) * 1000)
            return taken


async def fill(found: Parts, prompts: Path, options: argparse.Namespace) -> list[str]:
    """Prompts with their versions, as edits of files; a request for every tenth and stars for that; the keys."""
    orchestrator = found.orchestrator
    keys = [f"team{number % 20}/prompt{number:04}" for number in range(options.prompts)]
    for version in range(1, options.versions + 1):
        for key in keys:
            content = {
                "name": f"Prompt {key}",
                "description": "Says something about a text, at some length, as descriptions do.",
                "tags": ["bench", key.partition("/")[0]],
                "target_models": ["echo"],
                "variables": {"text": {"type": "text", "default": "one two"}},
                "messages": [{"role": "user", "content": f"Version {version}: {{{{text}}}} " * 8}],
            }
            file = prompts / f"{key}.yaml"
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(content))
        await orchestrator.load()
    for key in keys[::10]:
        outcome = await orchestrator.pipeline.run(Request(key), WHO)
        await orchestrator.feedback.rate(outcome.request_id, 4, WHO)
    last = await orchestrator.prompts.get(keys[-1], WHO)
    assert last.version == options.versions, f"{last.version} versions were kept"
    return keys


class Served:
    """The web app without a socket, and its page."""

    def __init__(self, found: Parts, settings: Settings) -> None:
        self._app = create(found, settings)

    async def __aenter__(self) -> tuple[httpx.AsyncClient, Any]:
        transport = httpx.ASGITransport(self._app, client=("127.0.0.1", 1))
        self._client = httpx.AsyncClient(transport=transport, base_url=HOST, timeout=60)
        mounted = (getattr(route, "app", None) for route in self._app.routes)
        demo = next(app.get_blocks() for app in mounted if hasattr(app, "get_blocks"))
        demo.run_startup_events()
        return self._client, demo

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()


async def fired(client: httpx.AsyncClient, demo: Any, name: str, fields: dict[str, Any]) -> None:
    """One event from its join to its end."""
    function = next(function for function in demo.fns.values() if function.api_name == name)
    data = [fields.get(str(component.elem_id).replace("-", "_")) for component in function.inputs]
    body = {"data": data, "fn_index": function._id, "session_hash": SESSION, "event_data": None, "trigger_id": None}
    (await client.post("/gradio_api/queue/join", json=body)).raise_for_status()
    ended = await client.get(f"/gradio_api/queue/data?session_hash={SESSION}")
    if '"success":true' not in ended.text.replace(" ", ""):
        sys.exit(f"The event {name} failed: {ended.text[-500:]}")


def report(taken: dict[str, list[float]], options: argparse.Namespace) -> None:
    print(f"\n{options.prompts:,} prompts of {options.versions} versions, medians of {options.rounds} rounds")
    for name, milliseconds in taken.items():
        print(f"{name:18} {statistics.median(milliseconds):7.0f} ms   slowest {max(milliseconds):7.0f} ms")


if __name__ == "__main__":
    main()
