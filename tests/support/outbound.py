"""A model server with TLS of a private authority, and an HTTP proxy, in the event loop of a test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trustme

HOST = "models.internal.example"
"""The name in the server's certificate; no name server knows it."""


@dataclass
class Upstream:
    """A server that completes chats; `heads` are those of its requests."""

    port: int
    authority: trustme.CA
    heads: list[str] = field(default_factory=list)


@dataclass
class Proxy:
    """A proxy that knows where HOST is; `asked` are the first lines of its requests."""

    port: int
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    password: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def tls_upstream(*, tls: bool = True) -> AsyncIterator[Upstream]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "localhost", "127.0.0.1").configure_cert(context)
    made = Upstream(0, authority)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            made.heads.append(head)
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "private"}}
            body = json.dumps({"choices": [choice], "data": []}).encode()
            start = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
            writer.write(start + b"content-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context if tls else None)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


@asynccontextmanager
async def http_proxy(*, password: str | None = None) -> AsyncIterator[Proxy]:
    """A proxy for CONNECT and for plain requests, which sends all to this machine."""
    made = Proxy(0, password=password)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            made.asked.append(head.partition("\r\n")[0])
            made.heads.append(head)
            method, target, _ = made.asked[-1].split()
            wanted = b64encode(f"me:{made.password}".encode()).decode()
            if made.password and f"proxy-authorization: basic {wanted}".lower() not in head.lower():
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            else:
                await forward(method, target, head, reader, writer)
        writer.close()

    async def forward(
        method: str, target: str, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        port = int(target.removeprefix("http://").partition("/")[0].rpartition(":")[2])
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            up_writer.write(head.encode())
        task = asyncio.create_task(_pipe(reader, up_writer))
        tasks.add(task)
        await _pipe(up_reader, writer)
        task.cancel()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in tasks:
            task.cancel()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    writer.close()
