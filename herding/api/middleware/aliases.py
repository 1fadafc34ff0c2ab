"""Short addresses of prompts: `GET /error?error=123` for `GET /api/v1/run/jay_trainer?error=123`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from herding.api.middleware.cors import PATH
from herding.orchestrator import Orchestrator

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class AliasMiddleware:
    """ASGI middleware: a short address becomes the long one, before anything decides who may do what there."""

    def __init__(self, app: App, *, orchestrator: Orchestrator) -> None:
        self._app, self._orchestrator = app, orchestrator

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        found = self._orchestrator.prompts.resolve_alias(scope["path"]) if scope["type"] == "http" else None
        if found:
            key, names = found
            path = PATH + key
            query = _renamed(scope["query_string"], names)
            scope = {**scope, "path": path, "raw_path": quote(path).encode(), "query_string": query}
        await self._app(scope, receive, send)


def _renamed(query: bytes, names: Mapping[str, str]) -> bytes:
    """The query with the variables' own names."""
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return urlencode([(names.get(name, name), value) for name, value in given]).encode()
