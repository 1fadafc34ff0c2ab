"""The interactive documentation."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi import FastAPI

from herding.api.http.request import get_principal
from tests.support.herding import NOBODY

pytestmark = pytest.mark.one_database


async def test_the_page_asks_no_other_host(api: httpx.AsyncClient) -> None:
    page = (await api.get("/docs")).text
    places = re.findall(r"""(?:src|href|url)["']?\s*[=:]\s*["']([^"']+)""", page)
    assert {"/openapi.json", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"} <= set(places)
    assert not [place for place in places if not place.startswith(("/", "data:"))]
    for name, kind in (("swagger-ui-bundle.js", "text/javascript"), ("swagger-ui.css", "text/css")):
        response = await api.get(f"/docs/{name}")
        assert response.headers["content-type"].startswith(kind)
        assert len(response.content) > 100_000


async def test_the_description_has_a_button_for_tokens(http: httpx.AsyncClient) -> None:
    described = (await http.get("/openapi.json")).json()
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert {"token": []} in described["security"]
    assert {"/api/v1/infer", "/v1/chat/completions", "/healthz"} <= described["paths"].keys()
    assert not {"/docs", "/openapi.json", "/echo", "/v1/{path}"} & described["paths"].keys()
    assert "HTTPValidationError" not in described["components"]["schemas"]


async def test_without_the_right_there_is_no_documentation(http: httpx.AsyncClient, app: FastAPI) -> None:
    app.dependency_overrides[get_principal] = lambda: NOBODY
    for path in ("/docs", "/openapi.json", "/docs/swagger-ui.css"):
        assert (await http.get(path)).status_code == 403


async def test_a_link_is_described_with_the_variables_of_its_prompt(http: httpx.AsyncClient) -> None:
    described = (await http.get("/openapi.json")).json()["paths"]["/api/v1/run/{prompt}"]["get"]["parameters"]
    assert [(one["name"], one["in"]) for one in described] == [("prompt", "path"), ("variables", "query")]
    assert described[1]["schema"]["type"] == "object"
    assert described[1]["explode"] is True
