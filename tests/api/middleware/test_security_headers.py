"""What every request and answer passes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from herding.api.http.request import same_origin
from herding.api.middleware.heads import HeadMiddleware
from tests.api.conftest import ADMIN, MAX_BODY

pytestmark = pytest.mark.one_database

HEADERS = (
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "permissions-policy",
    "cross-origin-opener-policy",
)


def assert_guarded(response: httpx.Response) -> None:
    for name in HEADERS:
        assert len(response.headers.get_list(name)) == 1, name


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * (MAX_BODY // 10)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://herding.test:81"},
        {"origin": "http://herding.test.evil.example"},
        {"origin": "http://evil@herding.test:x"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://[bad"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://herding.test"},
        {"sec-fetch-site": "SAME-ORIGIN"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_page_of_another_origin_changes_nothing(
    http: httpx.AsyncClient, method: str, headers: dict[str, str]
) -> None:
    response = await http.request(method, "/echo", content=b"x", headers=headers)
    assert response.status_code == 403
    assert "another origin" in response.json()["error"]["message"]
    assert_guarded(response)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://herding.test"},
        {"origin": "https://herding.test"},
        {"sec-fetch-site": "same-origin", "origin": "http://herding.test"},
        {"sec-fetch-site": "none"},
    ],
)
async def test_our_own_page_and_no_page_at_all_pass(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await http.post("/echo", content=b"abc", headers=headers)
    assert response.json() == {"bytes": 3}
    assert_guarded(response)


async def test_reading_is_open_to_links_of_other_pages(http: httpx.AsyncClient) -> None:
    assert (await http.get("/healthz", headers={"sec-fetch-site": "cross-site"})).status_code == 200


async def test_a_websocket_of_another_origin_is_closed() -> None:
    sent = []

    async def app(*_: object) -> None:
        raise AssertionError("the app is not asked")

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    headers = [(b"host", b"herding.test"), (b"origin", b"https://evil.example")]
    await HeadMiddleware(app)({"type": "websocket", "headers": headers}, receive, send)  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_an_origin_is_compared_with_its_port() -> None:
    host = {b"host": b"localhost:7860"}
    assert same_origin({**host, b"origin": b"http://localhost:7860"})
    assert not same_origin({**host, b"origin": b"http://localhost:8080"})


@pytest.mark.parametrize("path", ["/echo", "/json"])
async def test_a_body_over_the_cap_is_refused(http: httpx.AsyncClient, path: str) -> None:
    told = await http.post(path, content=b"x" * (MAX_BODY + 1))
    untold = await http.post(path, content=pieces(11))
    for response in (told, untold):
        assert response.status_code == 413
        assert f"at most {MAX_BODY:,} bytes" in response.json()["error"]["message"]
        assert_guarded(response)


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "٣"])
async def test_a_length_that_is_none_is_refused(http: httpx.AsyncClient, length: str) -> None:
    response = await http.post("/echo", content=b"x", headers=[(b"content-length", length.encode())])
    assert response.status_code == 413


async def test_a_body_at_the_cap_passes(http: httpx.AsyncClient) -> None:
    assert (await http.post("/echo", content=b"x" * MAX_BODY)).json() == {"bytes": MAX_BODY}
    assert (await http.post("/echo", content=pieces(10))).json() == {"bytes": MAX_BODY}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/healthz", 200), ("/nowhere", 404), ("/echo", 405), ("/bug", 500), ("/api/v1/history.csv?stars=9", 422)],
)
async def test_every_answer_has_the_headers(http: httpx.AsyncClient, path: str, status: int) -> None:
    response = await http.get(path)
    assert response.status_code == status
    assert_guarded(response)
    if status >= 400:
        assert response.json()["error"]["message"]


async def test_a_bug_tells_nothing_but_the_log(http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    response = await http.get("/bug")
    assert response.status_code == 500
    assert "canary" not in response.text
    assert "canary" in caplog.text


async def test_a_strange_host_is_refused(app: FastAPI) -> None:
    for host in ("evil.example", "herding.test.evil.example", "herding.test@evil.example", "", "herding.test/x?"):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://herding.test") as client:
            response = await client.get("/healthz", headers={"host": host})
        assert response.status_code == 400
        assert_guarded(response)


async def test_the_cookie_of_a_visitor_is_set_once(http: httpx.AsyncClient) -> None:
    assert "herding_session" in (await http.get("/healthz")).headers["set-cookie"]
    assert "set-cookie" not in (await http.get("/healthz")).headers
    assert "set-cookie" not in (await http.get("/healthz", headers=ADMIN)).headers
