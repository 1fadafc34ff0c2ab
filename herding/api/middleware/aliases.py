"""Short paths of prompts: `GET /error?error=123` for `GET /api/v1/run/jay_trainer?error=123`."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from herding.api.middleware.cors import RUN_PATH
from herding.orchestrator import Orchestrator


class AliasMiddleware:
    """ASGI middleware that replaces the short path of a prompt by its full path, before access is checked."""

    def __init__(self, app: ASGIApp, *, orchestrator: Orchestrator) -> None:
        self._app, self._orchestrator = app, orchestrator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        alias = self._orchestrator.prompts.resolve_alias(scope["path"]) if scope["type"] == "http" else None
        if alias:
            key, names = alias
            path = RUN_PATH + key
            query = _rename_parameters(scope["query_string"], names)
            scope = {**scope, "path": path, "raw_path": quote(path).encode(), "query_string": query}
        await self._app(scope, receive, send)


def _rename_parameters(query: bytes, names: Mapping[str, str]) -> bytes:
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return urlencode([(names.get(name, name), value) for name, value in given]).encode()
