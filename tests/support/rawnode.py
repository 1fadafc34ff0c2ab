"""An upstream of raw bytes: each path has bytes of its own, and it remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Script = bytes | Callable[[dict[str, Any]], bytes]
"""The whole response with its head, or what makes one from the body of a request."""


def event(delta: Any = None, finish: str | None = None, **more: Any) -> str:
    """One chunk of a chat as a server-sent event."""
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunk["choices"] = [{"index": 0, "delta": delta, "finish_reason": finish}]  # type: ignore[assignment]
    return f"data: {json.dumps(chunk | more)}\n\n"


SAID = "Hello world"
TEXT = event({"role": "assistant", "content": ""}) + event({"content": "Hello"}) + event({"content": " world"})
END = event({}, "stop")
COUNTS = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}
USAGE = event(choices=[], usage=COUNTS)
DONE = "data: [DONE]\n\n"
GOOD = TEXT + END + USAGE + DONE
WHOLE = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": SAID}}],
    "usage": COUNTS,
}


def response(
    body: str | bytes | Any,
    *,
    status: str = "200 OK",
    kind: str = "text/event-stream",
    headers: str = "",
    version: str = "HTTP/1.1",
) -> bytes:
    """A response whose end is that of its connection; what is neither text nor bytes is sent as JSON."""
    if not isinstance(body, str | bytes):
        body, kind = json.dumps(body), "application/json" if kind == "text/event-stream" else kind
    content = body.encode() if isinstance(body, str) else body
    label = f"Content-Type: {kind}\r\n" if kind else ""
    return f"{version} {status}\r\n{label}{headers}Connection: close\r\n\r\n".encode() + content


def chunked(body: bytes, *, size: int = 7, trailers: str = "") -> bytes:
    """A body in chunks of `size` bytes."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + f"0\r\n{trailers}\r\n".encode()


@dataclass
class RawNode:
    """The server. `scripts` are the responses by the first segment of the path."""

    url: str = ""
    scripts: dict[str, Script] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def at(self, name: str, script: Script) -> str:
        """Add a response, and return the base URL of a node that gives it."""
        self.scripts[name] = script
        return f"{self.url}/{name}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = head.lower().partition("content-length:")[2].split("\r\n")[0]
            data = await reader.readexactly(int(length or 0))
            body = json.loads(data) if data else {}
            self.bodies.append(body)
            script = self.scripts[head.split(" ")[1].split("/")[1]]
            writer.write(script if isinstance(script, bytes) else script(body))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def rawnode() -> AsyncIterator[RawNode]:
    """A running server on a free port."""
    node = RawNode()
    server = await asyncio.start_server(node.serve, "127.0.0.1", 0)
    node.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield node
    finally:
        server.close()
