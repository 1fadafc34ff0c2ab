"""Routes whose bodies are read in one step, and the shortcut to them past the framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import cached_property
from typing import Any, cast

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from herding.api.http.disconnect import ClientDisconnected
from herding.api.http.errors import answer_to, nobody_listens
from herding.errors import HerdingError

Handler = Callable[[Request], Awaitable[Response]]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Routes = Mapping[tuple[str, str], "JsonRoute"]
"""Routes by method and path."""

_VARY = (b"vary", b"Origin")


class JsonRoute(APIRoute):
    """For handlers that take a body, the request and the caller: a good body of JSON goes straight to its model.

    Whatever else comes goes FastAPI's own way, which takes three times as long and says what is wrong.
    """

    @cached_property
    def model(self) -> type[BaseModel]:
        """What bodies become."""
        return cast(type[BaseModel], self.dependant.body_params[0].field_info.annotation)

    async def straight(self, request: Request) -> Response | None:
        """The answer to a good body of JSON, None where it is another, which the request has read then."""
        try:
            body = self.model.model_validate_json(await request.body())
        except ClientDisconnect:
            raise ClientDisconnected from None
        except ValidationError:
            return None
        handler: Callable[..., Awaitable[Response]] = self.endpoint
        return await handler(body, request, request.scope["state"]["principal"])

    def get_route_handler(self) -> Callable[[Request], Any]:
        careful: Handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            answer = await self.straight(request) if _is_usual(request.scope) else None
            return answer or await careful(request)

        return handle


class Shortcut:
    """ASGI middleware, inside all guards: requests for `routes` that are as they should be skip the framework.

    Its router, its stack of exits and its handling of errors take a tenth of all that a request costs. Answers, and
    refusals of ours, are the same; what is not as it should be goes through the framework, which says why.
    """

    def __init__(self, app: App, *, routes: Routes) -> None:
        self._app, self._routes = app, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope.get("method", ""), scope.get("path", "")))
        if route is None or not _is_usual(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            answer = await route.straight(request)
            if answer is None:
                await self._app(scope, _again(await request.body(), receive), send)
                return
            await _send(answer, scope, receive, send)
        except HerdingError as error:
            await _send(answer_to(request, error), scope, receive, send)
        except ClientDisconnected:
            await _send(nobody_listens(), scope, receive, send)


def _is_usual(scope: Scope) -> bool:
    """Whether a request says that it brings JSON, and the app is not mounted elsewhere or made over by a test."""
    if scope.get("root_path") or scope["app"].dependency_overrides:
        return False
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return bool(kinds) and kinds[0].partition(b";")[0] == b"application/json"


async def _send(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    answer.raw_headers.append(_VARY)  # as the guard against pages of other origins writes on every answer
    await answer(scope, receive, send)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read once more, then whatever else comes."""
    held = [body]

    async def receiving() -> Message:
        return {"type": "http.request", "body": held.pop(), "more_body": False} if held else await receive()

    return receiving
