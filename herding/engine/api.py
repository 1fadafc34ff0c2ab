"""The engine's HTTP API and its server."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import socket
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from herding.engine.embeddings.embedder import Embedder
from herding.engine.embeddings.queue import Worker
from herding.engine.embeddings.reranker import Reranker
from herding.engine.engine import Engine
from herding.engine.errors import TooLargeError, status_of
from herding.engine.model_files import ModelCatalog, ModelSource
from herding.engine.model_loader import TransformersLoader
from herding.engine.model_manager import Event, error_event
from herding.engine.options import Options, default_threads
from herding.engine.requests import parse_embedding, parse_generation, parse_load, parse_rerank
from herding.engine.system import SystemMonitor, free_memory, memory_budget
from herding.errors import HerdingError, LimitError, UserError

_MAX_BODY_BYTES = 2 * 1024 * 1024
_MAX_EMBEDDING_BODY_BYTES = 16 * 1024 * 1024
_MAX_CONNECTIONS = 1024
_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

_log = logging.getLogger(__name__)


def serve(listener: socket.socket, options: Options, *, secret: str) -> None:
    """Serve on a listening socket until a signal arrives; open streams then get one second to finish."""
    budget = options.memory or memory_budget()
    models = [source for source in options.models if source not in options.added]
    engine = Engine(
        catalog=ModelCatalog([*models, *options.sources], added=options.added),
        loader=TransformersLoader(options, budget=budget),
        max_active=options.max_active,
        max_waiting=options.max_waiting,
        keep_alive=options.keep_alive,
        available=free_memory,
    )
    worker = Worker(threads=options.threads or default_threads(), reserve=engine.reserve)
    embedder = Embedder(options.embedding_sources, worker)
    reranker = Reranker(options.rerank_sources, worker)
    config = uvicorn.Config(
        build_app(engine, SystemMonitor(), embedder, reranker, secret=secret, models=options.models),
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listener])


def build_app(
    engine: Engine,
    system: SystemMonitor,
    embedder: Embedder | None = None,
    reranker: Reranker | None = None,
    *,
    secret: str,
    models: Sequence[ModelSource] = (),
) -> Starlette:
    """Return the application, which loads `models` at startup. Without an `embedder` it makes no embeddings."""
    embedder = embedder or Embedder((), Worker(threads=1))
    reranker = reranker or Reranker((), Worker(threads=1))
    routes = _Routes(engine, system, embedder, reranker)
    exception_handlers: dict[Any, Any] = {HerdingError: _error_response, HTTPException: _http_error_response}
    return Starlette(
        routes=[
            Route("/status", routes.status),
            Route("/models", routes.models),
            Route("/load", routes.load, methods=["POST"]),
            Route("/unload", routes.unload, methods=["POST"]),
            Route("/remove", routes.remove, methods=["POST"]),
            Route("/delete", routes.delete, methods=["POST"]),
            Route("/count", routes.count, methods=["POST"]),
            Route("/generate", routes.generate, methods=["POST"]),
            Route("/embed", routes.embed, methods=["POST"]),
            Route("/rerank", routes.rerank, methods=["POST"]),
        ],
        middleware=[Middleware(SecretMiddleware, secret=secret)],
        exception_handlers=exception_handlers,
        lifespan=partial(_lifespan, engine=engine, system=system, fetched=(embedder, reranker), models=models),
    )


class SecretMiddleware:
    """Responds with 401 to every HTTP request without the secret as its bearer token."""

    def __init__(self, app: ASGIApp, *, secret: str) -> None:
        self._app = app
        self._expected = f"Bearer {secret}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http" or self._is_authorized(scope):
            await self._app(scope, receive, send)
            return
        error = {"type": "unauthorized", "message": "Send the node's secret as bearer token.", "param": None}
        response = JSONResponse({"error": error}, status_code=401, headers={"WWW-Authenticate": "Bearer"})
        await response(scope, receive, send)

    def _is_authorized(self, scope: Scope) -> bool:
        header = Headers(scope=scope).get("authorization", "")
        return hmac.compare_digest(header.encode("latin-1", "replace"), self._expected)


class _Routes:
    def __init__(self, engine: Engine, system: SystemMonitor, embedder: Embedder, reranker: Reranker) -> None:
        self._engine = engine
        self._system = system
        self._embedder, self._reranker = embedder, reranker

    async def status(self, _request: Request) -> JSONResponse:
        texts = self._embedder.status() | self._reranker.status()
        return JSONResponse(self._engine.status() | texts | {"system": self._system.metrics})

    async def models(self, _request: Request) -> JSONResponse:
        return JSONResponse({"models": self._engine.models()})

    async def load(self, request: Request) -> StreamingResponse:
        wanted = parse_load(await _read_json(request))
        return _stream(self._engine.load(wanted.model, from_hub=wanted.from_hub, path=wanted.path).events())

    async def unload(self, request: Request) -> JSONResponse:
        model = parse_load(await _read_json(request)).model
        await self._engine.unload(model)
        return JSONResponse({"model": model})

    async def remove(self, request: Request) -> JSONResponse:
        model = parse_load(await _read_json(request)).model
        await self._engine.remove(model)
        return JSONResponse({"model": model})

    async def delete(self, request: Request) -> JSONResponse:
        model = parse_load(await _read_json(request)).model
        return JSONResponse({"model": model, "bytes": await self._engine.delete(model)})

    async def count(self, request: Request) -> JSONResponse:
        return JSONResponse(await self._engine.count(parse_generation(await _read_json(request))))

    async def generate(self, request: Request) -> StreamingResponse:
        job = await self._engine.admit(parse_generation(await _read_json(request)))
        return _stream(self._engine.run(job), background=BackgroundTask(self._forget, job))

    async def embed(self, request: Request) -> JSONResponse:
        body = parse_embedding(await _read_json(request, max_bytes=_MAX_EMBEDDING_BODY_BYTES))
        made = await self._embedder.embed(body)
        vectors = (await asyncio.to_thread(b64encode, made.vectors)).decode()
        return JSONResponse({"vectors": vectors, "dimensions": made.dimensions, "input_tokens": made.input_tokens})

    async def rerank(self, request: Request) -> JSONResponse:
        body = parse_rerank(await _read_json(request, max_bytes=_MAX_EMBEDDING_BODY_BYTES))
        made = await self._reranker.rerank(body)
        return JSONResponse({"scores": made.scores, "input_tokens": made.input_tokens})

    async def _forget(self, job: Any) -> None:
        self._engine.forget(job)


def _stream(events: AsyncGenerator[Event, None], *, background: BackgroundTask | None = None) -> StreamingResponse:
    """Return `events` as server-sent events; a client that disconnects ends them at once."""
    content = _encode_events(events)
    return StreamingResponse(content, media_type="text/event-stream", headers=_STREAM_HEADERS, background=background)


async def _encode_events(events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    """Encode events; an error becomes the last one, so that no client waits forever."""
    async with aclosing(events):
        try:
            async for event in events:
                yield _encode(event)
        except HerdingError as error:
            yield _encode(error_event(error))
        except Exception:  # noqa: BLE001  the client must receive the end
            _log.exception("stream failed")
            yield _encode(error_event(HerdingError("The engine failed. See its log for details.")))


def _encode(event: Event) -> bytes:
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"


@asynccontextmanager
async def _lifespan(
    _app: Starlette,
    *,
    engine: Engine,
    system: SystemMonitor,
    fetched: Sequence[Embedder | Reranker],
    models: Sequence[ModelSource],
) -> AsyncIterator[None]:
    work = (engine.watch(), system.watch(), *(one.fetch() for one in fetched))
    tasks = [asyncio.create_task(one) for one in work]
    engine.load_initial(models)
    yield
    for task in tasks:
        task.cancel()


async def _read_json(request: Request, *, max_bytes: int = _MAX_BODY_BYTES) -> Any:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise TooLargeError(f"The body is larger than {max_bytes:,} bytes.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UserError(f"The body is not valid JSON: {error}") from error


async def _error_response(_request: Request, error: HerdingError) -> JSONResponse:
    headers = {"Retry-After": str(round(error.retry_after))} if isinstance(error, LimitError) else None
    body = {"type": error.type, "message": error.message, "param": error.param}
    return JSONResponse({"error": body}, status_code=status_of(error), headers=headers)


async def _http_error_response(_request: Request, error: HTTPException) -> JSONResponse:
    body = {"type": "not_found", "message": error.detail, "param": None}
    return JSONResponse({"error": body}, status_code=error.status_code)
