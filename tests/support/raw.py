"""A server that says the same bytes to everybody, whatever it is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def saying(*parts: bytes, drips: bool = False, seen: list[Any] | None = None) -> AsyncIterator[str]:
    """Its URL. It closes each connection after its `parts`; one that `drips` adds blank after blank, for ever.

    The JSON bodies that it gets are added to `seen`.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].split(b"\r\n")[0]
            body = await reader.readexactly(int(length or 0))
            if seen is not None and body:
                seen.append(json.loads(body))
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.001)  # so that each comes in a packet of its own
            while drips:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.1)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
