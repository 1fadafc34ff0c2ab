"""The page to log in at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from herding.access.login_throttle import PER_ADDRESS
from herding.access.tokens import mint
from herding.errors import StoreError
from herding.values import User
from tests.api.conftest import client, web
from tests.support.herding import ADMIN, ADMIN_TOKEN, Place, herding
from tests.support.nodes import echo

COOKIE = "herding_session"


@pytest.fixture
async def token(place: Place) -> str:
    """Ada's."""
    await place.store.add_user(User("ada", "Ada", "user"))
    return (await place.accounts.create_token("ada", "browser", ADMIN))[1]


async def me(http: httpx.AsyncClient) -> Any:
    return (await http.get("/api/v1/me")).json()


async def log_in(http: httpx.AsyncClient, **fields: str) -> httpx.Response:
    return await http.post("/login", data=fields)


async def test_the_page_asks_for_a_token_and_no_other_host(http: httpx.AsyncClient) -> None:
    response = await http.get("/login")
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    assert response.headers["content-type"].startswith("text/html")
    page = response.text
    assert 'type="password"' in page
    assert 'method="post" action="/login"' in page
    assert "$" not in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "https://" not in page


@pytest.mark.one_database
@pytest.mark.parametrize(
    "query", ["", "?ended=1", "?out=1", "?ended=<script>alert(1)</script>", "?<script>=1", "?next=x"]
)
async def test_nothing_of_the_address_is_on_the_page(http: httpx.AsyncClient, query: str) -> None:
    page = (await http.get(f"/login{query}")).text
    assert "<script" not in page
    assert ("session has ended" in page) == ("ended" in query)


async def test_a_token_becomes_a_session(http: httpx.AsyncClient, token: str) -> None:
    response = await log_in(http, token=f"  {token} \n")
    assert (response.status_code, response.headers["location"]) == (303, "/")
    [given] = response.headers.get_list("set-cookie")
    assert given.startswith(f"{COOKIE}=token.")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(given.split("; "))
    for part in (token, token.split("_")[2]):
        assert part not in str(response.headers)
        assert part not in response.text
    assert (await me(http))["id"] == "ada"


async def test_the_operators_token_becomes_a_session_too(http: httpx.AsyncClient) -> None:
    response = await log_in(http, token=ADMIN_TOKEN)
    assert response.status_code == 303
    assert ADMIN_TOKEN not in str(response.headers)
    assert (await me(http))["role"] == "admin"


