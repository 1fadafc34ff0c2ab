"""Links to prompts: short paths for `GET /api/v1/run/{prompt}`, and calls from web pages of other origins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from herding.api.http.errors import problem_of
from herding.api.http.origins import OTHER_ORIGIN, SAFE_METHODS
from herding.api.http.request import Headers, client_address, same_origin
from herding.errors import AccessError, HerdingError
from herding.orchestrator import Orchestrator
from herding.prompts.web_access import allows_origin
from herding.values import Principal

RUN_PATH = "/api/v1/run/"
_MAX_AGE = "600"
"""Seconds for which browsers remember the answer to a preflight request."""


async def page_may_run(orchestrator: Orchestrator, prompt: str, headers: Headers, who: Principal) -> bool:
    """Return whether the page that sent a request is of an origin that may run the prompt.

    Both the requested and the live version must list it, so that removing an origin from the live one has effect.
    A prompt that does not exist for `who` is like one that lists no origins.
    """
    origin = headers.get(b"origin", b"").decode("latin-1")
    try:
        live = await orchestrator.prompts.find(prompt.partition("@")[0], who)
        requested = await orchestrator.prompts.find(prompt, who)
    except HerdingError:
        return False
    return allows_origin(requested.prompt.cors, origin) and allows_origin(live.prompt.cors, origin)


class PromptLinkMiddleware:
    """ASGI middleware that resolves the short paths of prompts, and lets pages of allowed origins read responses.

    `GET /error?error=123` becomes `GET /api/v1/run/jay_trainer?error=123` if the prompt has the alias `error`.

    It is outside of authentication: a preflight request has no token, and a page can read why its token is refused.
    Cookies are never allowed. A page that needs more than a guest may do sends a token.
    """

    def __init__(
        self, app: ASGIApp, *, orchestrator: Orchestrator, authenticate_guest: Callable[[str], Principal]
    ) -> None:
        self._app, self._orchestrator, self._authenticate_guest = app, orchestrator, authenticate_guest

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        linked = scope["method"] in SAFE_METHODS
        if linked and (alias := self._orchestrator.prompts.resolve_alias(scope["path"])):
            key, names = alias
            path, query = RUN_PATH + key, _rename_parameters(scope["query_string"], names)
            scope = {**scope, "path": path, "raw_path": quote(path).encode(), "query_string": query}
        if not scope["path"].startswith(RUN_PATH):
            return self._app(scope, receive, send)
        return self._run(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight request, and a run with the headers that its page needs."""
        headers: Headers = dict(scope["headers"])
        method = headers.get(b"access-control-request-method")
        if scope["method"] == "OPTIONS" and method is not None and b"origin" in headers:
            response = await self._preflight(scope, headers, method)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, self._with_cors_headers(scope, headers, send))

    async def _preflight(self, scope: Scope, headers: Headers, method: bytes) -> Response:
        vary = {"Vary": "Origin, Access-Control-Request-Method"}
        if method != b"GET" or not await self._allows(scope, headers):
            refusal = problem_of(AccessError(OTHER_ORIGIN)).response(Request(scope))
            refusal.headers.update(vary)
            return refusal
        allowed = {
            "Access-Control-Allow-Origin": headers[b"origin"].decode("latin-1"),
            "Access-Control-Allow-Methods": "GET",
            "Access-Control-Allow-Headers": "authorization, content-type",
            "Access-Control-Max-Age": _MAX_AGE,
        }
        return Response(status_code=204, headers=allowed | vary)

    def _with_cors_headers(self, scope: Scope, headers: Headers, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(b"vary", b"Origin")]
                if not same_origin(headers) and await self._allows(scope, headers):
                    more.append((b"access-control-allow-origin", headers[b"origin"]))
                    more.append((b"access-control-expose-headers", b"retry-after"))
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        return send_with_headers

    async def _allows(self, scope: Scope, headers: Headers) -> bool:
        who = scope.get("state", {}).get("principal") or self._authenticate_guest(client_address(scope))
        return await page_may_run(self._orchestrator, scope["path"].removeprefix(RUN_PATH), headers, who)


def _rename_parameters(query: bytes, names: Mapping[str, str]) -> bytes:
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return urlencode([(names.get(name, name), value) for name, value in given]).encode()
