"""The connections under httpx, against servers that are scripted byte by byte."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest

from herding.errors import ConnectError
from herding.nodes import http
from herding.nodes.base import Deadlines
from herding.nodes.responses.decompress import MAX_PIECE, body_of
from herding.nodes.transport import NodeTransport
from tests.support.nodes import PATIENT
from tests.support.ports import free_port
from tests.support.until import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: tracker=you; Path=/\r\n\r\nok"


class Connection:
    """One connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.send, self.drain = writer.write, writer.drain
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.left: float | None = None

    async def request(self) -> str:
        """The head of the next request, whose body is read too."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        length = [line.split(":")[1] for line in head.lower().splitlines() if line.startswith("content-length:")]
        self.bodies.append(await self._reader.readexactly(int(length[0]) if length else 0))
        self.heads.append(head)
        return head

    async def leave(self) -> None:
        """Wait until the caller closes the connection."""
        while await self._reader.read(1000):
            pass
        self.left = time.monotonic()


Script = Callable[[Connection], Awaitable[Any]]


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[tuple[str, list[Connection]]]:
    """A server that runs `script` for each connection and then closes it; its address, and the connections so far."""
    seen: list[Connection] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(Connection(reader, writer))
        try:
            await script(seen[-1])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()


@asynccontextmanager
async def calling(script: Script, **options: Any) -> AsyncIterator[tuple[httpx.AsyncClient, list[Connection]]]:
    """A client of such a server, and the server's connections."""
    async with serving(script) as (url, seen), http.client(PATIENT, base_url=url, **options) as client:
        yield client, seen


async def always_ok(connection: Connection) -> None:
    while True:
        await connection.request()
        connection.send(OK)


async def hang(connection: Connection) -> None:
    await connection.request()
    await connection.leave()


async def begin_only(connection: Connection) -> None:
    await connection.request()
    connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
    await connection.drain()
    await asyncio.sleep(0.05)  # so that it is a packet of its own


async def begin(connection: Connection) -> None:
    """Half an answer, and no more."""
    await begin_only(connection)
    await connection.leave()


async def test_a_connection_is_used_again() -> None:
    async with calling(always_ok) as (client, seen):
        for _ in range(3):
            assert (await client.post("/", json={})).text == "ok"
        assert [len(connection.heads) for connection in seen] == [3]


async def test_what_is_sent_is_what_httpx_says() -> None:
    async with calling(always_ok, headers={"Authorization": "Bearer key"}) as (client, seen):
        await client.post("/a%2Fb//c?d=%7B+e", json={"f": "ö"})
    line, *headers = seen[0].heads[0].strip().split("\r\n")
    assert line == "POST /a%2Fb//c?d=%7B+e HTTP/1.1"
    assert seen[0].bodies == ['{"f":"ö"}'.encode()]
    names = "accept accept-encoding authorization connection content-length content-type host user-agent"
    assert sorted(header.lower().split(":")[0] for header in headers) == names.split()


async def test_a_cookie_of_one_answer_is_not_in_the_next_request() -> None:
    async with calling(always_ok) as (client, seen):
        for _ in range(2):
            assert "set-cookie" in (await client.get("/")).headers
        assert not client.cookies
    assert not any("cookie" in head.lower() for head in seen[0].heads)


async def test_proxies_and_credentials_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{free_port()}")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login spy password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    async with calling(always_ok) as (client, seen):
        assert (await client.get("/")).text == "ok"
    assert "authorization" not in seen[0].heads[0].lower()


