"""Nodes behind a private certificate authority and an outbound proxy."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from herding.errors import ConfigError, ConnectError, UserError
from herding.main import assemble
from herding.nodes.base import BuildContext
from herding.nodes.network import Network
from herding.nodes.openai import OpenAIConfig
from herding.nodes.spec import read_spec
from herding.nodes.ssrf_guard import SsrfGuard
from herding.settings import Settings
from herding.values import Call, Message
from tests.nodes.test_ssrf_guard import PUBLIC, answering
from tests.support.outbound import HOST, Upstream, http_proxy, tls_upstream


async def said(base_url: str, network: Network, *, context: dict[str, Any] | None = None, **config: Any) -> str:
    """What the server answers to a node with this configuration."""
    fields = {"kind": "openai", "name": "n", "base_url": f"{base_url}/v1", "models": ["m"], "stream": False}
    built = OpenAIConfig.model_validate({**fields, **config})
    node = built.build(BuildContext(secret=lambda _: None, network=network, **(context or {})))
    try:
        async with aclosing(node.stream(Call("id", "m", messages=(Message("user", "hi"),)))) as chunks:
            return "".join([chunk.text async for chunk in chunks])
    finally:
        await node.close()


def authority_file(folder: Path, upstream: Upstream) -> str:
    path = folder / "ca.pem"
    upstream.authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.mark.parametrize("way", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "ssl_cert_file", "ca_file"])
async def test_a_private_authority(tmp_path: Path, way: str) -> None:
    async with tls_upstream() as upstream:
        url, path = f"https://localhost:{upstream.port}", authority_file(tmp_path, upstream)
        with pytest.raises(ConnectError, match="set ca_file of the node, or SSL_CERT_FILE"):
            await said(url, Network())
        if way == "ca_file":
            assert await said(url, Network(), ca_file=path) == "private"
        else:
            assert await said(url, Network.from_environment({way: path})) == "private"


@pytest.mark.parametrize("way", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "proxy"])
async def test_a_proxy_to_a_server_with_tls(tmp_path: Path, way: str) -> None:
    async with tls_upstream() as upstream, http_proxy() as proxy:
        url, path = f"https://{HOST}:{upstream.port}", authority_file(tmp_path, upstream)
        environment = {"SSL_CERT_FILE": path} | ({way: proxy.url} if way != "proxy" else {})
        network = Network.from_environment(environment)
        config = {"proxy": proxy.url} if way == "proxy" else {}
        assert await said(url, network, **config) == "private"
        assert proxy.asked == [f"CONNECT {HOST}:{upstream.port} HTTP/1.1"]
        assert "authorization" not in proxy.heads[0].lower()


async def test_a_proxy_to_a_server_without_tls() -> None:
    async with tls_upstream(tls=False) as upstream, http_proxy() as proxy:
        network = Network.from_environment({"HTTP_PROXY": proxy.url.removeprefix("http://")})
        assert await said(f"http://{HOST}:{upstream.port}", network) == "private"
        assert proxy.asked == [f"POST http://{HOST}:{upstream.port}/v1/chat/completions HTTP/1.1"]


async def test_a_proxy_with_a_password_and_one_that_refuses(tmp_path: Path) -> None:
    async with tls_upstream() as upstream, http_proxy(password="s3cret") as proxy:
        url = f"https://{HOST}:{upstream.port}"
        config = {"ca_file": authority_file(tmp_path, upstream)}
        network = Network.from_environment({"HTTPS_PROXY": f"http://me:s3cret@127.0.0.1:{proxy.port}"})
        assert await said(url, network, **config) == "private"
        with pytest.raises(ConnectError, match="the proxy responded with HTTP 407") as caught:
            await said(
                url, Network.from_environment({"HTTPS_PROXY": f"http://me:wrong@127.0.0.1:{proxy.port}"}), **config
            )
        assert "wrong" not in caught.value.message
        assert not any("authorization: basic" in head.lower() for head in upstream.heads)
        with pytest.raises(ConnectError):
            await said(url, Network(proxies={"https": "http://127.0.0.1:1"}), **config)


async def test_this_machine_is_never_reached_through_the_proxy_of_the_environment(tmp_path: Path) -> None:
    async with tls_upstream(tls=False) as upstream, http_proxy() as proxy:
        network = Network.from_environment({"HTTP_PROXY": proxy.url, "ALL_PROXY": proxy.url})
        for host in ("127.0.0.1", "localhost"):
            assert await said(f"http://{host}:{upstream.port}", network) == "private"
        assert proxy.asked == []
        assert await said(f"http://127.0.0.1:{upstream.port}", Network(), proxy=proxy.url) == "private"
        assert len(proxy.asked) == 1  # an option of the node counts


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("*", "a.example", True),
        ("a.example", "a.example", True),
        ("a.example", "b.a.example", True),
        (".a.example", "b.a.example", True),
        ("*.a.example", "b.a.example", True),
        ("a.example", "ba.example", False),
        ("A.EXAMPLE , x", "a.example", True),
        ("a.example:443", "a.example", False),
        ("a.example:8443", "a.example", True),
        ("10.0.0.0/8", "10.2.3.4", True),
        ("10.0.0.0/8", "11.2.3.4", False),
        ("10.2.3.4", "10.2.3.4", True),
        ("fd00::/8", "[fd00::1]", True),
        ("", "127.0.0.9", True),
        ("", "[::1]", True),
        ("", "app.localhost", True),
        ("", "a.example", False),
    ],
)
def test_hosts_without_a_proxy(no_proxy: str, host: str, direct: bool) -> None:
    network = Network.from_environment({"https_proxy": "http://proxy:3128", "NO_PROXY": no_proxy})
    assert (network.proxy_of(f"https://{host}:8443/v1") is None) is direct


def test_each_scheme_has_its_proxy() -> None:
    environment = {"HTTP_PROXY": "upper:1", "http_proxy": "lower:1", "HTTPS_PROXY": "https://tls:2", "all_proxy": ""}
    network = Network.from_environment(environment)
    assert network.proxy_of("http://a.example") == "http://lower:1"
    assert network.proxy_of("https://a.example") == "https://tls:2"
    assert Network.from_environment({"ALL_PROXY": "http://x:1"}).proxy_of("https://a.example") == "http://x:1"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "socks5://me:hidden@proxy:1080"),
        ("HTTP_PROXY", "http://"),
        ("ALL_PROXY", "http://me:hidden@proxy:port"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("SSL_CERT_FILE", __file__),
        ("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem"),
        ("SSL_CERT_DIR", "/nowhere"),
    ],
)
def test_what_is_wrong_is_named_with_its_variable_and_no_password(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable) as caught:
        Network.from_environment({variable: value})
    assert "hidden" not in caught.value.message


@pytest.mark.parametrize("config", [{"ca_file": "/nowhere/ca.pem"}, {"proxy": "socks5://x:1"}])
def test_what_is_wrong_in_the_nodes_file_is_named(config: dict[str, str]) -> None:
    fields = {"kind": "openai", "name": "n", "base_url": "https://a.example/v1", "models": ["m"], **config}
    with pytest.raises(ValueError, match=next(iter(config))):
        OpenAIConfig.model_validate(fields)


@pytest.mark.parametrize("field", ["ca_file", "proxy"])
def test_a_node_that_is_added_at_run_time_names_neither(field: str) -> None:
    fields = {"kind": "openai", "name": "n", "base_url": "https://a.example/v1", "models": ["m"], field: "/etc/passwd"}
    with pytest.raises(UserError, match="only allowed in the nodes file"):
        read_spec(fields, {})


async def test_a_guarded_node_behind_a_proxy_is_checked_before_each_request(tmp_path: Path) -> None:
    async with tls_upstream() as upstream, http_proxy() as proxy:
        url = f"https://{HOST}:{upstream.port}"
        network = Network(proxies={"https": proxy.url}, ca_file=authority_file(tmp_path, upstream))
        guard = SsrfGuard(network=network, resolve=answering([PUBLIC], ["10.0.0.5"], []))
        transport = {"transport": guard.transport(url)}
        assert await said(url, Network(), context=transport) == "private"
        with pytest.raises(ConnectError, match="private network"):
            await said(url, Network(), context={"transport": guard.transport(url)})
        assert len(proxy.asked) == 1
        assert await said(url, Network(), context={"transport": guard.transport(url)}) == "private"  # the proxy decides
        with pytest.raises(UserError, match="private network"):
            guard.transport("https://10.0.0.5/")


async def test_the_app_takes_both_from_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with tls_upstream() as upstream, http_proxy() as proxy:
        monkeypatch.setenv("SSL_CERT_FILE", authority_file(tmp_path, upstream))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        nodes = tmp_path / "nodes.yaml"
        nodes.write_text(
            f"nodes:\n  - {{kind: openai, name: n, base_url: 'https://{HOST}:{upstream.port}/v1', models: [m]}}\n"
        )
        (tmp_path / "prompts").mkdir()
        settings = Settings(home=tmp_path, prompts=tmp_path / "prompts", nodes=nodes)
        async with assemble(settings) as parts:
            assert (await parts.fleet["n"].status()).state == "ready"
    assert proxy.asked
