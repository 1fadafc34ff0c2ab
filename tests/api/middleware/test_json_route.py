"""The shortcut past the framework: who takes it gets what the framework would give."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.middleware.trustedhost import TrustedHostMiddleware

from herding.api.middleware.json_route import Shortcut
from herding.errors import ConnectError
from tests.api.conftest import ADMIN, MAX_BODY, client, live, web
from tests.support.herding import Place, herding
from tests.support.nodes import Scripted, echo

PATH = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
GOOD: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "hi you"}]}
NEW = ("x-request-id", "content-length")
MANY = [{"type": "text", "text": "x"}] * 10


def body(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


CASES: dict[str, tuple[bytes, dict[str, str]]] = {
    "good": (body(), JSON),
    "a charset": (body(), {"content-type": "application/json; charset=utf-8"}),
    "streamed": (body(stream=True), JSON),
    "streamed with usage": (body(stream=True, stream_options={"include_usage": True}), JSON),
    "a prompt": (body(model="prompt:say"), JSON),
    "no such prompt": (body(model="prompt:none"), JSON),
    "no such model": (body(model="none"), JSON),
    "no such model, streamed": (body(model="none", stream=True), JSON),
    "a node that fails": (body(model="broken"), JSON),
    "what is not supported": (body(n=2), JSON),
    "a parameter out of bounds": (body(temperature=9), JSON),
    "parts": (body(messages=[{"role": "user", "content": MANY}]), JSON),
    "no messages": (body(messages=[]), JSON),
    "messages that are none": (body(messages=7), JSON),
    "a field of another type": (body(max_tokens="many"), JSON),
    "no JSON": (b"{", JSON),
    "no body": (b"", JSON),
    "a list": (b"[]", JSON),
    "no text": (b"\xff\xfe", JSON),
    "a form": (b"model=echo", {"content-type": "application/x-www-form-urlencoded"}),
    "no content type": (body(), {}),
    "another kind of JSON": (body(), {"content-type": "application/problem+json"}),
    "an idea of a content type": (body(), {"content-type": "Application/JSON"}),
    "too much": (body(model="x" * MAX_BODY), JSON),
    "another origin": (body(), {**JSON, "origin": "http://evil.test"}),
    "our origin": (body(), {**JSON, "origin": "http://herding.test"}),
}


def without_shortcut(place: Place) -> FastAPI:
    app = web(place)
    app.user_middleware = [guard for guard in app.user_middleware if guard.cls is not Shortcut]
    return app


def seen(response: httpx.Response) -> tuple[int, dict[str, str], str]:
    """Status, headers and text, without what is new for every request."""
    kept = {
        name: re.sub(r"(?<=session=)[^;]+", "", value) for name, value in response.headers.items() if name not in NEW
    }
    text = re.sub(r'chatcmpl-\w+|"created":\s*\d+|"[0-9a-f]{32}"', "", response.text)
    return response.status_code, kept, text


@pytest.fixture
async def place(tmp_path: Path) -> Any:
    broken = Scripted("broken", [ConnectError("It is away.", node="broken")], models=["broken"])
    async with herding(tmp_path, echo(), broken) as made:
        yield made


@pytest.mark.parametrize("headers", [ADMIN, {}, {"authorization": "Bearer hl_nobody"}], ids=["admin", "guest", "wrong"])
@pytest.mark.parametrize("case", CASES)
async def test_answers_and_refusals_are_the_same(place: Place, case: str, headers: dict[str, str]) -> None:
    content, said = CASES[case]
    answers = []
    for app in (web(place), without_shortcut(place)):
        async with client(app, headers) as http:
            answers.append(seen(await http.post(PATH, content=content, headers=said)))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("case", ["good", "streamed", "no such model", "what is not supported"])
async def test_a_good_body_does_not_reach_the_framework(place: Place, case: str) -> None:
    content, said = CASES[case]
    app = web(place)
    async with client(app, ADMIN) as http:
        whole = seen(await http.post(PATH, content=content, headers=said))
        app.router.routes.clear()
        assert seen(await http.post(PATH, content=content, headers=said)) == whole


@pytest.mark.parametrize(
    ("method", "path"), [("GET", PATH), ("PUT", PATH), ("POST", f"{PATH}/"), ("POST", f"/x{PATH}")]
)
async def test_other_methods_and_paths_are_the_framework_s(place: Place, method: str, path: str) -> None:
    answers = []
    for app in (web(place), without_shortcut(place)):
        async with client(app, ADMIN) as http:
            answers.append(seen(await http.request(method, path, content=body(), headers=JSON)))
    assert answers[0] == answers[1]
    assert answers[0][0] in (307, 404, 405)


async def test_an_app_that_is_mounted_below_a_path_is_the_framework_s(place: Place) -> None:
    app = web(place)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path="/below")
    async with httpx.AsyncClient(transport=transport, base_url="http://herding.test", headers=ADMIN) as http:
        assert (await http.post(f"/below{PATH}", content=body(), headers=JSON)).status_code == 200
        app.router.routes.clear()
        assert (await http.post(PATH, content=body(), headers=JSON)).status_code == 404


async def test_the_guards_are_around_it(place: Place) -> None:
    app = web(place)
    assert [guard.cls for guard in app.user_middleware].index(Shortcut) > 2
    async with client(app, ADMIN) as http:
        answer = await http.post(PATH, content=body(), headers=JSON | {"host": "evil.test"})
        assert (answer.status_code, answer.text) == (400, "Invalid host header")
        crossed = await http.post(PATH, content=body(), headers=JSON | {"sec-fetch-site": "cross-site"})
        assert crossed.status_code == 403
        assert TrustedHostMiddleware in [guard.cls for guard in app.user_middleware]
        good = await http.post(PATH, content=body(), headers=JSON)
        assert good.headers["x-content-type-options"] == "nosniff"
        assert good.headers["vary"] == "Origin"


async def test_a_body_in_pieces_that_is_not_good_reaches_the_framework_whole(place: Place) -> None:
    async with (
        live(place) as url,
        httpx.AsyncClient(base_url=url, headers=ADMIN | JSON, trust_env=False, timeout=60) as http,
    ):

        async def pieces(content: bytes) -> Any:
            for start in range(0, len(content), 7):
                yield content[start : start + 7]

        good = await http.post(PATH, content=pieces(body()))
        bad = await http.post(PATH, content=pieces(body(max_tokens="many")))
        assert (good.status_code, bad.status_code) == (200, 400)
        assert bad.json()["error"]["param"] == "max_tokens"


async def test_a_fault_of_ours_is_a_500_without_details(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(*_: object) -> Response:
        raise RuntimeError("canary: a secret detail")

    app = web(place)
    (shortcut,) = [guard for guard in app.user_middleware if guard.cls is Shortcut]
    shortcut.kwargs["routes"]["POST", PATH].endpoint = broken
    async with client(app, ADMIN) as http:
        answer = await http.post(PATH, content=body(), headers=JSON)
    assert answer.status_code == 500
    assert "canary" not in answer.text
    assert "canary" in caplog.text


async def test_an_override_of_the_framework_holds(place: Place) -> None:
    app = web(place)

    async def nothing(request: Request) -> None:
        pass

    app.dependency_overrides[nothing] = nothing
    app.router.routes.clear()
    async with client(app, ADMIN) as http:
        assert (await http.post(PATH, content=body(), headers=JSON)).status_code == 404
