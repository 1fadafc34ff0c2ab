"""Views: tabs whose content is HTML that the server renders and htmx fetches, piece by piece.

A view is one Gradio component, whatever it shows. Its routes are methods marked with `@fragment`; each returns the HTML
of one piece of the tab. `assets/view.js` loads a view when its tab is first opened.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar
from urllib.parse import parse_qs, urlsplit

import gradio as gr
from markupsafe import Markup
from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from herding.errors import AccessError, UserError
from herding.orchestrator import Orchestrator
from herding.ui.kit.events import REFUSED
from herding.ui.kit.format import el
from herding.values import Principal

PREFIX = "/ui"
MAX_FIELDS = 2_000
MAX_FIELD_BYTES = 4_000_000

Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the page: who asks, and the fields of the address and of the form."""

    principal: Principal
    path: Mapping[str, str]
    query: QueryParams
    form: FormData
    address: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The fields in the address bar of the page that asks."""
    headers: Mapping[str, str] = field(default_factory=dict)
    app_url: str = ""
    """The address of the app as the server sees it."""

    def text(self, name: str, default: str = "") -> str:
        """Return a field of the form, else of the address, else the default."""
        value = self.form.get(name, self.query.get(name))
        return value if isinstance(value, str) else default

    def texts(self, name: str) -> list[str]:
        """Return all values of a repeated field, in the order of the page."""
        found = self.form.getlist(name) or self.query.getlist(name)
        return [value for value in found if isinstance(value, str)]

    def in_address(self, name: str) -> str:
        """Return a field in the address bar of the page; empty without one."""
        return next(iter(self.address.get(name, ())), "")

    def whole(self, name: str, default: int = 0) -> int:
        """Return a whole number, the default without one. Raise UserError for anything else."""
        text = self.text(name)
        if not text:
            return default
        if not (text.isascii() and text.lstrip("-").isdigit() and len(text) < 16):
            raise UserError(f"'{name}' must be a whole number.", param=name)
        return int(text)


@dataclass(frozen=True, slots=True)
class Reply:
    """HTML with what the page should do beside showing it.

    notice: a message that the page shows for some seconds.
    address: fields to set in the address bar; empty values remove theirs.
    events: names of DOM events to trigger on the page's body, with their details.
    """

    html: Markup
    notice: str = ""
    address: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[str, Any] = field(default_factory=dict)

    def response(self) -> Response:
        """Return the reply as an HTTP response."""
        told = {**self.events, **({"notice": self.notice} if self.notice else {})}
        told |= {"address": dict(self.address)} if self.address else {}
        headers = {"HX-Trigger": json.dumps(told)} if told else {}
        return HTMLResponse(str(self.html), headers={"Cache-Control": "no-store", **headers})


def fragment(method: str, path: str, right: str) -> Callable[[Handler], Handler]:
    """Mark a method of a view as the handler of a route below `/ui/<key of the view>`.

    The handler gets a `Call` and returns Markup, a Reply or a Response; an async generator of `(event, data)` becomes
    server-sent events. Callers without `right` are refused.
    """

    def mark(handler: Handler) -> Handler:
        handler.fragment = (method, path, right)  # type: ignore[attr-defined]
        return handler

    return mark


class View:
    """The base of the tabs. The route with the path "" returns the whole content.

    key: its name in addresses and in the `allow_tabs` of roles.
    rights: without all of these the tab is hidden, whatever the role allows.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    rights: ClassVar[frozenset[str]]

    def __init__(self, orchestrator: Orchestrator) -> None:
        """Build the element that holds the content."""
        self._orchestrator = orchestrator
        self.host = gr.HTML(
            el("div", el("p", "Loading…", cls="opening muted", role="status"), cls="view", data_view=self.key),
            apply_default_css=False,
            elem_id=f"{self.key}-view",
            elem_classes=["view-host"],
        )

    @classmethod
    def title(cls, principal: Principal) -> str:  # noqa: ARG003 (for tabs with a label per role)
        """Return the label for a principal."""
        return cls.label

    @classmethod
    def is_visible(cls, principal: Principal) -> bool:
        """Return True if the role allows the tab and has the rights to fill it."""
        return cls.key in principal.tabs and principal.rights >= cls.rights

    def routes(self) -> Iterator[Route]:
        """Yield the routes of all methods marked with `@fragment`."""
        for _, handler in inspect.getmembers(self, inspect.ismethod):
            if marked := getattr(handler, "fragment", None):
                method, path, right = marked
                yield Route(f"{PREFIX}/{self.key}{path}", _endpoint(handler, right), methods=[method])


def _endpoint(handler: Callable[[Call], Any], right: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        principal: Principal = request.state.principal
        if right not in principal.rights:
            raise AccessError(REFUSED)
        async with request.form(max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES) as form:
            call = Call(
                principal,
                request.path_params,
                request.query_params,
                form,
                _fields_of(request.headers.get("hx-current-url", "")),
                request.headers,
                str(request.base_url),
            )
            result = handler(call)
            if isinstance(result, AsyncIterator):
                return StreamingResponse(_events(result), media_type="text/event-stream", headers=_UNBUFFERED)
            return _response(await result)

    endpoint.right = right  # type: ignore[attr-defined]
    return endpoint


def _fields_of(url: str) -> Mapping[str, Sequence[str]]:
    """Return the fields of an address; none of one that makes no sense."""
    try:
        return parse_qs(urlsplit(url).query, max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}


_UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def _response(result: Markup | Reply | Response) -> Response:
    if isinstance(result, Response):
        return result
    return (result if isinstance(result, Reply) else Reply(result)).response()


async def _events(pairs: AsyncIterator[tuple[str, Any]]) -> AsyncIterator[bytes]:
    """Encode pairs of an event's name and its data as server-sent events; Markup is sent as a string of HTML."""
    async for name, data in pairs:
        yield f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
