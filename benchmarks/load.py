"""Sends chat completions over a fixed number of connections as fast as they return, and prints the times as JSON.

python benchmarks/load.py URL --callers 16 --seconds 2 --model fast [--stream] [--token TOKEN]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from urllib.parse import urlsplit

from upstream import EVENTS, FIRST, NEXT

SETTLE = 0.2
"""Seconds at the start that do not count."""

MOST_FAILED = 100


class Samples:
    """Milliseconds to the first word and to the end of each response, in the seconds that count."""

    def __init__(self, seconds: float) -> None:
        self.begins = time.perf_counter() + SETTLE
        self.ends = self.begins + seconds
        self.first: list[float] = []
        self.all: list[float] = []
        self.answered = self.counted = 0
        self.failed: list[str] = []

    def add(self, asked: float, first: float, done: float) -> None:
        self.answered += 1
        self.counted += self.begins <= done <= self.ends
        if self.begins <= done:
            self.first.append((first - asked) * 1000)
            self.all.append((done - asked) * 1000)

    def report(self) -> dict[str, object]:
        return {
            "rate": self.counted / (self.ends - self.begins),
            "answered": self.answered,
            "failed": len(self.failed),
            "failure": self.failed[0] if self.failed else "",
            "all": [_share(self.all, 0.5), _share(self.all, 0.99)],
            "first": [_share(self.first, 0.5), _share(self.first, 0.99)],
        }


def _share(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))] if values else float("nan")


class Caller(asyncio.Protocol):
    """One connection that sends its next request as soon as it has a response."""

    def __init__(self, request: bytes, samples: Samples) -> None:
        self._request, self._samples = request, samples
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self._samples.failed.append(f"connection lost: {exc}")
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._first and FIRST.encode() in self._got:
            self._first = time.perf_counter()
        if self._complete():
            self._check()
            self._ask()

    def _ask(self) -> None:
        now = time.perf_counter()
        if now > self._samples.ends:
            self.ended.set_result(None)
            self._transport.close()
            return
        self._asked, self._first, self._got = now, 0.0, bytearray()
        self._transport.write(self._request)

    def _complete(self) -> bool:
        if self._got.endswith(b"0\r\n\r\n"):
            return True
        end = self._got.find(b"\r\n\r\n")
        _, named, length = bytes(self._got[:end]).lower().partition(b"content-length:")
        return end > 0 and bool(named) and len(self._got) - end - 4 >= int(length.split(b"\r\n", 1)[0])

    def _check(self) -> None:
        if self._got.startswith(b"HTTP/1.1 200") and self._got.count(NEXT.encode()) == EVENTS - 1:
            self._samples.add(self._asked, self._first, time.perf_counter())
        else:
            self._samples.failed.append(self._got[:500].decode(errors="replace"))


async def main(options: argparse.Namespace) -> None:
    url, loop, samples = urlsplit(options.url), asyncio.get_running_loop(), Samples(options.seconds)
    messages = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "Say alphabet letters."}]
    asked = {"model": options.model, "messages": messages, "max_tokens": 64} | (
        {"stream": True, "stream_options": {"include_usage": True}} if options.stream else {}
    )
    body = json.dumps(asked).encode()
    head = f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {options.token}\r\nContent-Length: {len(body)}\r\n\r\n"

    async def call() -> None:
        while time.perf_counter() < samples.ends and len(samples.failed) < MOST_FAILED:
            caller = Caller(head.encode() + body, samples)
            await loop.create_connection(lambda caller=caller: caller, str(url.hostname), url.port)
            await caller.ended

    async with asyncio.timeout(options.seconds + 60):
        await asyncio.gather(*(call() for _ in range(options.callers)))
    print(json.dumps(samples.report()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--token", default="none")
    asyncio.run(main(parser.parse_args()))
