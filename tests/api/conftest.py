"""The front doors over a real Herding, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request

from herding.main import create
from tests.support.herding import ADMIN_TOKEN, Place
from tests.support.ports import listening

ADMIN = {"authorization": f"Bearer {ADMIN_TOKEN}"}
MAX_BODY = 50_000


def web(place: Place) -> FastAPI:
    """The web app without its page, and with some routes that misbehave."""
    app = create(place.parts, place.settings, ui=False, max_body=MAX_BODY)

    @app.post("/echo", include_in_schema=False)
    async def echo(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.post("/json", include_in_schema=False)
    async def json(body: dict[str, str]) -> dict[str, str]:
        return body

    @app.get("/bug", include_in_schema=False)
    async def bug() -> None:
        raise RuntimeError("canary: a secret detail")

    return app


def client(app: FastAPI, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    """A client of `app`; what goes wrong inside is an answer too, as it is for a real one."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://herding.test", headers=headers)


@pytest.fixture
async def app(place: Place) -> FastAPI:
    return web(place)


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A visitor, known again by a cookie."""
    async with client(app) as visitor:
        yield visitor


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The admin."""
    async with client(app, ADMIN) as admin:
        yield admin


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def live(place: Place) -> AsyncIterator[str]:
    """The front doors on a port of this machine, in this event loop; gives their address."""
    entrance = listening(host="127.0.0.1")
    server = _Server(uvicorn.Config(web(place), log_level="error", lifespan="off", ws="none"))
    task = asyncio.create_task(server.serve([entrance]))
    while not server.started:
        assert not task.done(), "the server did not start"
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{entrance.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await task
