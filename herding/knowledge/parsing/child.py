"""The child process that reads one document: limits itself, reads stdin, writes the chunks to stdout, and ends.

stdin has one line of JSON and then the bytes of the document. stdout gets one JSON object: `chunks` or `error`.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

_NETWORK = 0x40000000
_USER = 0x10000000
"""Flags of `unshare`: a network and a user of its own."""

_REFUSED = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "urllib.")
_LOADER_PARAMETERS = 2
"""Parameters of a loader that makes Markdown; one with more gets the chunker as well, and returns chunks."""

_DEPTH = 3_000
"""Nesting of a document that is read."""


def main() -> None:
    """Read one document."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a loader prints is no part of the result
    head: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    _limit(memory=head["memory"], seconds=head["seconds"])
    result = _read(head, sys.stdin.buffer.read())
    output.write(json.dumps(result).encode())
    output.flush()
    os._exit(0)


def _limit(*, memory: int, seconds: int) -> None:
    """Take away memory, time, files to write, and the network."""
    _leave_network()
    for kind, most, last in (
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_CPU, seconds, seconds + 1),  # the first one says by its signal what it was
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, 64, 64),
    ):
        with contextlib.suppress(ValueError, OSError):  # a lower limit is in force
            resource.setrlimit(kind, (most, last))
    with contextlib.suppress(OSError):
        os.nice(10)
    sys.setrecursionlimit(_DEPTH)


def _leave_network() -> None:
    """Enter a network without devices, where the kernel allows that; Python's sockets are refused anyway."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).unshare(_USER | _NETWORK)


def _refuse(event: str, _arguments: object) -> None:
    """Refuse what reading a document never needs."""
    if event.startswith(_REFUSED):
        raise PermissionError(f"{event} is not allowed here")


def _read(head: dict[str, Any], content: bytes) -> dict[str, Any]:
    from herding.knowledge.parsing.chunks import Chunker, numbered
    from herding.knowledge.parsing.formats import UnreadableError, read, read_markdown

    sys.addaudithook(_refuse)
    chunker = Chunker(tokens=head["tokens"], overlap=head["overlap"], tokenizer=head["tokenizer"])
    module, _, name = head["loader"].partition(":")
    try:
        loader = getattr(importlib.import_module(module), name)
        reader = loader if len(inspect.signature(loader).parameters) > _LOADER_PARAMETERS else read_markdown
    except BaseException as error:  # noqa: BLE001 (a plugin may fail in any way)
        return {"error": f"The loader {head['loader']} failed: {_said(error)}"}
    if reader is read_markdown and loader is not read_markdown:
        result = _load(head["loader"], loader, content, head["title"])
        if isinstance(result, str):
            return {"error": result}
        content = result
    try:
        chunks = numbered(read(reader, content, chunker, title=head["title"]))
    except UnreadableError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "The document takes too much memory to read."}
    except RecursionError:
        return {"error": "The document is nested too deeply to be read."}
    except Exception as error:  # noqa: BLE001  a damaged document may fail in any way
        return {"error": f"The document can't be read: {_said(error)}"}
    if len(chunks) > head["most"]:
        return {"error": f"The document has {len(chunks):,} chunks (max {head['most']:,}). Split it."}
    return {"chunks": [asdict(chunk) for chunk in chunks]}


def _load(name: str, loader: Callable[[bytes, str], Any], content: bytes, title: str) -> bytes | str:
    """Return the Markdown that a loader makes, or the reason why it can't."""
    try:
        made: Any = loader(content, title)
    except BaseException as error:  # noqa: BLE001 (a plugin may fail in any way)
        return f"The loader {name} failed: {_said(error)}"
    if not isinstance(made, str):
        return f"The loader {name} returned {type(made).__name__}, not a text."
    return made.encode("utf-8", "replace")


def _said(error: BaseException) -> str:
    """Return the kind of an error and what it says, on one line."""
    try:
        said = " ".join(str(error).split())[:200]
    except Exception:  # noqa: BLE001 (an exception of a plugin may fail in any way, too)
        said = "its message can't be read"
    return f"{type(error).__name__}: {said}"
