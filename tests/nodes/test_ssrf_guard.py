"""What nodes that are added at run time may reach. No test here opens a socket to another machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import aclosing

import httpx
import pytest
from aiohttp.abc import ResolveResult

from herding.errors import ConnectError, UserError
from herding.nodes import http
from herding.nodes.base import Deadlines
from herding.nodes.origin import origin_of
from herding.nodes.ssrf_guard import Resolve, SsrfGuard
from herding.nodes.template import TemplateConfig, TemplateNode
from herding.values import Call
from tests.support.anyserver import AnyServer, anyserver

PUBLIC = "93.184.215.14"


@pytest.fixture
def server() -> Iterator[AnyServer]:
    with anyserver() as running:
        yield running


def answering(*rounds: Sequence[str]) -> Resolve:
    """A resolver that gives each round of addresses once, the last one for ever."""
    left = list(rounds)

    async def resolve(host: str, port: int, _: socket.AddressFamily) -> list[ResolveResult]:
        found = left.pop(0) if len(left) > 1 else left[0]
        if not found:
            raise OSError("no such name")
        return [_result(host, address, port) for address in found]

    return resolve


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)


ODD = [
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://0/",
    "http://127.0.0.1./",
    "http://a@b/",
    "http://user:pass@example.com/",
    "http://evil\\@good/",
    "http://evil\\.example/",
    "http://good#@evil/",
    "http://good.example\t/",
    "http://good.example\r\nHost: evil/",
    "http://exa mple/",
    "http://ⓛocalhost/",
    "http://127。0。0。1/",
    "http://[::1/",
    "http://[fe80::1%25eth0]/",
    "http://[::ffff:127.0.0.1.1]/",
    "http://",
    "http:///x",
    "http://.example/",
    "http://example..com/",
    "http://%31%32%37.0.0.1/",
    "http://example.com:0/",
    "http://example.com:70000/",
    "http://example.com:x/",
    "https:example.com",
    "//example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:70/_x",
    "ftp://example.com/",
    "unix:/var/run/docker.sock",
    "javascript:alert(1)",
    "http://{MODEL_NAME}/",
    "http://example.com:{SECRET}/",
    "http://" + "a" * 5000 + "/",
]

CLOSED = [
    "127.0.0.1",
    "127.8.9.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.0.8",
    "198.18.0.1",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "::7f00:1",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "3fff::1",
]


@pytest.mark.parametrize("url", ODD)
def test_an_odd_url_is_refused_by_everybody(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|host|port"):
        origin_of(url)
    with pytest.raises(UserError, match="Invalid URL"):
        SsrfGuard(loopback=True, allowed=["good", "evil", "a", "b"]).check(url)


@pytest.mark.parametrize("address", CLOSED)
def test_an_address_that_is_not_public_is_closed(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(UserError, match="may not use") as caught:
        SsrfGuard().check(f"http://{host}:8000/x")
    assert "HERDING_ALLOWED_HOSTS" in caught.value.message
    assert caught.value.param == "url"


@pytest.mark.parametrize("address", CLOSED)
async def test_a_name_with_such_an_address_is_closed_too(address: str) -> None:
    guard = SsrfGuard(loopback=True, resolve=answering([PUBLIC, address]))
    with pytest.raises(UserError, match="may not use"):
        await guard.check_addresses("https://models.example/v1")


@pytest.mark.parametrize("url", ["http://[::ffff:93.184.215.14]/", "http://[64:ff9b::5db8:d70e]/"])
def test_an_ipv4_address_in_disguise_is_refused_in_a_url(url: str) -> None:
    with pytest.raises(UserError, match="disguised"):
        SsrfGuard().check(url)


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::1111", "64:ff9b::5db8:d70e", "::ffff:93.184.215.14"])
async def test_public_addresses_are_open(address: str) -> None:
    guard = SsrfGuard(resolve=answering([address]))
    assert str(await guard.check_addresses("https://models.example/v1")) == "https://models.example:443"


async def test_a_name_without_address_may_get_one_later() -> None:
    assert (await SsrfGuard(resolve=answering([])).check_addresses("https://later.example/")).host == "later.example"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8008/api", "http://[::1]:8008/api", "http://localhost:8008/api"])
async def test_an_app_for_this_machine_alone_may_use_its_servers(url: str) -> None:
    resolve = answering(["127.0.0.1", "::1"])
    assert (await SsrfGuard(loopback=True, resolve=resolve).check_addresses(url)).port == 8008
    with pytest.raises(UserError, match="on this machine"):
        await SsrfGuard(resolve=resolve).check_addresses(url)


@pytest.mark.parametrize(
    ("entry", "url", "opened"),
    [
        ("10.0.0.5:8000", "http://10.0.0.5:8000/v1", True),
        ("10.0.0.5:8000", "http://10.0.0.5:8001/v1", False),
        ("10.0.0.5", "http://10.0.0.5:8001/v1", True),
        ("10.0.0.5", "http://10.0.0.50:8001/v1", False),
        ("http://10.0.0.5:8000", "http://10.0.0.5:8000/v1", True),
        ("http://10.0.0.5:8000", "https://10.0.0.5:8000/v1", False),
        ("[fd00::5]:8000", "http://[fd00:0::5]:8000/v1", True),
        ("GPU.lan:8000", "http://gpu.lan:8000/v1", True),
        ("gpu.lan:8000", "http://gpu.lan.evil.example:8000/v1", False),
        ("gpu.lan:443", "https://gpu.lan/v1", True),
    ],
)
async def test_what_the_operator_allows_is_open_to_the_letter(entry: str, url: str, opened: bool) -> None:
    guard = SsrfGuard(allowed=[entry], resolve=answering(["10.0.0.5"]))
    if opened:
        assert await guard.check_addresses(url)
    else:
        with pytest.raises(UserError, match="may not use"):
            await guard.check_addresses(url)


def node(guard: SsrfGuard, url: str) -> TemplateNode:
    """A node as one that is added at run time is made."""
    config = TemplateConfig(
        kind="template",
        name="any",
        models=["m"],
        url=url,
        body={"input": "{USER_PROMPT}"},
        deadlines=Deadlines(connect=5),
    )
    return TemplateNode(config, secret=lambda _: None, transport=guard.transport(url))


async def ask(made: TemplateNode) -> str:
    return "".join([chunk.text async for chunk in made.stream(Call("1", "m", None, "hi"))])


async def test_a_name_that_turns_to_this_machine_between_check_and_connection_gets_nothing(server: AnyServer) -> None:
    port = server.url.rpartition(":")[2]
    guard = SsrfGuard(loopback=True, resolve=answering([PUBLIC], ["127.0.0.1"]))
    url = f"http://rebind.example:{port}/plain"
    await guard.check_addresses(url)
    made = node(guard, url)
    with pytest.raises(ConnectError, match=r"127\.0\.0\.1"):
        await ask(made)
    await made.close()
    assert server.asked == []


async def test_the_connection_goes_to_the_address_that_was_checked_under_the_name(server: AnyServer) -> None:
    port = server.url.rpartition(":")[2]
    guard = SsrfGuard(allowed=[f"models.lan:{port}"], resolve=answering(["127.0.0.1"]))
    made = node(guard, f"http://models.lan:{port}/plain")
    await ask(made)
    await made.close()
    assert server.asked[0].headers["host"] == f"models.lan:{port}"


async def test_a_literal_address_is_checked_at_every_request(server: AnyServer) -> None:
    made = node(SsrfGuard(loopback=True), f"{server.url}/plain")
    assert await ask(made)
    made._url = "http://169.254.169.254/{USER_PROMPT}"
    with pytest.raises(ConnectError, match="metadata address"):
        await ask(made)
    made._url = "http://93.184.215.14/{USER_PROMPT}"
    with pytest.raises(ConnectError, match="is not the address of this node"):
        await ask(made)
    await made.close()


async def test_requests_below_the_client_are_checked_as_well(server: AnyServer) -> None:
    transport = SsrfGuard(loopback=True).transport(server.url)
    for base, words in [
        ("http://169.254.169.254", "metadata address"),
        (f"http://{PUBLIC}", "is not the address of this node"),
    ]:
        with pytest.raises(httpx.ConnectError, match=words):
            await http.open_response(transport, httpx.Request("POST", f"{base}/plain", json={}), node="any")
    request = httpx.Request("POST", f"{server.url}/plain", json={"input": "hi"})
    async with aclosing(await http.open_response(transport, request, node="any")) as response:
        assert response.status_code == 200
    await transport.aclose()


async def test_a_proxy_of_the_environment_is_not_asked(server: AnyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    made = node(SsrfGuard(loopback=True), f"{server.url}/plain")
    assert await ask(made)
    await made.close()