async def test_over_https_the_cookie_is_kept_in_frames_and_never_sent_without(app: FastAPI, token: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://herding.test") as http:
        given = (await log_in(http, token=token)).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=None", "Secure", "Partitioned"} <= set(given.split("; "))


@pytest.mark.one_database
@pytest.mark.parametrize("wrong", ["", "x", "hl_", "' OR 1=1 --", "<script>alert(1)</script>", "x" * 10_000, "\x00"])
async def test_a_wrong_token_is_told_and_not_repeated(http: httpx.AsyncClient, wrong: str) -> None:
    response = await log_in(http, token=wrong)
    assert response.status_code == 401
    assert "not valid" in response.text
    assert response.headers["cache-control"] == "no-store"
    assert len(wrong) < 5 or wrong not in response.text
    assert (await me(http))["role"] == "guest"


async def test_whatever_is_wrong_the_page_is_the_same(http: httpx.AsyncClient, place: Place, token: str) -> None:
    revoked = (await place.accounts.create_token("ada", "x", ADMIN))[1]
    await place.accounts.revoke(revoked.split("_")[1], ADMIN)
    pages = {(await log_in(http, token=wrong)).text for wrong in (mint().text, token[:-1] + "!", revoked, "", "x")}
    assert len(pages) == 1


async def test_a_form_without_a_token_or_that_is_none_is_refused(http: httpx.AsyncClient) -> None:
    for body in (b"", b"\xff\xfe", b"token", b"token=%FF%00", b"&" * 4_000, b"token=" + b"x" * 40_000, b'{"token": 1}'):
        assert (await http.post("/login", content=body)).status_code == 401


async def test_guessing_is_slowed_down(http: httpx.AsyncClient, token: str) -> None:
    for _ in range(PER_ADDRESS):
        assert (await log_in(http, token=mint().text)).status_code == 401
    response = await log_in(http, token=mint().text)
    assert response.status_code == 429
    assert 1 <= int(response.headers["retry-after"]) <= 60
    assert "Wait a minute" in response.text
    assert (await log_in(http, token=token)).status_code == 303


async def test_without_the_database_the_page_says_so(
    http: httpx.AsyncClient, place: Place, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(token_id: str) -> None:
        raise StoreError("secret details")

    monkeypatch.setattr(place.store, "credentials", away)
    response = await log_in(http, token=token)
    assert (response.status_code, "Try again" in response.text) == (503, True)
    assert "secret details" not in response.text


async def test_one_can_look_around_as_a_guest(http: httpx.AsyncClient, token: str) -> None:
    await log_in(http, token=token)
    response = await log_in(http, guest="1")
    assert (response.status_code, response.headers["location"]) == (303, "/")
    assert (await me(http))["role"] == "guest"


async def test_after_a_logout_the_browser_is_nobodys(http: httpx.AsyncClient, token: str) -> None:
    await log_in(http, token=token)
    response = await http.post("/logout")
    assert (response.status_code, response.headers["location"]) == (303, "/login?out=1")
    assert response.headers.get_list("set-cookie") == [f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"]
    assert (await me(http))["role"] == "guest"


async def test_after_a_logout_a_copy_of_the_cookie_is_worth_nothing(
    http: httpx.AsyncClient, app: FastAPI, token: str
) -> None:
    for text in (token, ADMIN_TOKEN):
        await log_in(http, token=text)
        copied = {"cookie": f"{COOKIE}={http.cookies[COOKIE]}"}
        async with client(app, copied) as thief:
            assert (await thief.get("/api/v1/me")).status_code == 200
            await http.post("/logout")
            assert (await thief.get("/api/v1/me")).status_code == 401
            page = await thief.get("/", headers={"accept": "text/html"})
            assert page.headers["location"] == "/login?ended=1"


async def test_log_out_everywhere(http: httpx.AsyncClient, app: FastAPI, api: httpx.AsyncClient, token: str) -> None:
    async with client(app) as phone:
        for browser in (phone, http):
            await log_in(browser, token=token)
        listed = (await http.get("/api/v1/me/sessions")).json()["sessions"]
        assert [session["current"] for session in listed] == [True, False]
        assert {session["token"] for session in listed} == {token.split("_")[1]}
        assert (await phone.delete("/api/v1/me/sessions")).json() == {"ended": 2}
        for browser in (phone, http):
            assert (await browser.get("/api/v1/me")).status_code == 401
        await log_in(phone, token=token)
        assert (await api.delete("/api/v1/users/ada/sessions")).json() == {"ended": 1}
        assert (await phone.get("/api/v1/me")).status_code == 401
    assert (await http.get("/api/v1/me", headers={"authorization": f"Bearer {token}"})).status_code == 200


async def test_without_the_database_a_logout_says_that_it_failed(
    http: httpx.AsyncClient, place: Place, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(**_: object) -> None:
        raise StoreError("secret details")

    await log_in(http, token=token)
    with monkeypatch.context() as patch:
        patch.setattr(place.store, "end_sessions", away)
        response = await http.post("/logout")
    assert (response.status_code, "set-cookie" in response.headers) == (503, False)
    assert "could not be logged out" in response.text
    assert (await http.post("/logout")).status_code == 303


async def test_no_page_of_another_origin_logs_anybody_in_or_out(http: httpx.AsyncClient, token: str) -> None:
    await log_in(http, token=token)
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        assert (await http.post("/login", data={"guest": "1"}, headers=headers)).status_code == 403
        assert (await http.post("/logout", headers=headers)).status_code == 403
    link = await http.get("/logout")
    assert (link.status_code, link.headers["location"], "set-cookie" in link.headers) == (303, "/login", False)
    assert (await me(http))["id"] == "ada"


TARGETS = ["//evil.example", "https://evil.example", "/\\evil.example", "////evil.example", "javascript:alert(1)"]


@pytest.mark.one_database
@pytest.mark.parametrize("target", TARGETS)
async def test_a_login_leads_to_our_own_page_whatever_is_asked(
    http: httpx.AsyncClient, token: str, target: str
) -> None:
    names = ("next", "redirect", "redirect_uri", "return_to", "_target_url", "url", "rd")
    query = dict.fromkeys(names, target)
    headers = {"referer": "https://evil.example/x", "x-forwarded-host": "evil.example", "x-forwarded-prefix": target}
    for fields in ({"token": token}, {"guest": "1"}):
        response = await http.post("/login", params=query, data={**query, **fields}, headers=headers)
        assert response.headers["location"] == "/"
    out = await http.post("/logout", params=query, data=query, headers=headers)
    assert out.headers["location"] == "/login?out=1"


# Where whoever is at this machine is the admin


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Place]]:
    async with herding(tmp_path, echo(), admin_token=None) as place, client(web(place)) as http:
        yield http, place


async def test_at_this_machine_one_can_be_a_guest_and_the_admin_again(own: tuple[httpx.AsyncClient, Place]) -> None:
    http, _ = own
    assert (await me(http))["id"] == "local"
    assert "local admin" in (await http.get("/login")).text
    await log_in(http, guest="1")
    assert (await me(http))["role"] == "guest"
    response = await log_in(http, local="1")
    assert (response.status_code, response.headers["location"]) == (303, "/")
    assert (await me(http))["id"] == "local"


async def test_at_this_machine_a_login_that_is_over_is_no_dead_end(own: tuple[httpx.AsyncClient, Place]) -> None:
    http, place = own
    await place.store.add_user(User("ada", "Ada", "user"))
    made, text = await place.accounts.create_token("ada", "x", ADMIN)
    await log_in(http, token=text)
    await place.accounts.revoke(made.id, ADMIN)
    ended = await http.get("/api/v1/me", headers={"accept": "text/html"})
    assert (ended.status_code, ended.headers["location"]) == (303, "/login?ended=1")
    assert (await http.get("/login?ended=1")).status_code == 200
    await log_in(http, local="1")
    assert (await me(http))["id"] == "local"


async def test_elsewhere_nobody_becomes_the_admin_of_the_machine(http: httpx.AsyncClient) -> None:
    assert "local admin" not in (await http.get("/login")).text
    assert (await log_in(http, local="1")).status_code == 401
    assert (await me(http))["role"] == "guest"
