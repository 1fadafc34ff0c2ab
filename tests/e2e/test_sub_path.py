"""The app below a path, behind nginx and Caddy with TLS, as the documentation configures them."""

from __future__ import annotations

import csv
import io
import os
import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trustme
from playwright.sync_api import Browser, expect

from tests import reverse_proxies
from tests.e2e.doors import ADMIN_TOKEN, Admin, bearer, open_app
from tests.e2e.running_app import ROOT, RunningApp, wait_until
from tests.e2e.workbench import LONG, Workbench
from tests.support.ports import free_port

DOCS = ROOT / "docs" / "proxies"
ALIASED = """
name: Aliased
target_models: [echo]
alias: {path: /hello}
variables:
  name: {type: text, default: you}
prompt: "Hello {{name}}"
"""


@dataclass
class Proxied:
    """An app behind a proxy; `url` is its address without the slash at the end."""

    app: RunningApp
    url: str
    authority: ssl.SSLContext

    def client(self, token: str | None = None) -> httpx.Client:
        headers = bearer(token) if token else {}
        return httpx.Client(base_url=self.url, verify=self.authority, headers=headers, trust_env=False, timeout=60)


def needed(name: str) -> str:
    """The path of a proxy; without it the test is skipped, and in CI it fails for nginx."""
    found = reverse_proxies.find(name)
    if found is None:
        message = f"NO {name.upper()}: this test needs it"
        (pytest.fail if os.environ.get("CI") and name == "nginx" else pytest.skip)(message)
    return found


def nginx(home: Path, port: int, app: RunningApp, *, strips: bool = True) -> list[str]:
    """The command of nginx with the documented configuration, on this machine's addresses."""
    text = (DOCS / "nginx.conf").read_text()
    text = text.replace("server 127.0.0.1:7860", f"server 127.0.0.1:{app.port}")
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl").replace("server_name example.com", "")
    text = text.replace("/etc/ssl/example.com.pem", str(home / "tls.pem"))
    text = text.replace("/etc/ssl/example.com.key", str(home / "tls.key"))
    text = text.replace("    ;\n", "")
    if not strips:
        text = text.replace("proxy_pass http://herding/;", "proxy_pass http://herding;")
        text = re.sub(r"proxy_set_header X-Forwarded-\S+ \S+;", "", text)
    (home / "site.conf").write_text(text)
    places = "".join(
        f"{kind}_temp_path {home}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (home / "nginx.conf").write_text(
        f"daemon off; pid {home}/nginx.pid; error_log {home}/nginx.log; worker_processes 1;\n"
        f"{'user root;' if os.geteuid() == 0 else ''} events {{}}\n"
        f"http {{ access_log off; {places} include {home}/site.conf; }}\n"
    )
    return [needed("nginx"), "-p", str(home), "-c", str(home / "nginx.conf"), "-e", str(home / "nginx.log")]


def caddy(home: Path, port: int, app: RunningApp) -> list[str]:
    """The command of Caddy with the documented configuration."""
    text = (DOCS / "Caddyfile").read_text()
    text = text.replace("127.0.0.1:7860", f"127.0.0.1:{app.port}")
    text = text.replace("{\n\tservers", "{\n\tadmin off\n\tauto_https disable_redirects\n\tservers", 1)
    tls = f"\ttls {home}/tls.pem {home}/tls.key\n"
    text = text.replace("example.com {\n", f"https://localhost:{port} {{\n{tls}")
    (home / "Caddyfile").write_text(text)
    return [needed("caddy"), "run", "--adapter", "caddyfile", "--config", str(home / "Caddyfile")]


