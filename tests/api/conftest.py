"""The front doors over a real Herding, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from unittest.mock import patch

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from herding import main
from herding.api.app import create_app
from herding.api.http.request import get_principal
from herding.api.native import infer
from herding.api.native.idempotency import IdempotencyCache
from herding.api.site.docs import describe
from herding.orchestrator import Orchestrator
from herding.people.authenticator import Authenticator
from tests.support.database import on_each
from tests.support.herding import ADMIN_TOKEN, Place
from tests.support.ports import listening

ADMIN = {"authorization": f"Bearer {ADMIN_TOKEN}"}
MAX_BODY = 50_000


@dataclass
class _Site:
    """One app: the services of its place, and the responses that its routes keep for repeated requests."""

    place: Place
    responses: IdempotencyCache[Any] | None = None


_site: ContextVar[_Site] = ContextVar("site")


class _Service:
    """Stands for a service of the app that is asked, because all apps of a process share the routes."""

    def __init__(self, find: Callable[[], Any]) -> None:
        self._find = find

    def __getattr__(self, name: str) -> Any:
        service = self._find()
        found = getattr(service, name)
        if isinstance(service, Orchestrator) and type(found).__module__.startswith("herding."):
            return _Service(lambda: getattr(self._find(), name))
        return found


def _responses(**options: Any) -> Any:
    """A cache of responses that each app has for itself."""

    def find() -> IdempotencyCache[Any]:
        site = _site.get()
        site.responses = site.responses or IdempotencyCache(**options)
        return site.responses

    return _Service(find)


class _EnterSite:
    """The innermost middleware: tells the shared routes which app is asked, and by whom where a test says so."""

    def __init__(self, app: ASGIApp, *, site: _Site) -> None:
        self._app, self._site = app, site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _site.set(self._site)
        if found := scope["app"].dependency_overrides.get(get_principal):
            scope["state"]["principal"] = found()
        await self._app(scope, receive, send)


@cache
def _routes() -> FastAPI:
    """The routes of the app, built once in a process because that takes longer than most tests, and some that fail."""
    with patch.object(infer, "IdempotencyCache", _responses):
        orchestrator = _Service(lambda: _site.get().place.orchestrator)
        authenticator = _Service(lambda: _site.get().place.authenticator)
        app = create_app(cast(Orchestrator, orchestrator), cast(Authenticator, authenticator))

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


def web(place: Place, *, small: bool = True) -> FastAPI:
    """The web app without its page, and with some routes that misbehave; only `small` bodies are taken."""
    site = _Site(place)
    _site.set(site)
    app = copy(_routes())
    app.router = copy(app.router)
    app.router.routes = list(app.router.routes)
    app.router.middleware_stack = app.router.app
    app.user_middleware, app.middleware_stack = [], None
    app.dependency_overrides.clear()
    app.add_middleware(_EnterSite, site=site)
    with patch.object(main, "create_app", lambda *_: app):
        settings = place.settings.model_copy(update={"max_body": MAX_BODY}) if small else place.settings
        return main.create(place.parts, settings, ui=False)


def client(app: FastAPI, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    """A client of `app`; what goes wrong inside is an answer too, as it is for a real one."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://herding.test", headers=headers)


@pytest.fixture
async def app(place: Place) -> FastAPI:
    return web(place)


_description: dict[str, Any] = {}


@pytest.fixture
def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description of the app, made once in a process: all apps have the same routes."""
    if not _description:
        _description.update(describe(app))
    return _description


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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what makes a Herding on each kind of database."""
    if {"place", "tmp_path"} & set(metafunc.fixturenames):
        on_each(metafunc)


@pytest.fixture(autouse=True)
def on_database(database: str) -> None:
    """Let every Herding of a test use the database of the test."""
