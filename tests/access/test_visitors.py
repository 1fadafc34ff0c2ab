"""Who is asking: signed cookies, the admin token, the person at this machine."""

from __future__ import annotations

import stat
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from herding.access.roles import require
from herding.access.visitors import COOKIE, IdentifyVisitors, Visitors, signing_key
from herding.errors import AccessError, ConfigError
from herding.values import Principal
from tests.support.people import RIGHTS, ROLES, principal

KEY = b"k" * 32


def public(**more: Any) -> Visitors:
    return Visitors(**{"key": KEY, "roles": ROLES, "local_only": False, "admin_token": None, **more})


def resolve(visitors: Visitors, **headers: str) -> tuple[Principal, str | None]:
    return visitors.resolve({name.encode(): value.encode("latin-1") for name, value in headers.items()})


def test_a_new_visitor_is_a_guest_and_known_again() -> None:
    visitors = public()
    who, cookie = resolve(visitors)
    assert who.role == "guest"
    assert resolve(visitors, cookie=f"{COOKIE}={cookie}") == (who, None)
    assert resolve(visitors, cookie=f'a=b; {COOKIE}={cookie}; c="d"') == (who, None)


def test_two_visitors_are_two_guests() -> None:
    visitors = public()
    assert resolve(visitors)[0].id != resolve(visitors)[0].id


def test_a_strange_cookie_beside_ours_does_no_harm() -> None:
    visitors = public()
    who, cookie = resolve(visitors)
    assert resolve(visitors, cookie=f'other={{"json": [1]}}; {COOKIE}={cookie}') == (who, None)


@pytest.mark.parametrize(
    "forge",
    [
        lambda cookie: "0" * 32 + cookie[32:],
        lambda cookie: cookie[:-1] + ("0" if cookie[-1] != "0" else "1"),
        lambda cookie: cookie.partition(".")[0],
        lambda cookie: cookie + "0",
        lambda cookie: cookie.upper(),
        lambda cookie: f"{'a' * 32}.",
        lambda cookie: f"{'a' * 32}.é",
        lambda cookie: f'"{"a" * 32}.\xe9"',
        lambda cookie: "../../etc/passwd.x",
        lambda cookie: "admin." + cookie.partition(".")[2],
        lambda cookie: "",
        lambda cookie: "x" * 100_000,
        lambda cookie: "\x00;;=;",
    ],
)
def test_a_forged_cookie_makes_a_new_visitor(forge: Any) -> None:
    visitors = public()
    known, cookie = resolve(visitors)
    who, fresh = resolve(visitors, cookie=f"{COOKIE}={forge(cookie)}")
    assert who.role == "guest"
    assert who.id != known.id
    assert fresh is not None


def test_a_cookie_signed_with_another_key_is_forged() -> None:
    _, cookie = resolve(public())
    assert resolve(public(key=b"o" * 32), cookie=f"{COOKIE}={cookie}")[1] is not None


def test_the_admin_token() -> None:
    visitors = public(admin_token="secret-token")
    assert resolve(visitors, authorization="Bearer secret-token")[0].role == "admin"
    for wrong in ("Bearer secret", "Bearer secret-tokenx", "secret-token", "Bearer ", "Bearer \xe9", "", "Basic x"):
        assert resolve(visitors, authorization=wrong)[0].role == "guest"


@pytest.mark.parametrize("token", [None, ""])
def test_without_an_admin_token_nobody_is_admin(token: str | None) -> None:
    visitors = public(admin_token=token)
    for attempt in ("Bearer ", "Bearer None", "Bearer", ""):
        assert resolve(visitors, authorization=attempt)[0].role == "guest"


def test_on_loopback_everybody_is_the_admin_and_gets_no_cookie() -> None:
    assert resolve(public(local_only=True)) == (principal("local", "admin"), None)


def test_the_signing_key_is_ours_alone_and_stays(tmp_path: Path) -> None:
    home = tmp_path / "home"
    key = signing_key(home)
    assert len(key) == 32
    assert signing_key(home) == key
    assert signing_key(tmp_path / "other") != key
    assert stat.S_IMODE((home / "secret.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_signing_key_that_is_not_whole_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret.key").write_bytes(content)
    with pytest.raises(ConfigError, match=r"secret\.key"):
        signing_key(tmp_path)


def test_an_unknown_role_has_no_rights() -> None:
    who = principal("x", "emperor")
    assert who.rights == frozenset()
    for right in RIGHTS["admin"]:
        with pytest.raises(AccessError):
            require(who, right)


async def headers_for(scope: dict[str, Any], visitors: Visitors) -> tuple[dict[bytes, bytes], Any]:
    """The headers of an answer, and the principal that the app saw."""
    sent: dict[bytes, bytes] = {}
    seen: list[Any] = []

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope["state"]["principal"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.update(dict(message["headers"]))

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    await IdentifyVisitors(app, visitors=visitors)({"type": "http", "headers": [], **scope}, receive, send)
    return sent, seen[0]


@pytest.mark.parametrize(
    ("scheme", "flags"),
    [("http", {"SameSite=Lax"}), ("https", {"SameSite=None", "Secure", "Partitioned"})],
)
async def test_the_flags_of_the_cookie(scheme: str, flags: set[str]) -> None:
    sent, who = await headers_for({"scheme": scheme}, public())
    parts = sent[b"set-cookie"].decode().split("; ")
    assert parts[0].startswith(f"{COOKIE}={who.id.removeprefix('guest:')}.")
    assert set(parts[1:]) == {"Path=/", "HttpOnly", "Max-Age=31536000"} | flags


async def test_a_known_visitor_gets_no_new_cookie() -> None:
    visitors = public()
    known, cookie = resolve(visitors)
    sent, who = await headers_for({"headers": [(b"cookie", f"{COOKIE}={cookie}".encode())]}, visitors)
    assert (sent, who) == ({}, known)
