"""The least that a gateway can do: one Starlette route that passes bytes on through aiohttp.

python benchmarks/passthrough.py PORT URL
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


def passthrough(url: str) -> Starlette:
    """Return an app that passes chat completions on to the server at `url`."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as app.state.client:
            yield

    async def chat(request: Request) -> Response:
        body = await request.body()
        headers = {"Content-Type": "application/json"}
        upstream = await request.app.state.client.post(f"{url}/chat/completions", data=body, headers=headers)
        if json.loads(body).get("stream"):
            return StreamingResponse(events(upstream), upstream.status, media_type="text/event-stream")
        async with upstream:
            return Response(await upstream.read(), upstream.status, media_type="application/json")

    async def events(upstream: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        async with upstream:
            async for data in upstream.content.iter_any():
                yield data

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])], lifespan=lifespan)


if __name__ == "__main__":
    uvicorn.run(passthrough(sys.argv[2]), port=int(sys.argv[1]), log_level="error", access_log=False)
