"""What no route answers, at the API and at the page: one form of error, and one line in the log at most."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute, iter_route_contexts

from herding.main import create
from tests.support.herding import ADMIN_TOKEN, Place, herding
from tests.support.nodes import echo

pytestmark = [pytest.mark.one_database, pytest.mark.asyncio(loop_scope="module")]

FORM = {"type", "message", "param", "request_id"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR", "TMPDIR"):  # the app sets them; this puts them back
            patch.setenv(name, os.environ.get(name, ""))
            if not os.environ[name]:
                patch.delenv(name)
        async with herding(tmp_path_factory.mktemp("home"), echo()) as place:
            yield place


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(place: Place) -> FastAPI:
    """The app with its page, which takes longer to build than to ask; no test changes anything in it."""
    return create(place.parts, place.settings)


@pytest_asyncio.fixture(loop_scope="module")
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A guest at the app."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://herding.test") as client:
        yield client


UNKNOWN = [
    ("GET", "/nope", 404),
    ("GET", "/nope/deeper?x=1", 404),
    ("POST", "/healthz", 405),
    ("DELETE", "/docs", 405),
    ("PUT", "/login", 405),
    ("POST", "/", 405),
    ("GET", "/static/nope.js", 404),
    ("GET", "/monitoring", 404),
    ("GET", "/gradio_api/nope", 404),
    ("GET", "/gradio_api/deep_link", 404),
    ("GET", "/api/nope", 404),
    ("GET", "/api/v1/infer", 405),
]


async def test_every_unknown_path_has_the_form_of_the_api(http: httpx.AsyncClient) -> None:
    for method, path, status in UNKNOWN:
        response = await http.request(method, path)
        assert response.status_code == status, (method, path)
        assert response.json()["error"].keys() == FORM


async def test_probes_may_ask_for_the_head(http: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/readyz"):
        response = await http.head(path)
        assert (response.status_code, response.content) == (200, b"")


async def test_the_list_of_models_with_a_slash(http: httpx.AsyncClient) -> None:
    client = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    with_slash = await http.get("/v1/models/", headers=client)
    assert with_slash.json() == (await http.get("/v1/models", headers=client)).json()


# Query parameters


UNKNOWN_PARAMETERS = [
    ("GET", "/api/v1/history?principal=me", 422),
    ("GET", "/api/v1/history?limit=5&ofset=1", 422),
    ("GET", "/api/v1/history.csv?star=5", 422),
    ("GET", "/api/v1/prompts?limit=3", 422),
    ("POST", "/api/v1/infer?stream=true", 422),
    ("GET", "/v1/models?x=1", 400),
    ("GET", "/v1/models/?x=1", 400),
    ("POST", "/v1/chat/completions?stream=true", 400),
    ("GET", "/healthz?x=1", 422),
]


async def test_an_unknown_query_parameter_is_refused_by_name(http: httpx.AsyncClient) -> None:
    headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    for method, path, status in UNKNOWN_PARAMETERS:
        body: Any = {"prompt": "say"} if "infer" in path else {"model": "echo", "messages": []}
        response = await http.request(method, path, headers=headers, json=body if method == "POST" else None)
        assert response.status_code == status, (method, path)
        name = path.rpartition("&" if "&" in path else "?")[2].partition("=")[0]
        assert response.json()["error"]["param"] == name
        assert f"'{name}'" in response.json()["error"]["message"]


async def test_known_parameters_and_variables_of_links_are_taken(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/v1/history?limit=5&offset=0&stars=&text=")).status_code == 200
    assert (await http.get("/api/v1/run/say?text=hi")).json()["text"] == "hi"
    assert (await http.get("/api/v1/run/say?txt=hi")).json()["error"]["param"] == "txt"


async def test_every_operation_checks_its_parameters(place: Place) -> None:
    app = create(place.parts, place.settings, ui=False)
    routes = [one.original_route for one in iter_route_contexts(app.routes)]
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://herding.test", headers=headers) as http:
        asked = 0
        for route in routes:
            path = getattr(route, "path_format", "")
            free = isinstance(route, APIRoute) and any(p.get("explode") for p in _described(route))
            if not isinstance(route, APIRoute) or not path.startswith(("/api/v1", "/v1", "/api/server")) or free:
                continue
            if route.name == "handle_unknown_path":
                continue
            required = [field.alias for field in get_flat_params(route.dependant) if field.field_info.is_required()]
            if any(name not in path for name in required):
                continue
            for method in sorted(route.methods - {"POST", "PUT", "PATCH", "DELETE"}):
                response = await http.request(method, path.replace("{", "").replace("}", ""), params={"zzz": "1"})
                assert response.json()["error"]["param"] == "zzz", (method, path)
                asked += 1
        assert asked > 20


def _described(route: APIRoute) -> list[dict[str, object]]:
    return list((route.openapi_extra or {}).get("parameters", ()))


# Heads


async def test_a_header_that_is_there_twice_is_refused(http: httpx.AsyncClient) -> None:
    names, paths = ("Authorization", "Host", "Content-Type", "Origin"), ("/v1/models", "/api/v1/prompts", "/", "/login")
    for name, path in product(names, paths):
        value = "herding.test" if name == "Host" else "Bearer x"
        headers = [("host", "herding.test"), (name, value), (name, value)]
        response = await http.send(httpx.Request("GET", f"http://herding.test{path}", headers=headers))
        assert response.status_code == 400
        assert "more than once" in response.json()["error"]["message"]


async def test_a_foreign_host_is_refused_in_the_same_form(http: httpx.AsyncClient) -> None:
    for host in ("evil.example", "", "a b", "x/health?"):
        response = await http.get("/api/v1/prompts", headers={"host": host})
        assert (response.status_code, response.json()["error"].keys()) == (400, FORM)


# The log


NOISE: list[tuple[str, str, bytes | None]] = [
    ("GET", "/gradio_api/queue/data?session_hash=nobody", None),
    ("POST", "/gradio_api/queue/join", b'{"data": [], "fn_index": 99999, "session_hash": "x"}'),
    ("POST", "/gradio_api/queue/join", b"{"),
    ("POST", "/gradio_api/run/nope", b'{"data": []}'),
    ("POST", "/gradio_api/call/nope", b'{"data": []}'),
    ("GET", "/gradio_api/file=%00", None),
]


async def test_no_visitor_fills_the_log(http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    for method, path, body in NOISE:
        caplog.clear()
        with caplog.at_level(logging.INFO):
            await http.request(method, path, content=body, headers={"content-type": "application/json"})
        lines = [record for record in caplog.records if record.name.startswith("herding")]
        assert len(lines) <= 1, path
        assert all(record.exc_info in (None, False) and "\n" not in record.getMessage() for record in lines)


async def test_the_reason_in_the_header_can_be_read(http: httpx.AsyncClient) -> None:
    reason = (await http.get("/api/v1/run/say")).headers["x-herding-reason"]
    assert reason.startswith("echo is the only")
    assert "%" not in reason
