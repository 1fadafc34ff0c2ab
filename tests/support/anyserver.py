"""A small model server with a made-up API: the path selects how it answers, and it remembers what it was asked."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.fakenode import serving

EVENTS = "text/event-stream"


@dataclass
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    raw_path: str


class AnyServer:
    """Paths: `/api/generate` (a JSON text that repeats the input), `/nested` (the answer deep inside), and faults."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self.app = Starlette(routes=[Route("/{how:path}", self.answer, methods=["GET", "POST"])])

    async def answer(self, request: Request) -> Response:
        body = await request.body()
        asked = Asked(
            request.method,
            request.url.path,
            dict(request.query_params),
            dict(request.headers),
            json.loads(body) if body else None,
            request.scope["raw_path"].decode(),
        )
        self.asked.append(asked)
        await asyncio.sleep(0)
        how = request.path_params["how"]
        if how.startswith("status/"):
            return JSONResponse({"error": {"message": "as asked"}}, int(how.removeprefix("status/")))
        if how.startswith("slow/"):
            await asyncio.sleep(float(how.removeprefix("slow/")))
            how = "api/generate"
        return _good(how, asked) or _BAD.get(how, lambda: Response(status_code=404))()


def _good(how: str, asked: Asked) -> Response | None:
    said = f"You said: {(asked.body or {}).get('input', asked.query.get('q'))}"
    match how:
        case "api/generate":
            return JSONResponse(said)
        case "nested":
            return JSONResponse({"code": "200", "data": {"items": [{"attributes": {"answer": said}}]}})
        case "headers":
            return JSONResponse({"answer": json.dumps(asked.headers)})
        case "plain":
            return Response(said, media_type="text/plain")
        case "number":
            return JSONResponse({"answer": 42})
        case "sse":
            return StreamingResponse(_sse(said), media_type=EVENTS)
        case "lines":
            return StreamingResponse(_lines(said), media_type="application/x-ndjson")
    if parts := _PARTS.get(how):
        return StreamingResponse(_in_parts(parts), media_type="text/plain" if how == "text" else EVENTS)
    return None


_PARTS: dict[str, list[bytes]] = {
    "sse-words": [b"data: You\n\nda", b"ta:  said:\n\n", b"data:\ndata:  \n\nevent: end\ndata: hello\n\n"],
    "sse-parts": [
        b': none\n\nevent: x\ndata: {"piece":\nid: 3\ndata: "You said: "}\r\n\r',
        b'\ndata:{"piece": "\xc3',
        b'\xbc"}\n\n\ndata: {"piece": "!"}',
    ],
    "text": [b"def f():\n", b"\n    return '\xc3", b"\xbc'"],
}
"""Streams, byte by byte as they come."""


_BAD: dict[str, Callable[[], Response]] = {
    "html": lambda: Response("<html>Please log in</html>", media_type="text/html"),
    "empty": lambda: Response(""),
    "empty-sse": lambda: Response("", media_type=EVENTS),
    "badjson": lambda: Response("{not json", media_type="application/json"),
    "bad-utf8": lambda: Response(b"\xff\xfe", media_type="text/plain"),
    "error-in-200": lambda: JSONResponse({"error": {"message": "The GPU is on fire."}}),
    "object": lambda: JSONResponse({"answer": {"text": "deeper"}}),
    "nothing": lambda: JSONResponse({"answer": None, "message": "no credit left"}),
    "redirect": lambda: RedirectResponse("http://169.254.169.254/secret"),
    "gzip": lambda: Response(gzip.compress(b'{"answer": "x"}' * 1000), headers={"content-encoding": "gzip"}),
    "endless": lambda: StreamingResponse(_endless(), media_type="text/plain"),
    "cut": lambda: Response(b'{"answer": "par', headers={"content-length": "1000"}, media_type="application/json"),
}


async def _sse(said: str) -> AsyncIterator[bytes]:
    yield b": hello\n\n"
    for word in said.split(" "):
        yield f"data: {json.dumps({'piece': word + ' '})}\n\n".encode()
    yield b'data: {"done": true}\n\ndata: [DONE]\n\n'


async def _in_parts(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
        await asyncio.sleep(0.01)


async def _lines(said: str) -> AsyncIterator[bytes]:
    for word in said.split(" "):
        yield f"{json.dumps({'piece': word + ' '})}\n".encode()
        await asyncio.sleep(0)


async def _endless() -> AsyncIterator[bytes]:
    while True:
        await asyncio.sleep(0)  # where the end of the connection is noticed
        yield b"blah " * 20_000


@contextmanager
def anyserver() -> Iterator[AnyServer]:
    """A running server."""
    server = AnyServer()
    with serving(server.app) as url:
        server.url = url
        yield server
