"""Pages of other origins: those of the settings may call the APIs with a token, and read what the answers carry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import ADMIN, client, web
from tests.support.herding import Place, herding
from tests.support.nodes import echo

pytestmark = pytest.mark.one_database

PAGE = "https://app.example.com"
PREFLIGHT = {
    "origin": PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization, content-type, x-stainless-os",
}
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with herding(tmp_path, echo()) as place:
        place.settings = place.settings.model_copy(update={"cors_origins": [PAGE, "chrome-extension://abc"]})
        yield place


@pytest.fixture
async def http(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    async with client(web(place)) as http:
        yield http


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/api/v1/infer"])
async def test_a_preflight_of_an_allowed_page_is_granted(http: httpx.AsyncClient, path: str) -> None:
    response = await http.options(path, headers=PREFLIGHT)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, PAGE)
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "x-stainless-os" in response.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "http://app.example.com", f"{PAGE}:8443", f"{PAGE}.evil"])
async def test_that_of_another_page_is_not(http: httpx.AsyncClient, origin: str) -> None:
    response = await http.options("/v1/chat/completions", headers={**PREFLIGHT, "origin": origin})
    assert response.status_code == 400
    assert "access-control-allow-origin" not in response.headers
    asked = await http.post("/v1/chat/completions", headers={**ADMIN, "origin": origin}, json=CHAT)
    assert (asked.status_code, asked.headers.get("access-control-allow-origin")) == (403, None)


@pytest.mark.parametrize("origin", [PAGE, "chrome-extension://abc"])
async def test_an_allowed_page_chats_with_a_token_and_reads_the_headers(http: httpx.AsyncClient, origin: str) -> None:
    response = await http.post("/v1/chat/completions", headers={**ADMIN, "origin": origin}, json=CHAT)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, origin)
    exposed = response.headers["access-control-expose-headers"]
    for name in ("x-request-id", "x-herding-model", "x-herding-node", "x-herding-reason", "retry-after"):
        assert name in exposed
        assert name in response.headers or name == "retry-after"


async def test_the_page_reads_refusals_too_and_is_a_guest_without_a_token(http: httpx.AsyncClient) -> None:
    for headers, status in (({"authorization": "Bearer hl_wrong"}, 401), ({}, 403)):
        response = await http.post("/v1/chat/completions", headers={**headers, "origin": PAGE}, json=CHAT)
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (status, PAGE)


async def test_an_allowed_page_changes_nothing_outside_the_apis(http: httpx.AsyncClient) -> None:
    for path in ("/login", "/logout", "/gradio_api/queue/join", "/apix", "/v1x"):
        assert (await http.post(path, headers={"origin": PAGE}, json={})).status_code == 403


async def test_a_star_allows_all_pages(place: Place) -> None:
    place.settings = place.settings.model_copy(update={"cors_origins": ["*"]})
    async with client(web(place)) as http:
        response = await http.options("/v1/chat/completions", headers=PREFLIGHT)
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, "*")
        asked = await http.post("/v1/chat/completions", headers={**ADMIN, "origin": "https://any.example"}, json=CHAT)
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, "*")


async def test_a_token_brings_the_origins_of_its_pages(place: Place) -> None:
    shop = "https://shop.example.com"
    async with client(web(place), ADMIN) as http:
        user = {"id": "ada", "name": "Ada", "role": "user"}
        assert (await http.post("/api/v1/users", json=user)).status_code == 201
        body = {"user": "ada", "name": "shop", "origins": [shop.upper().replace("HTTPS", "https")]}
        made = await http.post("/api/v1/tokens", json=body)
        assert (made.status_code, made.json()["origins"]) == (201, [shop])
        other = (await http.post("/api/v1/tokens", json={"user": "ada", "name": "plain"})).json()
    token, plain = ({"authorization": f"Bearer {one['token']}"} for one in (made.json(), other))
    async with client(web(place)) as http:

        async def ask(headers: dict[str, str], origin: str) -> int:
            return (
                await http.post("/v1/chat/completions", headers={**headers, "origin": origin}, json=CHAT)
            ).status_code

        assert (await http.options("/v1/chat/completions", headers={**PREFLIGHT, "origin": shop})).status_code == 200
        assert (await ask(token, shop), await ask(token, PAGE), await ask(token, "https://evil.example")) == (
            200,
            403,
            403,
        )
        assert (await ask(plain, shop), await ask(plain, PAGE)) == (403, 200)
        assert await ask({}, shop) == 403
        assert (await http.post("/v1/chat/completions", headers=token, json=CHAT)).status_code == 200, "no page at all"
        await place.store.revoke_token(made.json()["id"], 1)
        await place.authenticator.load_origins()
        assert (await http.options("/v1/chat/completions", headers={**PREFLIGHT, "origin": shop})).status_code == 400


@pytest.mark.parametrize("origin", ["shop.example.com", "https://shop.example.com/", "null", ""])
async def test_an_origin_of_a_token_has_a_form(place: Place, origin: str) -> None:
    async with client(web(place), ADMIN) as http:
        answer = await http.post("/api/v1/tokens", json={"user": "admin", "origins": [origin]})
    assert answer.status_code in (404, 422)
