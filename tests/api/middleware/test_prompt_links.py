"""Web pages of other origins: those that a prompt names may run it by a link, and read what comes of it."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from herding.api.http.request import get_principal
from herding.values import Limit
from tests.api.conftest import ADMIN
from tests.support.herding import NOBODY, Place
from tests.support.people import principal

pytestmark = pytest.mark.one_database

RUN = "/api/v1/run"
PAGE = "https://example.com"
EVIL = "https://evil.example"
FROM_PAGE = {"origin": PAGE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}
ASKS = {"origin": PAGE, "access-control-request-method": "GET", "access-control-request-headers": "authorization"}
OPEN = """
    name: Open
    cors: [https://example.com, "http://localhost:3000"]
    target_models: [echo]
    variables: {text: {default: one two, max_chars: 9}}
    messages: [{role: user, content: "{{text}}"}]
    """
CORS = ("access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers")
NEVER = "access-control-allow-credentials"


@pytest.fixture
def opened(place: Place) -> Place:
    """With prompts that are open to some pages, to all pages, and to some roles only."""
    place.write("open", OPEN)
    place.write("deep/all", OPEN.replace('[https://example.com, "http://localhost:3000"]', '["*"]'))
    place.write("ours", OPEN.replace("cors:", "roles: [user]\n    cors:"))
    assert place.library.snapshot.broken == ()
    return place


def allowed(response: httpx.Response) -> list[str]:
    """What of an answer lets a page in."""
    return [name for name in (*CORS, NEVER, "access-control-max-age") if name in response.headers]


def varies(response: httpx.Response) -> bool:
    return "origin" in ", ".join(response.headers.get_list("vary")).lower()


# Calls


@pytest.mark.parametrize("origin", [PAGE, "http://localhost:3000"])
async def test_a_page_runs_a_prompt_and_reads_the_answer(http: httpx.AsyncClient, opened: Place, origin: str) -> None:
    response = await http.get(f"{RUN}/open?text=hi", headers=FROM_PAGE | {"origin": origin})
    assert (response.status_code, response.json()["text"]) == (200, "hi")
    assert response.headers.get_list("access-control-allow-origin") == [origin]
    assert NEVER not in response.headers
    assert varies(response)


@pytest.mark.parametrize("origin", [PAGE, EVIL, "null", "http://localhost:1"])
async def test_a_prompt_that_is_open_to_all_pages(http: httpx.AsyncClient, opened: Place, origin: str) -> None:
    response = await http.get(f"{RUN}/deep/all@1", headers=FROM_PAGE | {"origin": origin})
    assert (response.status_code, response.json()["text"]) == (200, "one two")
    assert response.headers["access-control-allow-origin"] == origin
    assert NEVER not in response.headers


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("open", {"origin": EVIL}),
        ("open", {"origin": EVIL, "sec-fetch-site": "cross-site"}),
        ("open", {"origin": f"{PAGE}.evil.example"}),
        ("open", {"origin": "http://example.com"}),
        ("open", {"origin": "null"}),
        ("open", {"origin": "*"}),
        ("open", {"origin": ""}),
        ("open", {"sec-fetch-site": "cross-site"}),
        ("deep/all", {"sec-fetch-site": "cross-site"}),
        ("deep/all", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),
        ("deep/all", {"origin": "not an origin"}),
        ("say", FROM_PAGE),
        ("ours", FROM_PAGE),
        ("ghost", FROM_PAGE),
        ("open@9", FROM_PAGE),
        ("open/", FROM_PAGE),
    ],
)
async def test_other_pages_run_nothing(
    http: httpx.AsyncClient, opened: Place, path: str, headers: dict[str, str]
) -> None:
    response = await http.get(f"{RUN}/{path}", headers=headers)
    assert (response.status_code, response.json()["error"]["type"]) == (403, "forbidden")
    assert allowed(response) == []
    assert varies(response)
    assert await opened.rows() == []


async def test_a_page_reads_errors_too(http: httpx.AsyncClient, app: FastAPI, opened: Place) -> None:
    wrong = await http.get(f"{RUN}/open?text=much+too+long", headers=FROM_PAGE)
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, "text")
    opened.write("lost", OPEN.replace("[echo]", "[ghost]"))
    lost = await http.get(f"{RUN}/lost", headers=FROM_PAGE)
    assert lost.status_code == 503
    post = await http.request("HEAD", f"{RUN}/open", headers=FROM_PAGE)
    assert post.status_code == 405
    for response in (wrong, lost, post):
        assert response.headers["access-control-allow-origin"] == PAGE


async def test_a_page_reads_that_it_must_wait(http: httpx.AsyncClient, app: FastAPI, opened: Place) -> None:
    limited = replace(principal("guest:9", "guest"), limits=(Limit("request", 1, 1),))
    app.dependency_overrides[get_principal] = lambda: limited
    assert (await http.get(f"{RUN}/open", headers=FROM_PAGE)).status_code == 200
    response = await http.get(f"{RUN}/open", headers=FROM_PAGE)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (429, PAGE)
    assert int(response.headers["retry-after"]) > 0
    assert "retry-after" in response.headers["access-control-expose-headers"]


async def test_a_page_reads_why_its_token_is_refused(http: httpx.AsyncClient, opened: Place) -> None:
    headers = FROM_PAGE | {"authorization": "Bearer hl_wrong"}
    response = await http.get(f"{RUN}/open", headers=headers)
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (401, PAGE)
    assert allowed(await http.get(f"{RUN}/say", headers=headers)) == []


async def test_a_page_may_send_a_token(http: httpx.AsyncClient, opened: Place) -> None:
    response = await http.get(f"{RUN}/open", headers=FROM_PAGE | ADMIN)
    assert response.headers["access-control-allow-origin"] == PAGE
    assert (await opened.row()).principal == "admin"


async def test_a_page_is_a_guest_whatever_the_browser_holds(http: httpx.AsyncClient, opened: Place) -> None:
    await http.get(f"{RUN}/open")
    assert http.cookies
    await http.get(f"{RUN}/open", headers=FROM_PAGE)
    own, page = [row.principal for row in await opened.rows()]
    assert own != page


async def test_our_own_page_needs_no_leave(http: httpx.AsyncClient, opened: Place) -> None:
    for headers in ({}, {"origin": "http://herding.test"}, {"sec-fetch-site": "same-origin"}):
        response = await http.get(f"{RUN}/say", headers=headers)
        assert response.status_code == 200
        assert allowed(response) == []
        assert varies(response)


@pytest.mark.parametrize("path", ["/api/v1/prompts", "/api/v1/history", "/healthz", "/v1/models"])
async def test_nothing_else_is_readable(http: httpx.AsyncClient, opened: Place, path: str) -> None:
    assert allowed(await http.get(path, headers=FROM_PAGE)) == []
    response = await http.options(path, headers=ASKS)
    assert (response.status_code, allowed(response)[:1]) != (204, CORS[:1])
    assert "access-control-allow-origin" not in response.headers


async def test_no_page_sends_data(http: httpx.AsyncClient, opened: Place) -> None:
    for path in (f"{RUN}/open", "/api/v1/infer"):
        response = await http.post(path, json={"prompt": "open"}, headers=FROM_PAGE)
        assert response.status_code == 403
    assert await opened.rows() == []


# What browsers ask before


async def test_a_browser_asks_first(http: httpx.AsyncClient, opened: Place) -> None:
    response = await http.options(f"{RUN}/open", headers=ASKS)
    assert (response.status_code, response.content) == (204, b"")
    assert [response.headers[name] for name in CORS] == [PAGE, "GET", "authorization, content-type"]
    assert NEVER not in response.headers
    assert "set-cookie" not in response.headers
    assert varies(response)
    assert (await http.options(f"{RUN}/deep/all@1", headers=ASKS | {"origin": EVIL})).status_code == 204


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "get", "*", ""])
async def test_a_browser_asks_for_more(http: httpx.AsyncClient, opened: Place, method: str) -> None:
    response = await http.options(f"{RUN}/open", headers=ASKS | {"access-control-request-method": method})
    assert (response.status_code, allowed(response)) == (403, [])


async def test_what_is_closed_hidden_or_missing_answers_the_same(http: httpx.AsyncClient, opened: Place) -> None:
    asked = [
        await http.options(f"{RUN}/{key}", headers=ASKS) for key in ("say", "ours", "ghost", "ghost@1", "a/../b", "")
    ]
    asked.append(await http.options(f"{RUN}/open", headers=ASKS | {"origin": EVIL}))
    asked.append(await http.options(f"{RUN}/ours", headers=ASKS | ADMIN))
    first = asked[0]
    assert first.status_code == 403
    for response in asked:
        assert (response.status_code, response.content, dict(response.headers)) == (
            403,
            first.content,
            dict(first.headers),
        )
        assert allowed(response) == []


async def test_a_question_without_origin_is_none(http: httpx.AsyncClient, opened: Place) -> None:
    for headers in ({}, {"origin": PAGE}, {"access-control-request-method": "GET"}):
        response = await http.options(f"{RUN}/open", headers=headers)
        assert response.status_code in (400, 404, 405)


async def test_without_rights_no_page_is_let_in(
    http: httpx.AsyncClient, app: FastAPI, opened: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened.authenticator, "authenticate_guest", lambda _: NOBODY)
    app.dependency_overrides[get_principal] = lambda: NOBODY
    assert (await http.get(f"{RUN}/open", headers=FROM_PAGE)).status_code == 403


async def test_a_closed_prompt_is_closed_at_once(
    api: httpx.AsyncClient, http: httpx.AsyncClient, opened: Place
) -> None:
    content = (await api.get("/api/v1/prompts/open")).json()["content"]
    content.pop("cors")
    assert (await api.put("/api/v1/prompts/open", json=content)).status_code == 200
    assert (await http.options(f"{RUN}/open", headers=ASKS)).status_code == 403
    assert (await http.get(f"{RUN}/open", headers=FROM_PAGE)).status_code == 403
