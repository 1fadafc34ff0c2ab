"""Tells one anonymous visitor from another, and knows the operator.

Bound to loopback, whoever reaches the app is the person at this machine: the admin. Anywhere else a visitor is a
guest of their own, known again by a signed cookie, unless they bring the admin token.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from herding.access.role_file import ADMIN, GUEST, Roles
from herding.errors import ConfigError
from herding.values import Principal

COOKIE = "herding_visitor"
KEY_BYTES = 32
_MAX_AGE = 365 * 24 * 3600
_VISITOR = re.compile(r"[0-9a-f]{32}")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def signing_key(home: Path) -> bytes:
    """The key that signs cookies: 32 random bytes in the data directory, made at first use, readable by us only."""
    path = home / "secret.key"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 (a descriptor)
            file.write(secrets.token_bytes(KEY_BYTES))
    except FileExistsError:
        pass
    key = path.read_bytes()
    if len(key) < KEY_BYTES:
        raise ConfigError("this key is not whole; delete the file to get a new one (visitors become new)", file=path)
    return key


class Visitors:
    """Resolves the principal of a request from its headers."""

    def __init__(self, *, key: bytes, roles: Roles, local_only: bool, admin_token: str | None) -> None:
        self._key = key
        self._roles = roles
        self._local_only = local_only
        self._admin_token = admin_token

    def resolve(self, headers: dict[bytes, bytes]) -> tuple[Principal, str | None]:
        """The principal, and the cookie to set where the visitor is new."""
        if self._local_only:
            return self._roles.principal("local", ADMIN), None
        if self._is_admin(headers.get(b"authorization", b"")):
            return self._roles.principal("admin", ADMIN), None
        known = self._known(headers.get(b"cookie", b"").decode("latin-1"))
        visitor = known or secrets.token_hex(16)
        return self._roles.principal(f"guest:{visitor}", GUEST), None if known else self._signed(visitor)

    def _is_admin(self, authorization: bytes) -> bool:
        expected = f"Bearer {self._admin_token}".encode()
        return bool(self._admin_token) and hmac.compare_digest(authorization, expected)

    def _known(self, header: str) -> str | None:
        for part in header.split(";"):
            name, _, value = part.strip().partition("=")
            visitor = value.partition(".")[0]
            signed = self._signed(visitor).encode()
            if name == COOKIE and _VISITOR.fullmatch(visitor) and hmac.compare_digest(value.encode(), signed):
                return visitor
        return None

    def _signed(self, visitor: str) -> str:
        return f"{visitor}.{hmac.new(self._key, visitor.encode(), sha256).hexdigest()}"


class IdentifyVisitors:
    """ASGI middleware: puts the principal into `scope["state"]["principal"]`, and the cookie into the answer."""

    def __init__(self, app: App, *, visitors: Visitors) -> None:
        self._app = app
        self._visitors = visitors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        who, cookie = self._visitors.resolve(dict(scope["headers"]))
        scope.setdefault("state", {})["principal"] = who

        async def with_cookie(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and cookie:
                message["headers"] = [*message["headers"], (b"set-cookie", _cookie(cookie, scope))]
            await send(message)

        await self._app(scope, receive, with_cookie)


def _cookie(value: str, scope: Scope) -> bytes:
    """Inside the frame of a Space only a partitioned cross-site cookie is kept, and that needs https."""
    where = "SameSite=None; Secure; Partitioned" if scope.get("scheme") == "https" else "SameSite=Lax"
    return f"{COOKIE}={value}; Path=/; Max-Age={_MAX_AGE}; HttpOnly; {where}".encode()
