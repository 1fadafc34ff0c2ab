"""The path below which a proxy serves the app: set, or sent by a trusted proxy."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from herding.api.http.request import root_path, route_path
from herding.api.middleware.heads import ProxyHeadersMiddleware
from herding.api.middleware.root_path import RootPathMiddleware, RoutedPathMiddleware


async def seen(path: str, *prefixes: str, hops: int = 0, setting: str = "", **headers: str) -> dict[str, Any]:
    """What middleware and routes see of a request."""
    found: dict[str, Any] = {}

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        found.update(whole=scope["path"], raw=scope["raw_path"], root=scope.get("root_path", ""))
        found.update(routed=route_path(scope), headers=dict(scope["headers"]))

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        found.update(path=scope["path"], prefix=root_path(scope))
        await RoutedPathMiddleware(route)(scope, receive, send)

    async def send(message: Any) -> None:
        found.update(message)

    given = [(b"x-forwarded-prefix", prefix.encode("latin-1")) for prefix in prefixes]
    more = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": path, "raw_path": path.encode(), "headers": [(b"host", b"own"), *given, *more]}
    scope |= {"scheme": "http", "client": ("192.0.2.1", 1), "query_string": b"", "method": "GET"}
    app = RootPathMiddleware(ProxyHeadersMiddleware(middleware, hops=hops), root_path=setting, hops=hops)
    await app(scope, None, send)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("path", ["/login", "/herding/login"])
@pytest.mark.parametrize("way", ["setting", "header"])
async def test_a_root_path_is_kept_apart_whether_the_proxy_removes_it_or_not(path: str, way: str) -> None:
    found = await (seen(path, setting="/herding") if way == "setting" else seen(path, "/herding/", hops=1))
    assert (found["path"], found["prefix"]) == ("/login", "/herding")
    assert (found["whole"], found["raw"], found["root"]) == ("/herding/login", b"/herding/login", "/herding")
    assert found["routed"] == "/login"


async def test_without_a_trusted_proxy_no_header_counts() -> None:
    found = await seen("/x", "/herding", x_forwarded_host="evil.example", x_forwarded_proto="https")
    assert (found["path"], found["prefix"], found["whole"], found["root"]) == ("/x", "", "/x", "")
    assert found["headers"] == {b"host": b"own"}


@pytest.mark.parametrize(
    "prefix",
    ["//evil.example", "/..", "/a/../b", "/\\evil", "http://evil.example", "x", "/", "", "/a b", "/%2e", "/a?b"],
)
async def test_a_header_of_another_form_is_none(prefix: str) -> None:
    found = await seen("/x", prefix, hops=1)
    assert (found["path"], found["prefix"], found["whole"]) == ("/x", "", "/x")


async def test_only_the_last_entry_is_the_trusted_proxys() -> None:
    assert (await seen("/x", "/forged, /a/b", hops=1))["prefix"] == "/a/b"
    assert (await seen("/x", "/forged", "/a", hops=1, setting="/set"))["prefix"] == "/a"
    assert (await seen("/x", hops=1, setting="/set"))["prefix"] == "/set"


async def test_the_root_path_itself_leads_to_the_page() -> None:
    found = await seen("/herding", setting="/herding")
    assert (found["status"], dict(found["headers"])[b"location"]) == (307, b"/herding/")


async def test_the_host_that_a_trusted_proxy_was_asked_for_counts() -> None:
    found = await seen("/x", hops=1, x_forwarded_host="forged.example, example.com")
    assert found["headers"] == {b"host": b"example.com"}
