"""The way of a warm request through the code: files, functions, calls, changes of file, and CPU time.

python benchmarks/way.py [--json] [--files infer]

The app runs in this process, wired as `herding serve` wires it, with a temporary home and one echo node, and is called
through ASGI: the HTTP server is not part of the way. After a warm-up a profile function records each
call of a Python function of herding/ on the event loop's thread, in the order of the calls. Per request it reports:

files      distinct files of herding/ in which a function was called
functions  distinct functions of herding/ that were called
calls      calls of functions of herding/; a generator or coroutine counts once each time it is resumed
switches   calls whose function lies in another file of herding/ than that of the call before
CPU ms     process time of all threads per request, measured in a second run without the profile

Functions of libraries and of other threads (the database writer) are left out. The counts are medians over the
requests; background loops are in them as far as they happen to run meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import httpx

WARM_UP = 30
COUNTED = 15
TIMED = 300

NODES = """
nodes:
  - kind: echo
    name: echo
    models: [echo]
"""
PROMPT = """
name: Say
target_models: [echo]
variables:
  text: {type: text, default: one two three}
messages:
  - {role: user, content: "{{text}}"}
"""
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "infer": ("/api/v1/infer", {"prompt": "say"}),
    "chat": ("/v1/chat/completions", CHAT),
    "stream": ("/v1/chat/completions", CHAT | {"stream": True}),
    "embeddings": ("/v1/embeddings", {"model": "vectors", "input": ["one", "two"]}),
}


@dataclass
class Trace:
    """What one request did in herding/."""

    calls: int = 0
    switches: int = 0
    functions: set[tuple[str, str, int]] = field(default_factory=set)
    visits: dict[str, int] = field(default_factory=dict)
    last: str = ""

    def add(self, code: CodeType) -> None:
        """Record the call of a function."""
        file = code.co_filename
        self.calls += 1
        self.functions.add((file, code.co_qualname, code.co_firstlineno))
        if file != self.last:
            self.switches += bool(self.last)
            self.visits[file] = self.visits.get(file, 0) + 1
            self.last = file


class Recorder:
    """A profile function that fills the trace of the moment, and does nothing between requests."""

    def __init__(self, root: Path) -> None:
        self._root = f"{root}{os.sep}"
        self._trace: Trace | None = None

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """Record one event; called by the interpreter."""
        if event == "call" and self._trace is not None and frame.f_code.co_filename.startswith(self._root):
            self._trace.add(frame.f_code)

    @contextmanager
    def recording(self) -> Iterator[Trace]:
        """Record what is called within the block."""
        self._trace = trace = Trace()
        try:
            yield trace
        finally:
            self._trace = None


@dataclass(frozen=True)
class Way:
    """The figures of one kind of request."""

    name: str
    files: int
    functions: int
    calls: int
    switches: int
    visited: dict[str, int]


Send = Callable[[], Awaitable[None]]


async def count(name: str, send: Send, recorder: Recorder, root: Path) -> Way:
    """Count what a request does, after a warm-up."""
    traces = []
    for number in range(WARM_UP + COUNTED):
        with recorder.recording() as trace:
            await send()
        await asyncio.sleep(0.02)
        if number >= WARM_UP:
            traces.append(trace)
    typical = sorted(traces, key=lambda trace: trace.switches)[len(traces) // 2]
    return Way(
        name=name,
        files=_median(len(trace.visits) for trace in traces),
        functions=_median(len(trace.functions) for trace in traces),
        calls=_median(trace.calls for trace in traces),
        switches=_median(trace.switches for trace in traces),
        visited={str(Path(file).relative_to(root)): typical.visits[file] for file in sorted(typical.visits)},
    )


def _median(values: Iterator[int]) -> int:
    return round(statistics.median(values))


async def clock(send: Send) -> float:
    """CPU milliseconds of a request, after a warm-up."""
    for _ in range(WARM_UP):
        await send()
    began = time.process_time()
    for _ in range(TIMED):
        await send()
    return (time.process_time() - began) / TIMED * 1000


@asynccontextmanager
async def running(home: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The app, and a client that calls it."""
    (home / "prompts").mkdir()
    (home / "prompts" / "say.yaml").write_text(PROMPT)
    (home / "nodes.yaml").write_text(NODES)
    os.environ.update(
        HERDING_HOME=str(home),
        HERDING_PROMPTS=str(home / "prompts"),
        HERDING_NODES=str(home / "nodes.yaml"),
        DATABASE_URL=f"sqlite:///{home / 'herding.sqlite'}",
    )
    from herding.settings import read_settings  # only now: the environment is read at the import of some modules

    settings = read_settings()
    async with assembled(settings) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield client


@asynccontextmanager
async def assembled(settings: Any) -> AsyncIterator[Any]:
    """The web app; in a checkout from before herding/main.py, wired by its app.py."""
    try:
        from herding import main
    except ImportError:
        import app as main  # type: ignore[import-not-found, no-redef]

        async with main.parts(settings) as found:
            yield main.create(found, settings)
    else:
        async with main.assemble(settings) as parts, main.running(parts, settings):
            yield main.create(parts, settings)


def sender(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Send:
    """A function that sends one request and reads its response to the end."""

    async def send() -> None:
        response = await client.post(path, json=body)
        response.raise_for_status()

    return send


async def walk(home: Path, root: Path) -> list[Way]:
    """Count every kind of request."""
    recorder = Recorder(root)
    sys.setprofile(recorder)
    try:
        async with running(home) as client:
            senders = {name: sender(client, *request) for name, request in REQUESTS.items()}
            return [await count(name, send, recorder, root) for name, send in senders.items()]
    finally:
        sys.setprofile(None)


async def time_requests(home: Path) -> list[float]:
    """CPU milliseconds of every kind of request."""
    async with running(home) as client:
        return [await clock(sender(client, *request)) for request in REQUESTS.values()]


def teach_echo_to_embed() -> None:
    """Let the echo node make embeddings: two numbers a text."""
    from herding.nodes.echo import EchoNode
    from herding.values import Embeddings

    async def embed(_: EchoNode, _model: str, texts: Any, *, dimensions: int | None = None) -> Embeddings:
        return Embeddings(tuple((1.0, 0.0)[:dimensions] for _ in texts), len(texts), "node")

    EchoNode.embed, EchoNode.embeds = embed, ("vectors",)  # type: ignore[method-assign, assignment]


def main() -> None:
    """Print the table, and the files of one kind of request where asked to."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments.add_argument("--files", choices=REQUESTS, help="list the files of this request, with visits")
    given = arguments.parse_args()
    sys.path.insert(0, str(Path.cwd()))
    import herding

    root = Path(herding.__file__).parent
    teach_echo_to_embed()
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        ways = asyncio.run(walk(Path(first), root))
        times = asyncio.run(time_requests(Path(second)))
    if given.json:
        print(json.dumps([{**vars(way), "cpu_ms": cpu} for way, cpu in zip(ways, times, strict=True)], indent=1))
        return
    print(f"{'request':<12}{'files':>7}{'functions':>11}{'calls':>7}{'switches':>10}{'CPU ms':>8}")
    for way, cpu in zip(ways, times, strict=True):
        print(f"{way.name:<12}{way.files:>7}{way.functions:>11}{way.calls:>7}{way.switches:>10}{cpu:>8.2f}")
    for way in ways:
        if way.name == given.files:
            for file, visits in way.visited.items():
                print(f"{visits:>6}  {file}")


if __name__ == "__main__":
    main()
