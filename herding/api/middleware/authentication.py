"""Find the principal of each request, before any route runs."""

from __future__ import annotations

import html
from collections.abc import Iterator

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from herding.access.operations import ADMINISTER
from herding.access.sessions import Session
from herding.access.tokens import PREFIX
from herding.api.http.errors import problem_of
from herding.api.http.origins import OTHER_ORIGIN, SAFE_METHODS, AllowedOrigins, page_origin
from herding.api.http.request import Headers, accepts_html, client_address, is_navigation, root_path, same_origin
from herding.errors import AccessError, AuthenticationError, HerdingError, StoreError, UserError
from herding.people.authenticator import Authenticator
from herding.values import Principal

COOKIE = "herding_session"
NO_TOKEN = frozenset({"any", "empty", "none", "no-key", "not-needed", "unused"})
"""Placeholders for clients that insist on a key; they count as no token."""

LISTED_ORIGINS_PATHS = ("/mcp", "/mcp/")
"""Paths that pages of other origins may not call at all unless their origin is allowed: what is behind them acts."""

DISCORD_USER, DISCORD_ROLE = b"x-herding-discord-user", b"x-herding-discord-role"
MAX_DIGITS = 20
LOGIN, LOGOUT = "/login", "/logout"

_NO_DATABASE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>Herding</title></head>
<body><h1>Database not available</h1><p>{message}</p><p>This page reloads every five seconds.</p></body></html>
"""


class AuthenticationMiddleware:
    """ASGI middleware that sets `scope["state"]["principal"]`, and the client's address as `"address"`.

    A token comes in the Authorization header, never in a URL. Where none is needed, a key of another kind counts as
    none: many clients insist on one. The session cookie, and the trust in the local user, hold
    for our own pages only: a page of another origin is a guest.
    """

    def __init__(self, app: ASGIApp, *, authenticator: Authenticator, origins: AllowedOrigins | None = None) -> None:
        self._app, self._authenticator = app, authenticator
        self._origins = AllowedOrigins() if origins is None else origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers: Headers = dict(scope["headers"])
        address, is_own_page = client_address(scope), same_origin(headers)
        try:
            who, new_session = await self._authenticate(scope, headers, address, is_own_page=is_own_page)
            if not is_own_page:
                self._check_origin(scope, headers, who)
            if given := headers.get(DISCORD_USER):
                who = await self._discord_user(given, headers, who)
        except HerdingError as error:
            await self._refusal(scope, headers, error)(scope, receive, send)
            return
        state = {"principal": who, "address": address, "for_discord": DISCORD_USER in headers}
        scope.setdefault("state", {}).update(state)
        if new_session is not None:
            send = self._with_cookie(send, new_session, scope)
        await self._app(scope, receive, send)

    async def _authenticate(
        self, scope: Scope, headers: Headers, address: str, *, is_own_page: bool
    ) -> tuple[Principal, Session | None]:
        """Return the principal, and the session that begins if they are new."""
        token = bearer_token(headers)
        if token is not None and not (self._authenticator.trusts_all and not token.startswith(PREFIX)):
            return await self._authenticator.authenticate_token(token, address), None
        if not is_own_page and not is_navigation(headers):
            return self._authenticator.authenticate_guest(address), None
        try:
            known = await self._authenticate_cookie(scope, address)
        except AuthenticationError:
            if scope["path"] not in (LOGIN, LOGOUT):
                raise
            known = None
        return (known, None) if known else self._authenticator.authenticate_anonymous(address)

    async def _discord_user(self, given: bytes, headers: Headers, who: Principal) -> Principal:
        """Return the user of Discord for whom a bot in a process of its own calls, with an admin's token."""
        if ADMINISTER not in who.rights:
            raise AccessError("Only a token of an admin may act for users of Discord.")
        if not (given.isdigit() and len(given) <= MAX_DIGITS):
            raise UserError("This is not the ID of a Discord user.", param=DISCORD_USER.decode())
        role = headers.get(DISCORD_ROLE, b"guest").decode("latin-1")
        return await self._authenticator.authenticate_discord(int(given), role)

    def _check_origin(self, scope: Scope, headers: Headers, who: Principal) -> None:
        """Raise AccessError for a page of another origin that may not use its token, or may not write without one."""
        origin = page_origin(headers) if b"origin" in headers else ""
        if not origin or scope["type"] != "http":
            return
        if scope["path"] in LISTED_ORIGINS_PATHS and origin not in self._origins:
            raise AccessError(OTHER_ORIGIN)
        allowed = self._authenticator.page_may_use(who.token, origin) if who.token else None
        if allowed is None:  # an origin that only other tokens allow; all others were refused before
            by_tokens = origin in self._origins and not self._origins.in_settings(origin)
            allowed = scope["method"] in SAFE_METHODS or not by_tokens
        if not allowed:
            raise AccessError(f"This token may not be used by pages of {origin[:300]}." if who.token else OTHER_ORIGIN)

    async def _authenticate_cookie(self, scope: Scope, address: str) -> Principal | None:
        for value in session_values(scope):
            if who := await self._authenticator.authenticate_session(value, address):
                return who
        return None

    def _refusal(self, scope: Scope, headers: Headers, error: HerdingError) -> ASGIApp:
        if scope["type"] == "websocket":
            return _close_websocket
        if isinstance(error, AuthenticationError) and accepts_html(scope, headers) and b"authorization" not in headers:
            return RedirectResponse(f"{root_path(scope)}{LOGIN}?ended=1", 303)
        if isinstance(error, StoreError) and accepts_html(scope, headers):
            page = _NO_DATABASE.format(message=html.escape(error.message))
            return HTMLResponse(page, 503, headers={"Cache-Control": "no-store", "Refresh": "5", "Retry-After": "5"})
        response = problem_of(error).response(Request(scope))
        if isinstance(error, AuthenticationError):
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def _with_cookie(self, send: Send, session: Session, scope: Scope) -> Send:
        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and not _sets_session(message):
                cookie = session_cookie(self._authenticator.sign_session(session), session.max_age, scope)
                message["headers"] = [*message.get("headers", ()), (b"set-cookie", cookie.encode())]
            await send(message)

        return send_with_cookie


