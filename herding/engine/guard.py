"""Nobody without the secret gets further than this."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class Guard:
    """Answers 401 to every HTTP request that does not carry the secret as bearer token."""

    def __init__(self, app: ASGIApp, *, secret: str) -> None:
        self._app = app
        self._expected = f"Bearer {secret}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http" or self._knows_secret(scope):
            await self._app(scope, receive, send)
            return
        error = {"type": "unauthorized", "message": "Send the node's secret as bearer token.", "param": None}
        refusal = JSONResponse({"error": error}, status_code=401, headers={"WWW-Authenticate": "Bearer"})
        await refusal(scope, receive, send)

    def _knows_secret(self, scope: Scope) -> bool:
        given = Headers(scope=scope).get("authorization", "")
        return hmac.compare_digest(given.encode("latin-1", "replace"), self._expected)
