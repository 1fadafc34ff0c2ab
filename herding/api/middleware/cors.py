"""Web pages of other origins: those that a prompt names may run it by `GET /api/v1/run/{prompt}`, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Request, Response

from herding.api.http.errors import problem_of
from herding.api.http.origin import Headers, address_of, same_origin
from herding.errors import AccessError, HerdingError
from herding.orchestrator import Orchestrator
from herding.prompts.web_access import allows_origin
from herding.values import Principal

PATH = "/api/v1/run/"
REFUSED = "A page of another origin may not do this."
_REMEMBERED = 600
"""For how many seconds a browser need not ask again."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def welcomes(orchestrator: Orchestrator, prompt: str, headers: Headers, who: Principal) -> bool:
    """Whether the page that a request comes from is among those that may run the prompt.

    Both the version that is meant and the one that is served say who may: a page that was let in once can be shut out.
    For a prompt that does not exist for `who` the answer is the same as for one that names no pages.
    """
    origin = headers.get(b"origin", b"").decode("latin-1")
    try:
        served = await orchestrator.prompts.find(prompt.partition("@")[0], who)
        found = await orchestrator.prompts.find(prompt, who)
    except HerdingError:
        return False
    return allows_origin(found.prompt.cors, origin) and allows_origin(served.prompt.cors, origin)


class CrossOriginMiddleware:
    """ASGI middleware: answers what browsers ask before a call, and lets pages read the answer of one, or its error.

    It stands around the one that finds out who calls: a browser's question is a stranger's, and whoever's token is
    refused can read why. No cookie is ever allowed; a page that wants more than a guest may sends a token.
    """

    def __init__(self, app: App, *, orchestrator: Orchestrator, stranger: Callable[[str], Principal]) -> None:
        self._app, self._orchestrator, self._stranger = app, orchestrator, stranger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PATH):
            await self._app(scope, receive, send)
            return
        headers: Headers = dict(scope["headers"])
        wanted = headers.get(b"access-control-request-method")
        if scope["method"] == "OPTIONS" and wanted is not None and b"origin" in headers:
            answer = await self._preflight(scope, headers, wanted)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, self._readable(scope, headers, send))

    async def _preflight(self, scope: Scope, headers: Headers, wanted: bytes) -> Response:
        allowed = wanted == b"GET" and await self._welcomes(scope, headers)
        answer = Response(status_code=204) if allowed else problem_of(AccessError(REFUSED)).answer(Request(scope))
        if allowed:
            answer.headers["Access-Control-Allow-Origin"] = headers[b"origin"].decode("latin-1")
            answer.headers["Access-Control-Allow-Methods"] = "GET"
            answer.headers["Access-Control-Allow-Headers"] = "authorization, content-type"
            answer.headers["Access-Control-Max-Age"] = str(_REMEMBERED)
        answer.headers["Vary"] = "Origin, Access-Control-Request-Method"
        return answer

    def _readable(self, scope: Scope, headers: Headers, send: Send) -> Send:
        """Sends an answer so that the page which asked for it can read it, if it may."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(b"vary", b"Origin")]
                if not same_origin(headers) and await self._welcomes(scope, headers):
                    more.append((b"access-control-allow-origin", headers[b"origin"]))
                    more.append((b"access-control-expose-headers", b"retry-after"))
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        return sending

    async def _welcomes(self, scope: Scope, headers: Headers) -> bool:
        who = scope.get("state", {}).get("principal") or self._stranger(address_of(scope))
        return await welcomes(self._orchestrator, scope["path"].removeprefix(PATH), headers, who)
