"""Who sends a request: tokens, sessions, pages of other origins, and what strangers get."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from herding.access.login_throttle import PER_ADDRESS
from herding.access.tokens import mint
from herding.api.middleware.authentication import COOKIE, NO_TOKEN, AuthenticationMiddleware
from herding.errors import StoreError
from herding.values import Principal
from tests.support.people_parts import BOSS, HERE, OPERATOR_TOKEN, House, housing, public

Message = Mapping[str, Any]
EVIL: list[dict[str, str]] = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://herding.test:81"},
    {"origin": "http://herding.test.evil.example"},
    {"origin": "http://[bad"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "origin": "http://herding.test"},
    {"sec-fetch-site": "", "origin": "http://herding.test"},
]
OWN: list[dict[str, str]] = [
    {},
    {"origin": "http://herding.test"},
    {"sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},  # a link to us, or our page in a frame
]


@dataclass
class Answer:
    """What came back, and whom the app behind saw."""

    messages: list[Message]
    who: Principal | None
    address: str | None

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def error(self) -> Any:
        return json.loads(self.messages[1]["body"])["error"]

    def header(self, name: str) -> str | None:
        [value] = [value for key, value in self.messages[0]["headers"] if key == name.encode()] or [None]
        return value.decode() if value is not None else None


@dataclass
class Door:
    """The middleware before an app that does nothing but look."""

    house: House

    async def ask(
        self,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        path: str = "/x",
        query: str = "",
        sets: str | None = None,
        **scope: Any,
    ) -> Answer:
        seen: dict[str, Any] = {}
        sent: list[Message] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.update(scope["state"])
            if scope["type"] == "websocket":
                await send({"type": "websocket.accept"})
                return
            more = [(b"set-cookie", sets.encode())] if sets else []
            await send({"type": "http.response.start", "status": 200, "headers": more})
            await send({"type": "http.response.body", "body": b"ok"})

        async def send(message: Message) -> None:
            sent.append(message)

        asked = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": raw_headers(headers or {}),
            "scheme": "http",
            "client": (HERE, 4000),
            **scope,
        }
        await AuthenticationMiddleware(app, authenticator=self.house.authenticator)(asked, None, send)  # type: ignore[arg-type]
        return Answer(sent, seen.get("principal"), seen.get("address"))

    async def who(self, headers: Mapping[str, str] | None = None, **scope: Any) -> Principal:
        found = (await self.ask(headers, **scope)).who
        assert found is not None
        return found

    async def cookie(self, token: str) -> dict[str, str]:
        """The header of a browser that logged in with a token."""
        who = await self.house.authenticator.authenticate_token(token, HERE)
        session = await self.house.authenticator.create_session(who)
        return {"cookie": f"{COOKIE}={self.house.authenticator.sign_session(session)}"}


def raw_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    pairs = {"host": "herding.test", **headers}
    return [(name.encode(), value.encode("latin-1")) for name, value in pairs.items()]


def bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"authorization": f"{scheme} {token}"}


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Where guests are guests; `ada` is a user."""
    async with housing(tmp_path / "open") as house:
        await house.user()
        yield Door(house)


@pytest.fixture
async def own_door(tmp_path: Path) -> AsyncIterator[Door]:
    """Where whoever is at this machine is the admin."""
    async with housing(tmp_path / "own", trusts_all=True, admin_token=None) as house:
        await house.user()
        yield Door(house)


# Tokens


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR "])
async def test_a_token_comes_in_the_header(door: Door, scheme: str) -> None:
    answer = await door.ask(bearer(await door.house.token(), scheme))
    assert answer.who is not None
    assert (answer.status, answer.who.id, answer.address) == (200, "ada", HERE)
    assert answer.header("set-cookie") is None


@pytest.mark.one_database
@pytest.mark.parametrize(
    "given", ["Basic YWRhOng=", "Token {}", "{}", "Bearer", "Bearer ", "", "Bearer\t{}", "Digest x"]
)
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
async def test_another_scheme_is_refused_with_advice(door: Door, given: str, accept: str) -> None:
    token = await door.house.token()
    answer = await door.ask({"authorization": given.format(token), "accept": accept})
    assert (answer.status, answer.header("www-authenticate"), answer.who) == (401, "Bearer", None)
    assert answer.error["type"] == "unauthorized"
    assert "Bearer <token>" in answer.error["message"]
    assert token not in answer.error["message"]


async def test_a_wrong_token_is_refused_and_nobody_becomes_a_guest_by_it(door: Door, own_door: Door) -> None:
    others = ("x", "é", "\x00", "a b", "x" * 50_000)
    for one, tokens in ((door, (mint().text, "hl_", *others)), (own_door, (mint().text, "hl_", "hl_x"))):
        for token in tokens:
            for accept in ("*/*", "text/html"):
                answer = await one.ask({**bearer(token), "accept": accept})
                assert (answer.status, answer.header("www-authenticate"), answer.who) == (401, "Bearer", None)
                assert answer.header("set-cookie") is None