def bearer_token(headers: Headers) -> str | None:
    """Return the token of a request, None without one. Raises AuthenticationError for another scheme."""
    value = headers.get(b"authorization")
    if value is None:
        return None
    scheme, _, token = value.decode("latin-1").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise AuthenticationError("Send a token as 'Authorization: Bearer <token>'.")
    return None if token.lower() in NO_TOKEN else token


def session_values(scope: Scope) -> Iterator[str]:
    """Yield the values of our cookie; a browser may have several, of different paths."""
    for key, given in scope["headers"]:
        if key == b"cookie":
            for part in given.decode("latin-1").split(";"):
                name, _, value = part.strip().partition("=")
                if name == COOKIE:
                    yield value


def session_cookie(value: str, max_age: int, scope: Scope) -> str:
    """Return the Set-Cookie header of a session that lasts `max_age` seconds.

    In the frame of a Space browsers store only a partitioned cross-site cookie, which needs https.
    """
    attributes = "SameSite=None; Secure; Partitioned" if scope.get("scheme") == "https" else "SameSite=Lax"
    return f"{COOKIE}={value}; Path={root_path(scope)}/; Max-Age={max_age}; HttpOnly; {attributes}"


def _sets_session(message: Message) -> bool:
    prefix = COOKIE.encode() + b"="
    return any(key == b"set-cookie" and value.startswith(prefix) for key, value in message.get("headers", ()))


async def _close_websocket(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 (ASGI's)
    await send({"type": "websocket.close", "code": 1008})
