"""Routes for whoever keeps the app running, and errors as answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from herding import __version__, errors
from herding.api.http.errors import install, status_of
from tests.api.conftest import web
from tests.support.herding import herding
from tests.support.nodes import Switchable


def leaves(kind: type[errors.HerdingError]) -> Iterator[type[errors.HerdingError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from leaves(below)


STATUS = {
    "internal_error": 500,
    "config_error": 503,
    "invalid_request": 422,
    "not_found": 404,
    "conflict": 409,
    "version_conflict": 409,
    "draft_conflict": 409,
    "invalid_variable": 422,
    "context_length": 422,
    "unauthorized": 401,
    "forbidden": 403,
    "limit_reached": 429,
    "queue_full": 429,
    "crowded": 503,
    "node_error": 502,
    "node_unreachable": 502,
    "node_timeout": 504,
    "node_status": 502,
    "node_busy": 429,
    "node_no_model": 404,
    "node_refused": 400,
    "node_bad_response": 502,
    "node_cut_stream": 502,
    "node_misconfigured": 502,
    "load_cancelled": 502,
    "no_node": 503,
    "no_turn": 503,
    "shutting_down": 503,
    "store_error": 503,
    "plugin_failed": 502,
}


async def test_the_app_listens(http: httpx.AsyncClient) -> None:
    response = await http.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "version": __version__, "bots": {}})


async def test_the_app_is_ready(http: httpx.AsyncClient) -> None:
    assert (await http.get("/readyz")).json() == {"status": "ready"}


async def test_the_app_is_not_ready_without_a_model(tmp_path: Path) -> None:
    async with herding(tmp_path, Switchable("local", [])) as place:
        transport = httpx.ASGITransport(web(place))
        async with httpx.AsyncClient(transport=transport, base_url="http://herding.test") as client:
            assert (await client.get("/healthz")).status_code == 200
            response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {"status": "waiting", "reason": "No node serves a model yet."}


def _example(kind: type[errors.HerdingError]) -> errors.HerdingError:
    """An error of a kind; the status of one that a node responded with is that of its response."""
    said = {"node_status": 500, "node_busy": 429, "node_no_model": 404, "node_refused": 400}
    return kind("x", status=said[kind.type]) if issubclass(kind, errors.StatusError) else kind.__new__(kind)


def test_every_error_has_a_type_and_a_status_of_its_own() -> None:
    kinds = [kind for kind in leaves(errors.HerdingError) if kind.__module__ == "herding.errors"]
    found = {kind.type: status_of(_example(kind)) for kind in kinds}
    assert found == STATUS
    assert len(found) == len(kinds)


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (errors.VariableError("Too long.", param="text", request_id="7"), 422, None),
        (errors.LimitError("Wait.", retry_after=0.2), 429, "1"),
        (errors.LimitError("Wait.", retry_after=61), 429, "61"),
        (errors.NoNodeError("None."), 503, None),
        (errors.QueueTimeoutError("None.", retry_after=7), 503, "7"),
        (errors.OverloadedError("Full.", retry_after=3), 503, "3"),
        (errors.ConfigError("wrong", file="a.yaml", line=3, key="k"), 503, None),
    ],
)
async def test_an_error_as_an_answer(error: errors.HerdingError, status: int, retry_after: str | None) -> None:
    app = FastAPI()
    install(app)

    @app.get("/")
    async def fail() -> None:
        raise error

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        response = await client.get("/")
    assert response.status_code == status
    assert response.headers.get("retry-after") == retry_after
    assert response.json()["error"] == {
        "type": error.type,
        "message": error.message,
        "param": error.param,
        "request_id": error.request_id,
    }


async def test_what_the_framework_refuses_has_the_same_shape(http: httpx.AsyncClient) -> None:
    missing = (await http.get("/nowhere")).json()["error"]
    assert (missing["type"], set(missing)) == ("not_found", {"type", "message", "param", "request_id"})
    wrong = (await http.get("/api/v1/history.csv", params={"stars": 9})).json()["error"]
    assert (wrong["type"], wrong["param"]) == ("invalid_request", "stars")
    broken = (await http.post("/json", content=b"{", headers={"content-type": "application/json"})).json()["error"]
    assert broken["type"] == "invalid_request"