@pytest.mark.one_database
@pytest.mark.parametrize("key", ["sk-1234567890", "x", "lm-studio", "ollama", "hf_abc", "a b", "EMPTY"])
async def test_where_no_key_is_needed_another_kind_of_key_counts_as_none(own_door: Door, key: str) -> None:
    assert (await own_door.who(bearer(key))).role == "admin"
    assert (await own_door.who({**bearer(key), "origin": "https://evil.example"})).role == "guest"


async def test_a_token_counts_in_no_other_place(door: Door) -> None:
    token = await door.house.token()
    for query in (f"token={token}", f"access_token={token}", f"api_key={token}", f"authorization=Bearer+{token}"):
        assert (await door.who(query=query)).role == "guest"
    for name in ("x-api-key", "api-key", "x-authorization", "proxy-authorization", "x-herding-token"):
        assert (await door.who({name: token})).role == "guest"
    assert (await door.who({"cookie": f"{COOKIE}={token}; token={token}"})).role == "guest"


@pytest.mark.one_database
@pytest.mark.parametrize("word", sorted(NO_TOKEN))
async def test_what_clients_send_for_want_of_a_token_is_none(door: Door, own_door: Door, word: str) -> None:
    for given in (word, word.upper()):
        assert (await door.who(bearer(given))).role == "guest"
        assert (await own_door.who(bearer(given))).id == "local"


async def test_refusals_under_the_openai_paths_have_their_shape(door: Door) -> None:
    answer = await door.ask(bearer("wrong"), path="/v1/models")
    assert (answer.status, answer.error["code"], answer.error["type"]) == (
        401,
        "invalid_api_key",
        "authentication_error",
    )


async def test_whoever_guesses_is_told_when_to_come_back(door: Door) -> None:
    token = await door.house.token()
    for _ in range(PER_ADDRESS):
        assert (await door.ask(bearer(mint().text))).status == 401
    answer = await door.ask(bearer(mint().text))
    assert (answer.status, answer.error["type"]) == (429, "limit_reached")
    assert 1 <= int(answer.header("retry-after") or 0) <= 60
    assert (await door.who(bearer(token), client=("203.0.113.7", 1))).id == "ada"
    assert (await door.who()).role == "guest"  # who brings no token guesses nothing


