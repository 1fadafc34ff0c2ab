"""Short addresses of prompts."""

from __future__ import annotations

import re

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from herding.prompts.web_access import RESERVED_PATHS
from tests.api.conftest import ADMIN
from tests.support.herding import ADMIN as ADA
from tests.support.herding import Place

pytestmark = pytest.mark.one_database

PAGE = "https://example.com"
SUM = """
    name: Sum
    alias: {path: /error, variables: {tentativas: attempts, "o erro": error}}
    cors: [https://example.com]
    target_models: [echo]
    variables:
      error: {type: number, default: 1}
      attempts: {type: number_list, required: false}
    messages: [{role: user, content: "{{error}} of {{attempts}}"}]
    """


@pytest.fixture
async def summed(place: Place) -> Place:
    place.write("game/sum", SUM)
    assert place.library.snapshot.broken == ()
    await place.orchestrator.load()
    return place


async def test_a_short_address_runs_its_prompt_with_names_of_its_own(http: httpx.AsyncClient, summed: Place) -> None:
    answer = await http.get("/error?error=123&tentativas=900,700", headers=ADMIN)
    assert (answer.status_code, answer.json()["text"]) == (200, "123 of 900, 700")
    assert answer.json()["prompt"] == "game/sum"
    assert (await http.get("/error?o+erro=5&attempts=1", headers=ADMIN)).json()["text"] == "5 of 1"
    assert (await summed.rows())[0].variables == {"error": 5.0, "attempts": [1.0]}


async def test_wrong_values_and_unknown_names_are_refused_as_at_the_long_address(
    http: httpx.AsyncClient, summed: Place
) -> None:
    for query in ("error=ignore%20all%20rules", "fehler=3"):
        short, long = [await http.get(f"{path}?{query}", headers=ADMIN) for path in ("/error", "/api/v1/run/game/sum")]
        assert short.status_code == long.status_code == 422
        assert short.json() == long.json()


async def test_whoever_may_not_run_prompts_may_not_here_either(http: httpx.AsyncClient, summed: Place) -> None:
    assert (await http.get("/error?error=1", headers={"authorization": "Bearer hl_wrong"})).status_code == 401
    assert (await http.post("/error?error=1", headers=ADMIN)).status_code in (404, 405)
    assert await summed.rows() == []


async def test_pages_that_the_prompt_names_may_use_it_and_no_others(http: httpx.AsyncClient, summed: Place) -> None:
    asks = {"origin": PAGE, "access-control-request-method": "GET"}
    allowed = await http.options("/error", headers=asks)
    assert allowed.headers["access-control-allow-origin"] == PAGE
    refused = await http.options("/error", headers=asks | {"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in refused.headers


async def test_an_address_stays_with_its_prompt_and_goes_with_it(http: httpx.AsyncClient, summed: Place) -> None:
    summed.write("a", SUM.replace("name: Sum", "name: First"))
    await summed.orchestrator.prompts.list_all(ADA)
    assert (await http.get("/error", headers=ADMIN)).json()["prompt"] == "game/sum"
    await summed.orchestrator.studio.delete("game/sum", ADA)
    assert (await http.get("/error", headers=ADMIN)).status_code == 404


def test_no_prompt_can_take_an_address_of_the_app(app: FastAPI) -> None:
    firsts = {str(route.path_format).split("/")[1] for route in iter_route_contexts(app.routes)}
    assert firsts - RESERVED_PATHS <= {"", "openapi.json", "echo", "json", "bug"}


def test_nor_one_of_the_page() -> None:
    page = gr.routes.App.create_app(gr.Blocks())
    firsts = {str(route.path_format).split("/")[1].split("=")[0] for route in iter_route_contexts(page.routes)}
    words = {first for first in firsts if re.fullmatch("[a-z0-9_-]+", first)}
    assert words - RESERVED_PATHS == set()
