"""A chat completion server that costs next to nothing: the gateways are measured in front of it.

It always sends the same words, whole or as events. Models: `fast` responds at once, `slow` after 50 ms, `paced` sends
its first event after 50 ms and the others 10 ms apart.

python benchmarks/upstream.py PORT
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial

FIRST, NEXT, EVENTS = "alpha", "beta", 24
LATENCY = 0.050
"""Seconds before the first byte of a response of `slow`, and before the first event of `paced`."""

PAUSE = 0.010
"""Seconds between two events of `paced`."""

HEAD = {"id": "chatcmpl-1", "created": 1, "model": "bench"}
USAGE = {"prompt_tokens": 9, "completion_tokens": EVENTS, "total_tokens": EVENTS + 9}
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def whole() -> bytes:
    """Return a response in one piece, with its head."""
    words = " ".join([FIRST] + [NEXT] * (EVENTS - 1))
    choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
    body = json.dumps(HEAD | {"object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def pieces() -> list[bytes]:
    """Return the events of a streamed response, each as an HTTP chunk; the last piece ends it."""
    words = [FIRST] + [f" {NEXT}"] * (EVENTS - 1)
    choices = [[{"index": 0, "delta": {"content": word}, "finish_reason": None}] for word in words]
    choices += [[{"index": 0, "delta": {}, "finish_reason": "stop"}]]
    head = HEAD | {"object": "chat.completion.chunk"}
    events = [json.dumps(head | {"choices": choice}) for choice in choices]
    events += [json.dumps(head | {"choices": [], "usage": USAGE}), "[DONE]"]
    chunks = [_chunk(f"data: {event}\n\n".encode()) for event in events]
    return [*chunks[:EVENTS], b"".join(chunks[EVENTS:]) + _chunk(b"")]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


WHOLE, PIECES = whole(), pieces()


class Upstream(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._received = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        _, named, length = head.lower().partition(b"content-length:")
        size = int(length.split(b"\r\n", 1)[0]) if named else 0
        if len(rest) >= size:
            self._received = rest[size:]
            self._respond(json.loads(rest[:size]) if size else {})

    def _respond(self, asked: dict[str, object]) -> None:
        model, stream = asked.get("model"), bool(asked.get("stream"))
        send = partial(self._send_paced, 0) if stream and model == "paced" else partial(self._send_whole, stream)
        if model == "fast":
            send()
        else:
            self._timer = asyncio.get_running_loop().call_later(LATENCY, send)

    def _send_whole(self, stream: bool) -> None:
        self._transport.writelines([STREAM, *PIECES] if stream else [WHOLE])

    def _send_paced(self, number: int) -> None:
        self._transport.write(PIECES[number] if number else STREAM + PIECES[0])
        if number + 1 < len(PIECES):
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._send_paced, number + 1)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
