"""The head of the page: its scripts and styles are named in the HTML, so that a browser loads them at once.

Gradio would add them by its own script, after everything else. The elements are put into the HTML that Gradio's app
responds with; nothing else of it changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from markupsafe import Markup
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from herding.ui.kit.compression import ENCODED, packed, takes_brotli
from herding.ui.kit.format import el
from herding.values import Principal

FirstTab = Callable[[Principal, str], str]
"""Returns the key of the tab that opens first, for a role and the tab that the address names."""

Tabs = Callable[[Principal], Mapping[str, str]]
"""Returns the names of the tabs of a role by their keys."""


class PageHead:
    """ASGI middleware around Gradio's app.

    early: elements before the first script; late: elements at the end of the head.
    The scripts of the page learn the tabs of the role, and the one that opens first, so that its content comes while
    Gradio still starts.
    """

    def __init__(self, app: ASGIApp, *, early: Markup, late: Markup, first_tab: FirstTab, tabs: Tabs) -> None:
        self._app, self._early, self._late, self._first_tab, self._tabs = app, early, late, first_tab, tabs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not _is_page(scope):
            await self._app(scope, receive, send)
            return
        plain = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        start, body = await _whole({**scope, "headers": plain}, receive, self._app)
        headers = MutableHeaders(raw=start["headers"])
        if start["status"] == 200 and headers.get("content-type", "").startswith("text/html"):
            body = self._with_elements(body.decode(), scope).encode()
            if takes_brotli(Headers(scope=scope)):
                body = packed(body)
                headers.update(ENCODED)
            headers["content-length"] = str(len(body))
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def _with_elements(self, html: str, scope: Scope) -> str:
        principal: Principal = scope["state"]["principal"]
        first = self._first_tab(principal, _tab(scope))
        tabs = el("meta", name="tabs", content=json.dumps(list(self._tabs(principal).items())))
        early = el("meta", name="first-tab", content=first) + tabs + self._early
        html = html.replace("<script", f"{early}<script", 1)
        return html.replace("</head>", f"{self._late}</head>", 1)


def _is_page(scope: Scope) -> bool:
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) in ("", "/")


def _tab(scope: Scope) -> str:
    return QueryParams(scope["query_string"]).get("tab", "")


async def _whole(scope: Scope, receive: Receive, app: ASGIApp) -> tuple[Message, bytes]:
    """Return the whole response of an app: its first message and its body."""
    start: Message = {"type": "http.response.start", "status": 500, "headers": []}
    parts: list[bytes] = []

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await app(scope, receive, keep)
    start["headers"] = list(start["headers"])
    return start, b"".join(parts)
