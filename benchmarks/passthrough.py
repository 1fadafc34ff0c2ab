"""The least that a gateway can do: one Starlette route that hands bytes on.

It uses Herding's own HTTP client, by httpx's usual way through it, and the same server: uvicorn with its fast parser
and event loop, and no access log.

python benchmarks/passthrough.py PORT URL
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

sys.path.insert(0, str(Path(__file__).parents[1]))

from herding.nodes import http
from herding.nodes.base import Deadlines


def passthrough(url: str) -> Starlette:
    client = http.client(Deadlines(), base_url=url)

    async def chat(request: Request) -> Response:
        body = await request.body()
        headers = {"Content-Type": "application/json"}
        asked = client.build_request("POST", "/chat/completions", content=body, headers=headers)
        answer = await client.send(asked, stream=True)
        if json.loads(body).get("stream"):
            return StreamingResponse(events(answer), answer.status_code, media_type="text/event-stream")
        return Response(await answer.aread(), answer.status_code, media_type="application/json")

    async def events(answer: httpx.Response) -> AsyncIterator[bytes]:
        try:
            async for data in answer.aiter_raw():
                yield data
        finally:
            await answer.aclose()

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])


if __name__ == "__main__":
    uvicorn.run(passthrough(sys.argv[2]), port=int(sys.argv[1]), log_level="error", access_log=False)