async def test_a_redirect_is_not_followed() -> None:
    async def elsewhere(connection: Connection) -> None:
        await connection.request()
        connection.send(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")
        await connection.leave()

    async with calling(elsewhere) as (client, seen):
        assert (await client.get("/")).status_code == 302
        assert [len(connection.heads) for connection in seen] == [1]


async def test_a_server_that_closes_what_is_idle_does_no_harm() -> None:
    async def once(connection: Connection) -> None:
        await connection.request()
        connection.send(OK)

    async with calling(once) as (client, seen):
        for wait in (0.05, 0.0, 0.0):
            assert (await client.post("/", json={})).text == "ok"
            await asyncio.sleep(wait)
        assert len(seen) == 3


async def test_a_kept_connection_that_closes_under_a_request_is_replaced() -> None:
    async def closes_at_the_second(connection: Connection) -> None:
        await connection.request()
        connection.send(OK)
        await connection.request()

    async with calling(closes_at_the_second) as (client, seen):
        for _ in range(3):
            assert (await client.post("/", json={"a": 1})).text == "ok"
        assert [len(connection.heads) for connection in seen] == [2, 2, 1]
        assert {body for connection in seen for body in connection.bodies} == {b'{"a":1}'}


async def test_a_kept_connection_that_closes_as_its_client_is_closed_is_not_replaced() -> None:
    async def client_leaves_at_the_second(connection: Connection) -> None:
        await connection.request()
        connection.send(OK)
        await connection.request()
        await transport.aclose()

    transport = NodeTransport()
    async with (
        serving(client_leaves_at_the_second) as (url, seen),
        http.client(PATIENT, base_url=url, transport=transport) as client,
    ):
        await client.post("/", json={})
        with pytest.raises(httpx.TransportError):
            await client.post("/", json={})
        assert len(seen) == 1


async def test_a_new_connection_that_closes_is_not_asked_again() -> None:
    async with calling(Connection.request) as (client, seen):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/", json={})
        assert len(seen) == 1


async def test_a_kept_connection_that_began_to_answer_is_not_asked_again() -> None:
    async def breaks_off(connection: Connection) -> None:
        await connection.request()
        connection.send(OK)
        await connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    async with calling(breaks_off) as (client, seen):
        await client.post("/", json={})
        with pytest.raises(httpx.ReadError):
            await client.post("/", json={})
        assert len(seen) == 1


@pytest.mark.parametrize("head", ["Content-Length: 100", "Transfer-Encoding: chunked"])
async def test_an_answer_that_breaks_off_is_no_whole_answer(head: str) -> None:
    async def cut(connection: Connection) -> None:
        await connection.request()
        connection.send(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n9\r\nbeginning\r\n".encode())

    async with calling(cut) as (client, _):
        with pytest.raises(httpx.TransportError):
            await client.get("/")


async def test_an_answer_that_breaks_the_protocol_ends_at_once() -> None:
    async def breaks(connection: Connection) -> None:
        await begin_only(connection)
        connection.send(b"xyz\r\n")
        await connection.leave()

    async with (
        asyncio.timeout(60),
        calling(breaks) as (client, _),
        client.stream("GET", "/", timeout=None) as response,
    ):
        body = response.aiter_raw()
        assert await anext(body) == b"one"
        with pytest.raises(httpx.ReadError):
            await anext(body)


async def test_a_server_that_accepts_nobody() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        deadlines = Deadlines(connect=0.3, first_token=5)
        async with http.client(deadlines, base_url=f"http://127.0.0.1:{full.getsockname()[1]}") as client:
            with pytest.raises(ConnectError, match="did not accept a connection"), http.node_errors("n"):
                async with asyncio.timeout(60):
                    await client.get("/")
        for one in waiting:
            one.close()


@pytest.mark.parametrize(("host", "why"), [("127.0.0.1", "Connection refused"), ("nowhere.invalid", "[A-Z][A-Za-z ]+")])
async def test_a_server_that_is_not_there_is_named_in_plain_words(host: str, why: str) -> None:
    port = free_port()
    said = rf"^Can't reach node 'n': {why} \({host}:{port}\)\.$"
    async with http.client(PATIENT, base_url=f"http://{host}:{port}") as client:
        with pytest.raises(ConnectError, match=said), http.node_errors("n"):
            await client.get("/")


@pytest.mark.parametrize("script", [hang, begin])
async def test_silence_has_a_deadline(script: Script) -> None:
    async with calling(script) as (client, seen):
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/", timeout=httpx.Timeout(60, read=0.2))
        await until(lambda: seen[0].left)


async def test_without_a_deadline_silence_is_patience() -> None:
    async def slow(connection: Connection) -> None:
        await connection.request()
        await asyncio.sleep(0.5)
        connection.send(OK)

    async with calling(slow) as (client, _):
        client.timeout = httpx.Timeout(0.1)
        assert (await client.get("/", timeout=None)).text == "ok"


@pytest.mark.parametrize("script", [hang, begin])
async def test_whoever_is_cancelled_closes_the_connection(script: Script) -> None:
    async with calling(script) as (client, seen):
        asking = asyncio.create_task(client.post("/", json={}))
        await until(lambda: seen and seen[0].heads)
        await asyncio.sleep(0.05)
        asking.cancel()
        await until(lambda: seen[0].left)


async def test_an_answer_closed_early_closes_the_connection() -> None:
    async with calling(begin) as (client, seen):
        async with client.stream("GET", "/") as response:
            assert await anext(response.aiter_raw()) == b"one"
        await until(lambda: seen[0].left)


async def test_closing_the_client_closes_idle_connections() -> None:
    async def polite(connection: Connection) -> None:
        await connection.request()
        connection.send(OK)
        await connection.leave()

    async with serving(polite) as (url, seen):
        async with http.client(PATIENT, base_url=url) as client:
            await client.get("/")
        await until(lambda: seen[0].left)


async def test_a_client_that_was_never_used_can_be_closed() -> None:
    await http.client(PATIENT).aclose()


async def test_a_compressed_answer_is_read_in_small_pieces() -> None:
    bomb = gzip.compress(b"0" * 10_000_000)

    async def squeeze(connection: Connection) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
        while await connection.request():
            connection.send(head + bomb)

    async with calling(squeeze) as (client, _):
        async with client.stream("GET", "/") as response:
            assert b"".join([data async for data in response.aiter_raw()]) == bomb
        response = await http.open_response(client._transport, client.build_request("POST", "/"), node="n")
        async with aclosing(response):
            pieces = [len(piece) async for piece in body_of(response)]
        assert sum(pieces) == 10_000_000
        assert max(pieces) <= MAX_PIECE


async def test_an_answer_is_not_read_ahead_of_its_reader() -> None:
    sent = 0

    async def flood(connection: Connection) -> None:
        nonlocal sent
        await connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while sent < 1_000_000_000:
            connection.send(bytes(100_000))
            await connection.drain()
            sent += 100_000

    async with calling(flood) as (client, _), client.stream("GET", "/") as response:
        await anext(response.aiter_raw())
        await asyncio.sleep(0.3)
        assert sent < 50_000_000


async def test_a_large_request_arrives_whole() -> None:
    async with calling(always_ok) as (client, seen):
        await client.post("/", content=bytes(5_000_000))
        assert len(seen[0].bodies[0]) == 5_000_000


@pytest.mark.parametrize("head", [b"X-Long: " + b"x" * 100_000, b"\r\n".join(b"X-%d: x" % n for n in range(10_000))])
async def test_a_head_without_end_is_refused(head: bytes) -> None:
    async def talk(connection: Connection) -> None:
        await connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nContent-Length: 2\r\n\r\nok")
        await connection.leave()

    async with calling(talk) as (client, _):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")
