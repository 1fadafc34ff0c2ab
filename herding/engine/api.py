"""The engine's HTTP interface: thin routes over `Engine`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from herding.engine.body import parse_generation, parse_model
from herding.engine.engine import Engine
from herding.engine.events import EventStreamResponse
from herding.engine.guard import Guard
from herding.engine.refusals import TooLargeError, status_of
from herding.engine.system import System
from herding.errors import HerdingError, LimitError, UserError

_MAX_BODY_BYTES = 2 * 1024 * 1024


def build_app(engine: Engine, system: System, *, secret: str, model: str) -> Starlette:
    """The application; it loads `model` when it starts."""
    routes = _Routes(engine, system)
    refusals: dict[Any, Any] = {HerdingError: _refuse, HTTPException: _refuse_http}
    return Starlette(
        routes=[
            Route("/status", routes.status),
            Route("/models", routes.models),
            Route("/load", routes.load, methods=["POST"]),
            Route("/count", routes.count, methods=["POST"]),
            Route("/generate", routes.generate, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, secret=secret)],
        exception_handlers=refusals,
        lifespan=partial(_lifespan, engine=engine, system=system, model=model),
    )


class _Routes:
    def __init__(self, engine: Engine, system: System) -> None:
        self._engine = engine
        self._system = system

    async def status(self, _request: Request) -> JSONResponse:
        return JSONResponse(self._engine.status() | {"system": self._system.figures})

    async def models(self, _request: Request) -> JSONResponse:
        return JSONResponse({"models": self._engine.models()})

    async def load(self, request: Request) -> ASGIApp:
        load = self._engine.load(parse_model(await _read_json(request)))
        return EventStreamResponse(load.events())

    async def count(self, request: Request) -> JSONResponse:
        return JSONResponse(await self._engine.count(parse_generation(await _read_json(request))))

    async def generate(self, request: Request) -> ASGIApp:
        job = await self._engine.admit(parse_generation(await _read_json(request)))
        return EventStreamResponse(self._engine.run(job), closed=partial(self._engine.forget, job))


@asynccontextmanager
async def _lifespan(_app: Starlette, *, engine: Engine, system: System, model: str) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(engine.watch()), asyncio.create_task(system.watch())]
    if model:
        engine.load(model)
    yield
    for task in tasks:
        task.cancel()


async def _read_json(request: Request) -> Any:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MAX_BODY_BYTES:
            raise TooLargeError(f"The body has more than {_MAX_BODY_BYTES} bytes.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UserError(f"The body is not JSON: {error}") from error


async def _refuse(_request: Request, error: HerdingError) -> JSONResponse:
    headers = {"Retry-After": str(round(error.retry_after))} if isinstance(error, LimitError) else None
    body = {"type": error.type, "message": error.message, "param": error.param}
    return JSONResponse({"error": body}, status_code=status_of(error), headers=headers)


async def _refuse_http(_request: Request, error: HTTPException) -> JSONResponse:
    body = {"type": "not_found", "message": error.detail, "param": None}
    return JSONResponse({"error": body}, status_code=error.status_code)
