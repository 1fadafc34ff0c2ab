"""What is believed of X-Forwarded-For: the entries of our own proxies, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from herding.api.http.request import client_address
from herding.api.middleware.heads import ProxyHeadersMiddleware

Pairs = list[tuple[str, str]]


async def seen(hops: int, headers: Pairs, **scope: Any) -> dict[str, Any]:
    """The scope as the app behind sees it."""
    found: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.update(scope)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    asked = {"type": "http", "scheme": "http", "client": ("127.0.0.1", 9), "headers": raw, **scope}
    await ProxyHeadersMiddleware(app, hops=hops)(asked, None, None)
    return found


async def address(hops: int, *values: str) -> str:
    return client_address(await seen(hops, [("x-forwarded-for", value) for value in values]))


@pytest.mark.parametrize("value", ["1.1.1.1", "1.1.1.1, 2.2.2.2", "::1", "", "localhost"])
async def test_without_proxies_nobody_is_believed(value: str) -> None:
    assert await address(0, value) == "127.0.0.1"
    found = await seen(0, [("x-forwarded-proto", "https"), ("forwarded", "for=1.1.1.1;proto=https")])
    assert (found["scheme"], found["client"]) == ("http", ("127.0.0.1", 9))


@pytest.mark.parametrize(
    ("hops", "values", "expected"),
    [
        (1, ["9.9.9.9"], "9.9.9.9"),
        (1, ["1.1.1.1, 9.9.9.9"], "9.9.9.9"),
        (1, ["1.1.1.1", "9.9.9.9"], "9.9.9.9"),
        (1, ["1.1.1.1,2.2.2.2 , 9.9.9.9 "], "9.9.9.9"),
        (2, ["1.1.1.1, 9.9.9.9, 10.0.0.1"], "9.9.9.9"),
        (2, ["1.1.1.1, 9.9.9.9", "10.0.0.1"], "9.9.9.9"),
        (2, ["9.9.9.9"], "127.0.0.1"),  # one of the two did not write: who knows where it is from
        (3, [], "127.0.0.1"),
        (1, ["2001:db8::1"], "2001:0db8:0000:0000"),
        (1, ["9.9.9.9, not an address"], "unknown"),
        (1, ["9.9.9.9, "], "unknown"),
        (1, ["9.9.9.9, é"], "unknown"),
    ],
)
async def test_the_entry_of_the_first_of_our_proxies_counts(hops: int, values: list[str], expected: str) -> None:
    assert await address(hops, *values) == expected


async def test_whatever_a_caller_writes_before_changes_nothing() -> None:
    found = {await address(1, f"10.0.0.{number}, 9.9.9.9") for number in range(50)}
    found |= {await address(1, ", " * number + "9.9.9.9") for number in range(50)}
    assert found == {"9.9.9.9"}


@pytest.mark.parametrize(
    ("kind", "said", "scheme"),
    [
        ("http", "https", "https"),
        ("http", "HTTPS", "https"),
        ("http", "http, https", "https"),
        ("http", "https, http", "http"),
        ("http", "javascript", "http"),
        ("http", "", "http"),
        ("websocket", "https", "wss"),
        ("websocket", "http", "ws"),
        ("websocket", "wss", "ws"),
    ],
)
async def test_the_scheme_is_the_one_outside(kind: str, said: str, scheme: str) -> None:
    inside = "http" if kind == "http" else "ws"
    found = await seen(1, [("x-forwarded-proto", said)], type=kind, scheme=inside)
    assert found["scheme"] == scheme


async def test_other_headers_of_proxies_count_for_nothing() -> None:
    names = ("x-real-ip", "forwarded", "x-client-ip", "cf-connecting-ip", "true-client-ip", "x-forwarded-host")
    found = await seen(1, [(name, "1.1.1.1") for name in names])
    assert found["client"] == ("127.0.0.1", 9)


async def test_what_is_no_request_passes() -> None:
    assert (await seen(1, [("x-forwarded-for", "9.9.9.9")], type="lifespan"))["client"] == ("127.0.0.1", 9)
