"""The front doors over a real Herding, without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.middleware.trustedhost import TrustedHostMiddleware

from herding.access.visitors import IdentifyVisitors, Visitors
from herding.api import errors, exports, operations
from herding.api.shield import Shield
from tests.support.herding import Place

ADMIN = {"authorization": "Bearer admin-token"}
MAX_BODY = 1_000


def web(place: Place) -> FastAPI:
    """The routes inside the guards, in the order of the product, and some routes that misbehave."""
    app = FastAPI()
    app.include_router(operations.router(place.orchestrator))
    app.include_router(exports.router(place.orchestrator))
    errors.install(app)

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.post("/json")
    async def json(body: dict[str, str]) -> dict[str, str]:
        return body

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("canary: a secret detail")

    visitors = Visitors(key=b"k" * 32, local_only=False, admin_token="admin-token")
    app.add_middleware(IdentifyVisitors, visitors=visitors)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["herding.test"])
    app.add_middleware(Shield, max_body=MAX_BODY)
    return app


@pytest.fixture
async def app(place: Place) -> FastAPI:
    return web(place)


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A visitor, known again by a cookie."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://herding.test") as client:
        yield client
