"""Finds out who sends each request, before anything else of the app sees it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Request
from fastapi.responses import RedirectResponse

from herding.access.sessions import Session
from herding.api.http.errors import problem_of
from herding.api.http.origin import Headers, address_of, opens_page, same_origin, wants_page
from herding.errors import AuthenticationError, HerdingError
from herding.people.authenticator import Authenticator
from herding.values import Principal

COOKIE = "herding_session"
NO_TOKEN = frozenset({"any", "empty", "none", "no-key", "not-needed", "unused"})
"""What people write where a client wants a key and there is none; it counts as no token."""

LOGIN, LOGOUT = "/login", "/logout"
LOOK_EVERY = 2.0
"""Seconds between two looks at whether the reader of a long answer may go on reading."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class AuthenticationMiddleware:
    """ASGI middleware: puts the principal into `scope["state"]["principal"]`, and the address into `"address"`.

    A token comes in the header Authorization, never in the address of a page. A session's cookie, and the trust in
    whoever sits at this machine, count only for our own pages: a page of another origin is a guest.
    """

    def __init__(self, app: App, *, authenticator: Authenticator) -> None:
        self._app, self._authenticator = app, authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers: Headers = dict(scope["headers"])
        address = address_of(scope)
        try:
            who, session = await self._who(scope, headers, address)
        except HerdingError as error:
            await self._refuse(scope, headers, error)(scope, receive, send)
            return
        scope.setdefault("state", {}).update(principal=who, address=address)
        if session is not None:
            send = self._with_cookie(send, session, scope)
        if who.token is not None:
            send = self._while_valid(send, who)
        await self._app(scope, receive, send)

    async def _who(self, scope: Scope, headers: Headers, address: str) -> tuple[Principal, Session | None]:
        """The principal, and the session to begin where they are new."""
        if (token := bearer(headers)) is not None:
            return await self._authenticator.by_token(token, address), None
        if not same_origin(headers) and not opens_page(headers):
            return self._authenticator.stranger(address), None
        try:
            known = await self._known(headers, address)
        except AuthenticationError:
            if scope["path"] not in (LOGIN, LOGOUT):
                raise
            known = None
        return (known, None) if known else self._authenticator.unknown(address)

    async def _known(self, headers: Headers, address: str) -> Principal | None:
        for part in headers.get(b"cookie", b"").decode("latin-1").split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE and (who := await self._authenticator.by_session(value, address)):
                return who
        return None

    def _refuse(self, scope: Scope, headers: Headers, error: HerdingError) -> Any:
        if scope["type"] == "websocket":
            return _close
        if isinstance(error, AuthenticationError) and wants_page(scope, headers) and b"authorization" not in headers:
            return RedirectResponse(f"{LOGIN}?ended=1", 303)
        answer = problem_of(error).answer(Request(scope))
        if isinstance(error, AuthenticationError):
            answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    def _with_cookie(self, send: Send, session: Session, scope: Scope) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and not _sets_session(message):
                cookie = set_cookie(self._authenticator.cookie(session), session.lasts, scope)
                message["headers"] = [*message.get("headers", ()), (b"set-cookie", cookie.encode())]
            await send(message)

        return sending

    def _while_valid(self, send: Send, who: Principal) -> Send:
        """Long answers end early when their reader's token does.

        Not at the first look that finds it over, but at the next: a run of a prompt has ended by itself by then, and
        said why.
        """
        looked, over, ended = time.monotonic(), False, False

        async def sending(message: Message) -> None:
            nonlocal looked, over, ended
            if ended:
                return
            if message.get("more_body") and time.monotonic() - looked > LOOK_EVERY:
                looked = time.monotonic()
                before, over = over, not await self._authenticator.still_valid(who)
                if before and over:
                    ended = True
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    return
            await send(message)

        return sending


def bearer(headers: Headers) -> str | None:
    """The token of a request, None without one. AuthenticationError for another scheme."""
    given = headers.get(b"authorization")
    if given is None:
        return None
    scheme, _, token = given.decode("latin-1").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise AuthenticationError("Send a token as 'Authorization: Bearer <token>'.")
    return None if token.lower() in NO_TOKEN else token


def set_cookie(value: str, lasts: int, scope: Scope) -> str:
    """The header that sets the session's cookie for `lasts` seconds.

    Inside the frame of a Space only a partitioned cross-site cookie is kept, and that needs https.
    """
    where = "SameSite=None; Secure; Partitioned" if scope.get("scheme") == "https" else "SameSite=Lax"
    return f"{COOKIE}={value}; Path=/; Max-Age={lasts}; HttpOnly; {where}"


def _sets_session(message: Message) -> bool:
    prefix = COOKIE.encode() + b"="
    return any(key == b"set-cookie" and value.startswith(prefix) for key, value in message.get("headers", ()))


async def _close(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 (ASGI's)
    await send({"type": "websocket.close", "code": 1008})