async def test_without_the_database_tokens_are_refused_for_now(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(token_id: str) -> None:
        raise StoreError("The database is away.")

    token = await door.house.token()
    monkeypatch.setattr(door.house.store, "credentials", away)
    answer = await door.ask(bearer(token))
    assert (answer.status, answer.error["type"], answer.who) == (503, "store_error", None)


async def test_without_the_database_a_browser_gets_a_page_that_comes_back(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(digest: str) -> None:
        raise StoreError("The <database> is away.", detail="at db.example")

    cookie = await door.cookie(await door.house.token())
    monkeypatch.setattr(door.house.store, "session_of", away)
    answer = await door.ask({**cookie, "accept": "text/html,*/*"})
    page = answer.messages[1]["body"].decode()
    assert (answer.status, answer.header("refresh"), answer.header("retry-after")) == (503, "5", "5")
    assert "The &lt;database&gt; is away." in page
    assert "db.example" not in page
    assert (await door.ask(cookie)).error["message"] == "The <database> is away."


# Sessions, and pages of other origins


@pytest.mark.parametrize("headers", OWN)
async def test_our_own_page_has_the_session_of_its_browser(door: Door, headers: dict[str, str]) -> None:
    cookie = await door.cookie(await door.house.token())
    answer = await door.ask({**cookie, **headers})
    assert answer.who is not None
    assert (answer.who.id, answer.header("set-cookie")) == ("ada", None)


@pytest.mark.one_database
@pytest.mark.parametrize("headers", EVIL)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
async def test_a_page_of_another_origin_is_a_guest_whatever_the_browser_holds(
    door: Door, own_door: Door, headers: dict[str, str], method: str
) -> None:
    for one, cookie in (
        (door, await door.cookie(await door.house.token())),
        (door, await door.cookie(OPERATOR_TOKEN)),
        (own_door, {}),
        (own_door, await own_door.cookie(await own_door.house.token())),
    ):
        answer = await one.ask({**cookie, **headers}, method=method)
        assert answer.who is not None
        assert (answer.who.role, answer.who.token, answer.header("set-cookie")) == ("guest", None, None)


async def test_a_page_of_another_origin_may_bring_a_token(door: Door) -> None:
    token = await door.house.token()
    assert (await door.who({**bearer(token), "origin": "https://evil.example"})).id == "ada"


async def test_whoever_is_at_this_machine_needs_no_token(own_door: Door) -> None:
    for headers in OWN:
        answer = await own_door.ask(headers)
        assert answer.who is not None
        assert (answer.who.id, answer.who.role, answer.header("set-cookie")) == ("local", "admin", None)


async def ended(door: Door) -> dict[str, str]:
    """The header of a browser whose login is over."""
    token = await door.house.token()
    cookie = await door.cookie(token)
    await door.house.accounts.revoke(public(token), BOSS)
    return cookie


async def test_when_a_login_is_over_a_person_is_sent_to_log_in_and_a_program_is_told(
    door: Door, own_door: Door
) -> None:
    for one in (door, own_door):
        cookie = await ended(one)
        page = await one.ask({**cookie, "accept": "text/html,*/*"})
        assert (page.status, page.header("location"), page.who) == (303, "/login?ended=1", None)
        for headers, method in (({"accept": "*/*"}, "GET"), ({}, "GET"), ({"accept": "text/html"}, "POST")):
            told = await one.ask({**cookie, **headers}, method=method)
            assert (told.status, told.header("www-authenticate"), told.who) == (401, "Bearer", None)


async def test_whose_login_is_over_can_log_in_again(door: Door) -> None:
    cookie = await ended(door)
    for path in ("/login", "/logout"):
        answer = await door.ask({**cookie, "accept": "text/html"}, path=path)
        assert answer.who is not None
        assert (answer.status, answer.who.role) == (200, "guest")
    for path in ("/login/", "/loginx", "/api/login", "//login"):
        assert (await door.ask(cookie, path=path)).who is None


async def test_odd_cookies_are_no_sessions(door: Door, own_door: Door) -> None:
    for value in ("", "x", f"{COOKIE}", f"{COOKIE}=", f"{COOKIE}=;=;;", "\xff\xfe", f"other{COOKIE}=1", "=" * 5_000):
        assert (await door.who({"cookie": value})).role == "guest"
        assert (await own_door.who({"cookie": value})).id == "local"


async def test_the_session_is_found_among_other_cookies(door: Door) -> None:
    cookie = (await door.cookie(await door.house.token()))["cookie"]
    assert (await door.who({"cookie": f"a=b; {COOKIE}=forged; {cookie}; c=d"})).id == "ada"


# Guests, and how they are known again


async def test_a_guest_gets_a_cookie_once_and_is_known_by_it(door: Door) -> None:
    first = await door.ask()
    given = (first.header("set-cookie") or "").partition(";")[0]
    again = await door.ask({"cookie": given})
    assert first.who is not None
    assert (again.who, again.header("set-cookie")) == (first.who, None)
    assert (await door.who()).id != first.who.id


@pytest.mark.parametrize(
    ("scheme", "attributes"),
    [
        ("http", ["Path=/", "Max-Age=31536000", "HttpOnly", "SameSite=Lax"]),
        ("https", ["Path=/", "Max-Age=31536000", "HttpOnly", "SameSite=None", "Secure", "Partitioned"]),
    ],
)
async def test_what_a_browser_may_do_with_the_cookie(door: Door, scheme: str, attributes: list[str]) -> None:
    given = (await door.ask(scheme=scheme)).header("set-cookie") or ""
    assert given.startswith(f"{COOKIE}=guest.")
    assert given.split("; ")[1:] == attributes


async def test_a_session_that_the_app_begins_is_not_overwritten(door: Door) -> None:
    assert (await door.ask(sets=f"{COOKIE}=mine")).header("set-cookie") == f"{COOKIE}=mine"


async def test_guests_of_one_address_have_one_account_whatever_cookie_they_send(door: Door) -> None:
    accounts = {(await door.who()).account for _ in range(5)}
    accounts |= {(await door.who({"x-forwarded-for": f"10.0.0.{number}"})).account for number in range(5)}
    accounts |= {(await door.who({"origin": "https://evil.example"})).account}
    assert len(accounts) == 1
    assert (await door.who(client=("203.0.113.7", 1))).account not in accounts


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 5), "2001:0db8:0001:0002"),
        (("2001:db8:1:2::9", 5), "2001:0db8:0001:0002"),
        (("fe80::1%eth0", 5), "fe80:0000:0000:0000"),
        (("1.2.3.4:5678", 0), "1.2.3.4"),
        (("[2001:db8::1]:443", 0), "2001:0db8:0000:0000"),
        (("", 0), "unknown"),
        (("testclient", 0), "unknown"),
        (None, "unknown"),
    ],
)
async def test_where_somebody_comes_from(door: Door, client: Any, address: str) -> None:
    assert (await door.ask(client=client)).address == address


# Other kinds of connections


async def test_a_websocket_of_nobody_is_closed(door: Door, own_door: Door) -> None:
    for one in (door, own_door):
        for headers in (bearer("hl_wrong"), {"authorization": "Basic x"}, await ended(one)):
            answer = await one.ask(headers, type="websocket")
            assert answer.messages == [{"type": "websocket.close", "code": 1008}]
            assert answer.who is None


async def test_a_websocket_has_a_principal_as_well(door: Door) -> None:
    answer = await door.ask(bearer(await door.house.token()), type="websocket")
    assert answer.who is not None
    assert (answer.who.id, answer.messages) == ("ada", [{"type": "websocket.accept"}])
    stranger = await door.ask({"origin": "https://evil.example"}, type="websocket", scheme="ws")
    assert stranger.who is not None
    assert stranger.who.role == "guest"


async def test_what_is_no_request_passes(door: Door) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    await AuthenticationMiddleware(app, authenticator=door.house.authenticator)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == [{"type": "lifespan"}]
