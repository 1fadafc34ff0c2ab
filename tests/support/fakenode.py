"""A small OpenAI-compatible server whose requested model name selects the fault that it shows."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.embeddings import embedded
from tests.support.ports import listening
from tests.support.reranking import ranked, ranked_by_tei

WORDS = ("One", " two", " three", " four", " five")
EVENTS = "text/event-stream"
NOTHING_MUCH = gzip.compress(b"data: {}\n\n" * 10_000)
"""An answer of many events without a word, which nobody asked to be compressed."""
REFUSALS = {
    "context-length": "This model's maximum context length is 4096 tokens; your messages have 5000.",
    "bad-schema": "Invalid schema for response_format.",
}


@dataclass
class Seen:
    """One request as the server saw it; `left` is when its caller went away."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float = field(default_factory=time.monotonic)
    left: float | None = None


class FakeNode:
    """The server's application, and what it saw.

    Faults: ok, hang, hang-after:N, cut-after:N, status:N[;ra=S], html, empty, only-done, badjson, error-in-200,
    error-in-stream, redirect, slow:S, no-usage, usage:N, echo-headers, endless, bad-utf8, gzip, context-length,
    bad-schema, unknown, slow-ttfb:S (before the first byte), drip:S (between any two bytes), flaky:N (N calls fail, N
    are answered, and so on), held (after the first word, until `released` is set). What follows an `@` only tells
    models with one fault apart; `fault`, where set, is that of all models. Every answer sets a cookie. Those of
    embeddings alone are in `embeddings`, those of scores in `reranking`.
    """

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.models_fault = "ok"
        self.fault: str | None = None
        self.url = ""
        self.released = threading.Event()
        self._answers = 0
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self.answer, methods=["POST"]),
                Route("/v1/completions", self.answer, methods=["POST"]),
                Route("/v1/embeddings", self.embeddings, methods=["POST"]),
                Route("/v1/rerank", self.rerank, methods=["POST"]),
                Route("/tei/rerank", self.rerank_by_tei, methods=["POST"]),
                Route("/v1/models", self.models),
            ]
        )

    def calls(self, model: str | None = None) -> list[Seen]:
        """The requests for an answer, oldest first."""
        return [one for one in self.seen if one.body and model in (None, one.body["model"])]

    async def models(self, request: Request) -> Response:
        self.seen.append(Seen(request.url.path, dict(request.headers), {}))
        if self.models_fault == "hang":
            await asyncio.sleep(4)
        if self.models_fault == "401":
            return Response(status_code=401)
        return JSONResponse({"object": "list", "data": [{"id": "ok", "object": "model"}]})

    async def answer(self, request: Request) -> Response:
        seen = Seen(request.url.path, dict(request.headers), await request.json())
        self.seen.append(seen)
        shown = self.fault or seen.body["model"].partition("@")[0]
        fault, _, detail = shown.partition(":")
        if fault == "flaky":
            fault, detail = self._flaky(int(detail))
        if fault == "hang":
            await self._hang(request, seen)
        if fault == "slow-ttfb":
            await asyncio.sleep(float(detail))
        if special := _special(fault, detail):
            return special
        events = _stream(fault, detail, seen)
        if fault == "drip":
            events = _dripping(events, float(detail))
        if fault == "held":
            events = self._held(events)
        return StreamingResponse(self._watched(events, seen), media_type=EVENTS)

    async def _held(self, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same, which goes on when it may."""
        async for event in events:
            yield event
            while not self.released.is_set():  # noqa: ASYNC110 (another thread's)
                await asyncio.sleep(0.02)

    async def embeddings(self, request: Request) -> Response:
        seen = Seen(request.url.path, dict(request.headers), await request.json())
        self.seen.append(seen)
        fault, _, detail = seen.body["model"].partition(":")
        if fault == "hang":
            await self._hang(request, seen)
        return _special(fault, detail) or embedded(fault, seen.body)

    async def rerank(self, request: Request) -> Response:
        seen = Seen(request.url.path, dict(request.headers), await request.json())
        self.seen.append(seen)
        fault, _, detail = seen.body["model"].partition(":")
        return _special(fault, detail) or ranked(fault, seen.body)

    async def rerank_by_tei(self, request: Request) -> Response:
        seen = Seen(request.url.path, dict(request.headers), {"model": "", **await request.json()})
        self.seen.append(seen)
        return ranked_by_tei(seen.body)

    def _flaky(self, calls: int) -> tuple[str, str]:
        self._answers += 1
        return ("status", "500") if (self._answers - 1) // calls % 2 == 0 else ("ok", "")

    async def _hang(self, request: Request, seen: Seen) -> None:
        """Never answers; notes when the caller leaves."""
        message = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await request.receive()
        seen.left = time.monotonic()

    async def _watched(self, events: AsyncIterator[bytes], seen: Seen) -> AsyncIterator[bytes]:
        try:
            async for event in events:
                yield event
        except asyncio.CancelledError:
            seen.left = time.monotonic()
            raise


def _special(fault: str, detail: str) -> Response | None:
    """The answer of a fault that is not a stream."""
    match fault:
        case "status":
            status, _, wait = detail.partition(";ra=")
            error = {"error": {"message": f"status {status} was asked for"}}
            return JSONResponse(error, int(status), headers={"retry-after": wait} if wait else None)
        case "unknown":
            return JSONResponse({"error": {"message": "The model does not exist."}}, 404)
        case "context-length" | "bad-schema":
            return JSONResponse({"error": {"message": REFUSALS[fault]}}, 400)
        case "html":
            return Response("<html>Please log in</html>", media_type="text/html")
        case "empty":
            return Response("", media_type=EVENTS)
        case "only-done":
            return Response("data: [DONE]\n\n", media_type=EVENTS)
        case "error-in-200":
            return JSONResponse({"error": {"message": "The GPU is on fire."}})
        case "redirect":
            return Response(status_code=307, headers={"location": "/v1/models"})
        case "gzip":
            return Response(NOTHING_MUCH, media_type=EVENTS, headers={"content-encoding": "gzip"})
    return None


async def _stream(fault: str, detail: str, seen: Seen) -> AsyncIterator[bytes]:
    number = float(detail) if fault in ("hang-after", "cut-after", "slow", "usage") else 0
    words = _words(fault, seen)
    for sent, word in enumerate(words):
        await asyncio.sleep(number if fault == "slow" else 0)  # where the end of the connection is noticed
        if fault == "hang-after" and sent == number:
            await asyncio.sleep(60)
        if fault == "cut-after" and sent == number:
            return
        yield _event({"choices": [{"index": 0, **_piece(word, seen)}]})
    match fault:
        case "badjson":
            yield b"data: {not json\n\n"
        case "error-in-stream":
            yield _event({"error": {"message": "The GPU is on fire."}})
        case "bad-utf8":
            yield b"data: \xff\xfe\n\n"
    yield _event({"choices": [{"index": 0, **_piece("", seen), "finish_reason": "stop"}]})
    if fault != "no-usage":
        made = int(number) if fault == "usage" else len(words)
        yield _event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": made}})
    yield b"data: [DONE]\n\n"


async def _dripping(events: AsyncIterator[bytes], pause: float) -> AsyncIterator[bytes]:
    """The same, one byte after the other."""
    async for event in events:
        for byte in event:
            await asyncio.sleep(pause)
            yield bytes([byte])


def _words(fault: str, seen: Seen) -> Any:
    if fault == "echo-headers":
        return [json.dumps(seen.headers)]
    if fault == "endless":
        return _Endless()
    return WORDS


class _Endless:
    def __iter__(self) -> Iterator[str]:
        while True:
            yield "blah " * 2_000

    def __len__(self) -> int:
        return 0


def _piece(text: str, seen: Seen) -> dict[str, Any]:
    return {"delta": {"content": text}} if "messages" in seen.body else {"text": text}


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


class _CookieHeader:
    """ASGI middleware: a cookie with every answer."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_cookie(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"set-cookie", b"tracker=you; Path=/")]
            await send(message)

        await self._app(scope, receive, with_cookie)


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """`app` on a free port of this machine, served by a thread; gives its base URL."""
    entrance = listening(host="127.0.0.1")
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, args=([entrance],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{entrance.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(5)


@contextmanager
def fakenode() -> Iterator[FakeNode]:
    """A running fake node."""
    node = FakeNode()
    with serving(_CookieHeader(node.app)) as base:
        node.url = f"{base}/v1"
        yield node
