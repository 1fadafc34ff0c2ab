"""Connections under limits, as bytes on a socket."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from herding.api.http.connections import ConnectionLimits, Connections, GuardedProtocol
from herding.api.server import Server, max_connections
from tests.support.ports import listening
from tests.support.until import until

HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n"
SOON = ConnectionLimits(head_seconds=0.3, body_seconds=0.3, linger_seconds=0.3)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the size of the body; `/wait` waits for the client to disconnect first."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    if scope["path"] == "/wait":
        await receive()
        return
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Site:
    """A server with limits."""

    def __init__(self, port: int, connections: Connections) -> None:
        self.port, self.connections = port, connections
        self._writers: list[asyncio.StreamWriter] = []

    async def open(
        self, data: bytes = b"", address: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
        self._writers.append(writer)
        writer.write(data)
        return reader, writer

    async def said(self, data: bytes, address: str = "127.0.0.1") -> bytes:
        """What comes back until the connection is closed."""
        reader, writer = await self.open(data, address)
        async with asyncio.timeout(30):
            try:
                await writer.drain()
                return await reader.read()
            except ConnectionError:
                return b""

    async def refused(self, data: bytes) -> bytes:
        """The response to what is sent to the end, however early it was refused; the connection may still be open."""
        reader, writer = await self.open(data)
        async with asyncio.timeout(30):
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
            return head + await reader.readexactly(int(length))

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def site(limits: ConnectionLimits, served: ASGIApp = app) -> AsyncIterator[Site]:
    async def nothing(_: Any) -> None:
        pass

    connections, entrance = Connections(limits), listening(host="127.0.0.1")
    protocol: Any = partial(GuardedProtocol, connections=connections)
    config = uvicorn.Config(
        served, http=protocol, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1
    )
    server = Server(config, drain=nothing)
    task = asyncio.create_task(server._serve([entrance]))
    await until(lambda: server.started)
    made = Site(entrance.getsockname()[1], connections)
    try:
        yield made
    finally:
        made.close()
        server.should_exit = server.force_exit = True
        await task


def is_refused(answer: bytes, status: int) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
    return b"connection: close" in head and json.loads(body)["error"]["type"] == "invalid_request"


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"x: " + b"y" * 40_000_000,
        b"GET /" + b"x" * 1_000_000,
        HEAD + b"".join(b"x-%d: y\r\n" % number for number in range(200)) + b"\r\n",
        HEAD + b"".join(b"x-%d: y\r\n" % number for number in range(1_000)) * 1_000,
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: " + b"y" * 1_000_000,
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1;x=" + b"y" * 1_000_000,
    ],
    ids=["a field", "the path", "200 fields", "a million fields", "a trailer", "a chunk's extension"],
)
async def test_a_head_that_is_too_large_is_refused_and_its_sender_can_read_that(head: bytes) -> None:
    async with site(ConnectionLimits(linger_seconds=30)) as place:
        assert is_refused(await place.refused(head), 431)


async def test_the_largest_head_and_all_that_follow_on_the_connection_pass() -> None:
    async with site(ConnectionLimits()) as place:
        field = b"x: " + b"y" * (65_536 - len(HEAD) - len(b"x: \r\n\r\n")) + b"\r\n\r\n"
        body = b"z" * 200_000
        post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n" + body
        last = HEAD + b"connection: close\r\n\r\n"
        answer = await place.said(HEAD + field + post + HEAD + field + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 4
    assert b"200000" in answer


@pytest.mark.parametrize(
    ("part", "status"),
    [
        (b"GET / HT", 408),
        (HEAD, 408),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc", 408),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n", 408),
    ],
)
async def test_what_is_not_complete_in_time_is_refused(part: bytes, status: int) -> None:
    async with site(SOON) as place:
        reader, writer = await place.open(part[:5])
        await writer.drain()
        writer.write(part[5:])
        async with asyncio.timeout(30):
            answer = await reader.read()
        assert is_refused(answer, status)
        await until(lambda: len(place.connections) == 0)


async def test_a_trickle_is_not_in_time() -> None:
    async with site(SOON) as place:
        reader, writer = await place.open(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\n")

        async def trickle() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.02)

        task = asyncio.create_task(trickle())
        async with asyncio.timeout(30):
            assert b" 408 " in await reader.readline()
        task.cancel()


async def test_a_slow_body_that_goes_on_and_a_served_request_have_no_deadline() -> None:
    async with site(ConnectionLimits(head_seconds=0.2, body_seconds=0.2, min_body_rate=10)) as place:
        waiting, _ = await place.open(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        reader, writer = await place.open(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3000\r\n\r\n")
        for _ in range(30):
            writer.write(b"x" * 100)
            await asyncio.sleep(0.03)
        assert b" 200 " in await reader.readline()
        assert not waiting.at_eof()
        assert len(place.connections) == 2


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with site(SOON) as place:
        assert await place.said(b"") == b""


async def test_an_address_with_too_many_connections_loses_its_oldest_idle_one_and_no_other_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with site(ConnectionLimits(per_address=10)) as place:
        busy, _ = await place.open(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n", "127.0.0.2")
        other, _ = await place.open(HEAD, "127.0.0.3")
        await until(lambda: len(place.connections) == 2)
        with caplog.at_level(logging.WARNING):
            for _ in range(50):
                await place.open(HEAD, "127.0.0.2")
            await until(lambda: len(place.connections) == 11)
        answer = await place.said(HEAD + b"connection: close\r\n\r\n", "127.0.0.2")
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert not busy.at_eof()
        assert not other.at_eof()
        assert [record.message for record in caplog.records] == [
            "close connection (too many connections of one address, address 127.0.0.2, 0 more before)"
        ]


async def test_all_addresses_together_have_a_limit_too() -> None:
    async with site(ConnectionLimits(total=10, per_address=None)) as place:
        for number in range(40):
            await place.open(HEAD, f"127.0.0.{number % 20 + 2}")
        answer = await place.said(HEAD + b"connection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert len(place.connections) <= 10


async def test_where_every_connection_is_served_a_further_one_is_refused() -> None:
    async with site(ConnectionLimits(total=3, per_address=None, linger_seconds=0.1)) as place:
        for _ in range(3):
            await place.open(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        await until(lambda: sum(found.is_served for found in place.connections._all) == 3)
        assert is_refused(await place.said(b""), 503)


async def test_a_trailer_is_no_header_of_the_request_and_nobody_upgrades() -> None:
    seen: list[Any] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        seen.extend(name for name, _ in scope["headers"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with site(ConnectionLimits(), look) as place:
        head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        assert b" 204 " in await place.said(head + b"1\r\na\r\n0\r\nauthorization: Bearer x\r\n\r\n")
        assert seen == [b"host", b"transfer-encoding", b"connection"]
        upgrade = b"connection: upgrade, close\r\nupgrade: websocket\r\n\r\n"
        assert (await place.said(HEAD + upgrade)).startswith(b"HTTP/1.1 204")


async def test_what_is_no_http_is_refused_in_the_form_of_the_api() -> None:
    async with site(SOON) as place:
        assert is_refused(await place.said(b"nonsense\r\n\r\n"), 400)


@pytest.mark.parametrize(("allowed", "connections"), [(64, 16), (300, 64), (1_000, 600), (100_000, 10_000)])
def test_the_open_files_bound_the_connections(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, allowed: int, connections: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (allowed, allowed))
    assert max_connections() == connections
    assert ("few open files allowed" in caplog.text) == (allowed < 464)
