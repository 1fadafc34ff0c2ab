"""Two sites over TLS on this machine: one is the app behind a proxy as on a Space, the other holds it in a frame."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator

import trustme

Streams = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_SAID_BY_US = (b"x-forwarded-for:", b"x-forwarded-proto:", b"connection:")


def forward(port: int) -> Streams:
    """A proxy to a port of this machine, which says over what the request came, and from where."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n")[:-2] if not line.lower().startswith(_SAID_BY_US)]
        lines += [b"x-forwarded-for: 203.0.113.7", b"x-forwarded-proto: https", b"connection: close"]
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        up_writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
        upwards = asyncio.create_task(_pipe(reader, up_writer))
        try:
            await _pipe(up_reader, writer)
        finally:
            upwards.cancel()
            up_writer.close()

    return serve


def page(body: str) -> Streams:
    """A site that answers everything with one page."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\nconnection: close\r\n\r\n"
        writer.write((head + body).encode())

    return serve


@contextlib.contextmanager
def site(host: str, serve: Streams) -> Iterator[int]:
    """Serves `host` with a certificate of its own; yields the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(host).configure_cert(context)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def begin() -> asyncio.Server:
        return await asyncio.start_server(_until_it_ends(serve), "127.0.0.1", 0, ssl=context)

    server = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _until_it_ends(serve: Streams) -> Streams:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # browsers leave in the middle
            await serve(reader, writer)
            await writer.drain()
        writer.close()

    return served


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