def serving(home: Path, command: Callable[..., list[str]], **settings: str) -> Iterator[Proxied]:
    app = open_app(home, HERDING_HOST="127.0.0.1", **settings)
    (home / "prompts" / "aliased.yaml").write_text(ALIASED)
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(home / "tls.key")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(home / "tls.pem", append=True)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    port = free_port()
    arguments = command(home, port, app)
    app.start()
    log = (home / "proxy.log").open("wb")
    environment = {**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    process = subprocess.Popen(arguments, stdout=log, stderr=log, env=environment)
    try:
        made = Proxied(app, f"https://localhost:{port}/herding", context)

        def answers() -> bool:
            assert process.poll() is None, (home / "proxy.log").read_text()
            try:
                with made.client() as http:
                    return http.get("/healthz").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(answers, seconds=60, what="the proxy")
        yield made
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()
        app.stop()


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """The app behind each proxy, which sends the path as X-Forwarded-Prefix."""
    command = {"nginx": nginx, "caddy": caddy}[request.param]
    yield from serving(tmp_path_factory.mktemp(request.param), command, HERDING_TRUSTED_PROXIES="1")


@pytest.mark.browser
def test_log_in_run_rate_and_export_below_a_path(proxied: Proxied, chromium: Browser) -> None:
    token = Admin(proxied.app.url).user("ada" + str(proxied.app.port))
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, ignore_https_errors=True)
    context.set_default_timeout(LONG)
    page = context.new_page()
    outside: list[str] = []
    missing: list[str] = []
    page.on("request", lambda sent: None if sent.url.startswith(f"{proxied.url}/") else outside.append(sent.url))
    page.on("response", lambda got: missing.append(got.url) if got.status in (404, 502) else None)
    page.goto(f"{proxied.url}/login")
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible(timeout=LONG)
    assert page.url.startswith(f"{proxied.url}/")
    [cookie] = context.cookies()
    assert (cookie["path"], cookie["secure"], cookie["httpOnly"]) == ("/herding/", True, True)
    bench = Workbench(page, proxied.url).open("greet")
    bench.fill("name", "below a path")
    bench.run()
    bench.expect_status("Succeeded")
    assert bench.answer == "Hello below a path"
    bench.rate_by_keyboard(4)
    bench.open_history()
    with page.expect_download() as exported:
        page.get_by_role("link", name="CSV").click()
    rows = list(csv.reader(io.StringIO(Path(exported.value.path()).read_text(encoding="utf-8-sig"))))
    assert any("below a path" in " ".join(row) for row in rows)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out")).to_be_visible()
    assert page.url.startswith(f"{proxied.url}/login")
    context.close()
    assert [url for url in outside if not url.startswith(("data:", "blob:"))] == []
    assert [url for url in missing if "favicon" not in url] == []


def test_the_api_and_its_description_below_a_path(proxied: Proxied) -> None:
    with proxied.client(ADMIN_TOKEN) as http:
        assert http.get("/hello?name=x").json()["text"] == "Hello x"
        described = http.get("/openapi.json").json()
        assert described["servers"] == [{"url": "/herding"}]
        page = http.get("/docs").text
        for file in re.findall(r'(?:src|href)="(/[^"]+)"', page):
            assert file.startswith("/herding/")
            assert httpx.get(
                proxied.url.removesuffix("/herding") + file, verify=proxied.authority, headers=http.headers
            )
        assert http.get("/v1/nothing").json()["error"]["code"] == "not_found"
        assert http.get("/gradio_api/monitoring").status_code == 404
        assert http.get("/monitoring").status_code == 404
        assert http.post("/v1/chat/completions", content=b"x" * 17_000_000).status_code == 413
    with proxied.client() as http:
        bare = httpx.get(proxied.url, verify=proxied.authority, trust_env=False)
        assert (bare.status_code, bare.headers["location"]) == (307, "/herding/")
        ended = http.get("/", headers={"accept": "text/html", "cookie": "herding_session=token.0.0.0"})
        assert ended.status_code == 200


def test_a_stream_is_not_buffered(proxied: Proxied) -> None:
    body = {"prompt": "greet", "stream": True}
    with proxied.client(ADMIN_TOKEN) as http, http.stream("POST", "/api/v1/infer", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "content-length" not in response.headers
        assert "event: done" in response.read().decode()


def test_a_path_that_is_set_needs_no_trusted_proxy(tmp_path: Path) -> None:
    def keeps(home: Path, port: int, app: RunningApp) -> list[str]:
        return nginx(home, port, app, strips=False)

    for proxied in serving(tmp_path, keeps, HERDING_ROOT_PATH="/herding/"):
        with proxied.client() as http:
            assert http.get("/login").status_code == 200
            refused = http.post("/login", data={"token": "wrong"})
            assert 'action="/herding/login"' in refused.text
            entered = http.post("/login", data={"token": ADMIN_TOKEN})
            assert (entered.status_code, entered.headers["location"]) == (303, "/herding/")
            assert "Path=/herding/;" in entered.headers["set-cookie"]
            assert http.get("/api/v1/me").json()["role"] == "admin"
            config = http.get("/config").json()
            assert config["root"].endswith("/herding")
            out = http.post("/logout")
            assert out.headers["location"] == "/herding/login?out=1"
