"""The real app where everybody can reach it: what strangers try at its doors, as bytes on a socket."""

from __future__ import annotations

import hmac
import json
import os
import re
import socket
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from herding.access import sessions
from herding.access.sessions import Session
from herding.store import sqlite
from tests.e2e.running_app import ROOT, START_SECONDS, RunningApp
from tests.support.database import rows
from tests.support.fakenode import FakeNode, fakenode
from tests.support.ready_process import ReadyProcess

OPERATOR = "canary-of-the-operator-7Q"
SECRETS = {
    "HERDING_ADMIN_TOKEN": OPERATOR,
    "HERDING_NODE_SECRET": "canary-of-the-engines-8R",
    "HERDING_SECRET_KEY": "canary-of-all-the-secrets-that-we-have-9S",
    "UPSTREAM_KEY": "canary-of-the-upstream-5T",
}
ROLES = """
roles:
  guest:
    allow_nodes: ["*"]
    allow_prompts: ["*"]
    allow_api_paths: [/api/v1/infer, /api/v1/usage]
    allow_tabs: [engineer]
  user:
    allow_nodes: ["*"]
    allow_prompts: ["*"]
    allow_api_paths: [/api/v1/infer, /api/v1/usage, /api/v1/nodes, /api/v1/tokens, /v1/chat/completions, /docs]
    allow_tabs: [engineer]
  admin:
    allow_nodes: ["*"]
    allow_prompts: ["*"]
    allow_api_paths: ["*"]
    allow_tabs: ["*"]
    rights: ["*"]
"""
SAY = "name: Say\ntarget_models: [echo]\nvariables: {text: {type: text, default: hello}}\nprompt: '{{text}}'\n"
LEFT = "name: Left\ntarget_models: ['status:401']\nprompt: hi\n"
CROWD = "127.0.0.7"
"""The address that guesses; the others are not to suffer for it."""

API = ("/api/v1/users", "/api/v1/tokens", "/api/v1/roles", "/api/v1/history")
PROTECTED = (*API, "/metrics", "/docs", "/openapi.json")


class Doors:
    """The running app, its people, and all that it ever answered here."""

    def __init__(self, app: RunningApp, upstream: FakeNode) -> None:
        self.app, self.upstream = app, upstream
        self.heard: list[bytes] = []

    def raw(self, request: bytes, *, address: str = "127.0.0.1") -> bytes:
        """What comes back for bytes; the connection is closed afterwards, at the latest with its last response."""
        with socket.create_connection(("127.0.0.1", self.app.port), 10, source_address=(address, 0)) as connection:
            connection.sendall(request)
            answer = b""
            try:
                while not is_last(answer) and len(answer) < 1_000_000 and (piece := connection.recv(65_536)):
                    answer += piece
            except (TimeoutError, ConnectionResetError):
                pass
        self.heard.append(answer)
        return answer

    def line(self, target: str, *more: str, host: str | None = None, method: str = "GET") -> bytes:
        """What comes back for a target as it is written, without any client's help."""
        headers = [f"Host: {host or f'127.0.0.1:{self.app.port}'}", "Connection: close", *more]
        return self.raw("\r\n".join([f"{method} {target} HTTP/1.1", *headers, "", ""]).encode("latin-1"))

    def client(self, token: str | None = None, *, address: str | None = None, **headers: str) -> httpx.Client:
        def note(response: httpx.Response) -> None:
            response.read()
            self.heard.append(repr(response.headers.raw).encode() + response.content)

        if token:
            headers["authorization"] = f"Bearer {token}"
        return httpx.Client(
            base_url=self.app.url,
            headers=headers,
            transport=httpx.HTTPTransport(local_address=address),
            event_hooks={"response": [note]},
            timeout=120,
        )

    def token(self, user: str, role: str = "user") -> str:
        """A token of a new user."""
        with self.client(OPERATOR) as admin:
            assert admin.post("/api/v1/users", json={"id": user, "role": role}).status_code in (201, 422)
            made = admin.post("/api/v1/tokens", json={"user": user})
            self.heard.pop()  # the one answer that may hold it
        assert made.status_code == 201
        text: str = made.json()["token"]
        return text

    def database(self) -> list[str]:
        """All rows, once what earlier tests did is written: texts for the index, and the last uses of tokens."""
        found: list[str] = []
        while found != (found := rows(self.app.home / "herding.sqlite")) or any(map(is_queued, found)):
            time.sleep(1.5)
        return found


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    home = tmp_path_factory.mktemp("home")
    (home / "prompts").mkdir()
    (home / "prompts" / "say.yaml").write_text(SAY)
    (home / "prompts" / "left.yaml").write_text(LEFT)
    (home / "roles.yaml").write_text(ROLES)
    with fakenode() as upstream:
        hosted = {"kind": "openai", "name": "hosted", "base_url": upstream.url, "api_key_env": "UPSTREAM_KEY"}
        models = ["ok", "status:401", "status:500", "error-in-200", "html"]
        nodes = [{"kind": "echo", "name": "echo", "models": ["echo"]}, {**hosted, "models": models}]
        (home / "nodes.yaml").write_text(json.dumps({"nodes": nodes}))
        places = {f"HERDING_{name.upper()}": str(home / f"{name}.yaml") for name in ("nodes", "roles")}
        environment = {"HERDING_HOST": "0.0.0.0", "HERDING_PROMPTS": str(home / "prompts"), **places, **SECRETS}
        app = RunningApp(home, environment=environment, own_interpreter=True).start()
        yield Doors(app, upstream)
        app.stop()


def is_queued(row: str) -> bool:
    """Whether a row of the database waits for the search index."""
    return row.startswith("search_queue ")


def is_last(answer: bytes) -> bool:
    """Whether it is a whole response after which the connection is closed: a refused sender may read it for a while."""
    head, _, body = answer.lower().partition(b"\r\n\r\n")
    length = re.search(rb"\ncontent-length: (\d+)\r\n", head + b"\r\n")
    return b"\nconnection: close" in head and length is not None and len(body) >= int(length[1])


def status(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    return int(found[1]) if found else 0


# Odd ways to write an address

HOSTS = [
    "x/health?",
    "x/#@",
    "x/healthz",
    "x@127.0.0.1",
    "evil.example",
    "127.0.0.1/login",
    "localhost:99999",
    "[::1",
    "*",
    "..",
    "/",
    "?",
    "#",
    "%2f",
    "a b",
    "\xff",
    "x\\healthz",
    "herding,healthz",
    "127.0.0.1:7860:7860",
    "",
]


@pytest.mark.parametrize("path", PROTECTED)
def test_no_host_header_opens_a_protected_route(doors: Doors, path: str) -> None:
    with doors.client(OPERATOR) as admin:
        assert admin.get(path).status_code == 200
    for host in HOSTS:
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1")
        assert status(doors.raw(request)) in (400, 401, 403, 404), host
    two = f"GET {path} HTTP/1.1\r\nHost: a\r\nHost: b/healthz\r\nConnection: close\r\n\r\n".encode()
    assert status(doors.raw(two)) in (400, 403)
    assert status(doors.raw(f"GET {path} HTTP/1.0\r\n\r\n".encode())) in (400, 403)


def spellings(path: str) -> list[str]:
    tail = path.lstrip("/")
    return [
        f"http://127.0.0.1{path}",
        f"http://evil.example{path}",
        f"http://127.0.0.1/healthz?{path}",
        f"//{tail}",
        f"///{tail}",
        f"/{tail}/",
        f"/{tail}//",
        f"/{tail}/.",
        f"/./{tail}",
        f"/x/../{tail}",
        f"/healthz/../{tail}",
        f"/healthz/..%2f{tail}",
        f"/healthz%2f..%2f{tail}",
        f"/login/../{tail}",
        f"/login/..;/{tail}",
        f"/%2e%2e/{tail}",
        "/" + tail.replace("/", "%2f"),
        "/" + tail.replace("/", "%5c"),
        "/" + tail.replace("/", "\\"),
        "/" + tail.replace("/", "//"),
        f"/{tail.upper()}",
        f"/{tail.title()}",
        f"/{tail}?x=/healthz",
        f"/{tail}#/healthz",
        f"/{tail};/healthz",
        f"/{tail}%00",
        f"/{tail}%20",
        f"/{tail}.json",
        f"/gradio_api/../{tail}",
        f"/gradio_api/{tail}",
        f"/docs/..%2f{tail}",
        tail,
        f"?/{tail}",
        f"/%{ord(tail[0]):02x}{tail[1:]}",
    ]


def is_health(answer: bytes) -> bool:
    """Whether it is the answer of the route that is open to all: some spellings do mean that one."""
    return answer.partition(b"\r\n\r\n")[2].startswith(b'{"status":"ok"')


@pytest.mark.parametrize("path", PROTECTED)
def test_no_spelling_of_a_path_opens_a_protected_route(doors: Doors, path: str) -> None:
    for target in spellings(path):
        answer = doors.line(target)
        assert status(answer) in (0, 400, 401, 403, 404, 405, 422, 307, 308) or is_health(answer), target


@pytest.mark.parametrize("path", PROTECTED)
def test_no_header_of_a_proxy_opens_a_protected_route(doors: Doors, path: str) -> None:
    names = ("X-Forwarded-Prefix", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path", "X-Script-Name")
    for name in names:
        for value in ("/healthz", path, "/", "//", "http://127.0.0.1/"):
            for target in (path, "/healthz"):
                answer = doors.line(target, f"{name}: {value}")
                assert status(answer) == (403 if target == path else 200)
                assert target == path or b'"status"' in answer.partition(b"\r\n\r\n")[2]
    for name in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        assert status(doors.line("/api/v1/users", f"{name}: GET", "Content-Length: 0", method="POST")) in (403, 422)
    for name, value in (("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "::1"), ("Forwarded", "for=127.0.0.1")):
        assert status(doors.line(path, f"{name}: {value}")) == 403
    for name in ("X-Forwarded-User", "Remote-User", "X-Remote-User", "X-Principal", "X-Herding-Role", "X-User"):
        assert status(doors.line(path, f"{name}: admin")) == 403


METHODS = ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "X")


@pytest.mark.parametrize("method", METHODS)
def test_no_other_method_opens_a_protected_route(doors: Doors, method: str) -> None:
    for path in PROTECTED:
        answer = doors.line(path, "Content-Length: 0", method=method)
        assert status(answer) in (400, 403, 404, 405, 422), path


# All that is not a route of the API


@pytest.mark.parametrize(
    "path",
    [
        "/docs",
        "/docs/swagger-ui.css",
        "/openapi.json",
        "/redoc",
        "/metrics",
        "/monitoring",
        "/gradio_api/openapi.json",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=config/roles.yaml",
        "/gradio_api/file=http://127.0.0.1:1/",
        "/gradio_api/proxy=https://evil.example/",
        "/gradio_api/stream/x/0/0/playlist.m3u8",
        "/file=/etc/passwd",
        "/static/../app.py",
        "/.env",
        "/data/herding.sqlite",
        "/secret.key",
    ],
)
def test_rooms_beside_the_api_are_closed_to_guests(doors: Doors, path: str) -> None:
    answer = doors.line(path)
    assert status(answer) in (403, 404), answer[:300]
    assert b"root:" not in answer


def test_documents_and_figures_are_for_those_who_may_read_them(doors: Doors) -> None:
    with doors.client(doors.token("reader")) as reader, doors.client(OPERATOR) as admin:
        assert [reader.get(path).status_code for path in ("/docs", "/openapi.json", "/metrics")] == [200, 200, 403]
        assert admin.get("/metrics").status_code == 200


KEY = "Sec-WebSocket-Key: " + "A" * 22 + "=="
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", KEY)


def test_nobody_upgrades_to_a_websocket(doors: Doors) -> None:
    for path in ("/", "/api/v1/users", "/gradio_api/queue/join", "/ws"):
        for more in ((), ("Authorization: Bearer wrong",), ("Origin: https://evil.example",)):
            assert status(doors.line(path, *UPGRADE, *more)) != 101


def test_no_event_of_the_page_tells_a_guest_what_others_did(doors: Doors) -> None:
    """Whichever are called, shown or not; what each needs is checked where the page is tested."""
    with doors.client(OPERATOR) as admin:
        body = {"prompt": "say", "variables": {"text": "what only the operator said"}}
        assert admin.post("/api/v1/infer", json=body).json()["text"] == "what only the operator said"
    with doors.client() as guest:
        events = guest.get("/config").json()["dependencies"]
        assert len(events) > 5
        for event in events:
            path = f"/gradio_api/call/{event.get('api_name')}"
            asked = guest.post(path, json={"data": [None] * len(event["inputs"])})
            told = asked.content
            if asked.status_code == 200:
                told = doors.line(f"{path}/{asked.json()['event_id']}", f"Cookie: {asked.request.headers['cookie']}")
            assert b"what only the operator said" not in told


# Tokens that are none


WRONG = [
    b"' OR 1=1 --",
    b"'; DROP TABLE token; --",
    b"hl_' OR '1'='1'--_" + b"x" * 43,
    b"hl_" + b"0" * 12 + b"_" + b"0" * 43,
    b"admin",
    b"operator",
    OPERATOR.upper().encode(),
    OPERATOR[:-1].encode(),
    b"%00",
    b"\xff\xfe",
    b"x" * 30_000,
]


def test_no_text_in_the_place_of_a_token_gets_in_or_changes_anything(doors: Doors) -> None:
    def sent(token: bytes) -> bytes:
        head = b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "
        return doors.raw(head + token + b"\r\n\r\n", address="127.0.1.1")

    before, said = doors.database(), set()
    assert status(sent(OPERATOR.encode())) == 200
    for token in WRONG:
        answer = sent(token)
        assert status(answer) == 401, token[:99]
        assert b"www-authenticate: Bearer" in answer
        said.add(answer.partition(b"\r\n\r\n")[2])
    assert len(said) == 1
    for bad in (b"a\x00b", b"x" * 1_000_000, b"a\rb"):
        assert status(sent(bad)) in (0, 400, 401, 431)
    assert doors.database() == before


def test_what_the_database_holds_of_a_token_is_no_token(doors: Doors) -> None:
    token = doors.token("hashed")
    public, secret = token.split("_")[1:]
    uri = f"file:{doors.app.home / 'herding.sqlite'}?mode=ro"
    with closing(sqlite.DRIVER.connect(uri, uri=True)) as connection:
        [(digest,)] = connection.execute("SELECT digest FROM token WHERE id = ?", (public,)).fetchall()
    assert digest not in {sha256(secret.encode()).digest(), sha256(token.encode()).digest()}  # it is keyed
    for number, text in enumerate((digest.hex(), f"hl_{public}_{digest.hex()}", f"hl_{public}_{digest.hex()[:43]}")):
        with doors.client(text, address=f"127.0.2.{number + 1}") as client:
            assert client.get("/api/v1/me").status_code == 401
    with doors.client(token) as client:
        assert client.get("/api/v1/me").json()["id"] == "hashed"
    for file in doors.app.home.glob("herding.sqlite*"):
        assert secret.encode() not in file.read_bytes()


def test_whoever_guesses_tokens_has_to_wait_whatever_address_they_claim(doors: Doors) -> None:
    good, known = doors.token("good"), doors.token("known")
    with doors.client(address=CROWD) as crowd:
        assert crowd.get("/api/v1/me", headers={"authorization": f"Bearer {known}"}).status_code == 200
        found = []
        for number in range(45):  # well within the minute after which one may guess again
            claim = f"10.{number}.0.1"
            headers = dict.fromkeys(("x-forwarded-for", "x-real-ip"), claim) | {"forwarded": f"for={claim}"}
            headers["authorization"] = f"Bearer hl_{number:012}_{'x' * 43}"
            found.append(crowd.get("/api/v1/me", headers=headers))
        assert {answer.status_code for answer in found[:30]} == {401}
        assert {answer.status_code for answer in found[30:]} == {429}
        assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in found[30:])
        assert crowd.post("/login", data={"token": "guess"}).status_code == 429
        assert crowd.get("/api/v1/me").json()["role"] == "guest"
        inside = crowd.get("/api/v1/me", headers={"authorization": f"Bearer {known}"})
        assert inside.json()["id"] == "known"
    with doors.client(good, address="127.0.0.8") as elsewhere:
        assert elsewhere.get("/api/v1/me").json()["id"] == "good"


def test_a_wrong_token_takes_about_as_long_whatever_is_wrong(doors: Doors) -> None:
    token = doors.token("timed")

    def took(client: httpx.Client) -> float:
        began = time.perf_counter()
        client.get("/api/v1/me")
        return time.perf_counter() - began

    unknown, wrong = "hl_" + "0" * 12 + "_" + "0" * 43, token[:-1] + ("a" if token[-1] != "a" else "b")
    with doors.client(unknown, address="127.0.3.1") as one, doors.client(wrong, address="127.0.3.2") as other:
        times = [(took(one), took(other)) for _ in range(12)]  # in turns: the machine may be busy for a while
    least_unknown, least_wrong = map(min, zip(*times, strict=True))
    assert abs(least_unknown - least_wrong) < 0.1


# Pages of other origins

ORIGINS: list[dict[str, str]] = [
    {"origin": "null"},
    {"origin": "https://evil.example"},
    {"origin": "http://localhost:3000"},
    {"origin": "http://127.0.0.1:1"},
    {"origin": "http://127.0.0.1.evil.example"},
    {"origin": "file://"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": "http://other.localhost"},
]


@pytest.mark.parametrize("headers", ORIGINS)
def test_a_page_of_another_origin_does_nothing_in_anybodys_name(doors: Doors, headers: dict[str, str]) -> None:
    with doors.client() as browser:
        assert browser.post("/login", data={"token": OPERATOR}).status_code == 303
        assert browser.get("/api/v1/me").json()["role"] == "admin"
        read = browser.get("/api/v1/me", headers=headers)
        assert read.json()["role"] == "guest"
        for path in ("/api/v1/users", "/api/v1/tokens", "/api/v1/history"):
            assert browser.get(path, headers=headers).status_code == 403
        writes = [
            ("POST", "/api/v1/users", {"id": "evil", "role": "admin"}),
            ("POST", "/api/v1/tokens", {"user": "admin"}),
            ("PUT", "/api/v1/roles", {"text": "", "digest": ""}),
            ("DELETE", "/api/v1/history", None),
            ("PATCH", "/api/v1/me", {"opt_out_history_content": True}),
            ("POST", "/api/v1/infer", {"prompt": "say"}),
            ("POST", "/gradio_api/queue/join", {}),
            ("POST", "/login", None),
            ("POST", "/logout", None),
        ]
        answers = [browser.request(method, path, json=body, headers=headers) for method, path, body in writes]
        assert [answer.status_code for answer in answers] == [403] * len(writes)
        asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        for path in ("/api/v1/users", "/api/v1/infer", "/v1/chat/completions", "/", "/gradio_api/queue/join", "/login"):
            answers.append(browser.options(path, headers={**headers, **asks}))
        for answer in [read, *answers]:
            assert "access-control-allow-origin" not in answer.headers
            assert "access-control-allow-credentials" not in answer.headers
        assert browser.get("/api/v1/me").json()["role"] == "admin"  # nobody logged them out


# Sessions

GUESSES = [b"", b"secret", b"changeme", b"herding", b"k" * 32, b"\0" * 32, OPERATOR.encode()]


def test_a_cookie_tells_no_secret_and_is_not_made_by_guessing(doors: Doors) -> None:
    token = doors.token("visitor")
    with doors.client() as browser:
        assert browser.post("/login", data={"token": token}).status_code == 303
        cookie = browser.cookies["herding_session"]
    kind, id, begun, signature = cookie.split(".")
    assert kind == "token"
    for secret in (token, *token.split("_")[1:], *SECRETS.values()):
        assert secret not in cookie
        for part in cookie.split("."):
            assert secret.encode() not in urlsafe_b64decode(part[: len(part) // 4 * 4])
    now = int(time.time())
    for key in (*GUESSES, *(value.encode() for value in SECRETS.values() if value != SECRETS["HERDING_SECRET_KEY"])):
        for made in (key, sha256(key).digest(), hmac.new(key, b"sessions", sha256).digest()):
            for session in (Session("token", id), Session("operator", "0" * 32)):
                with doors.client(cookie=f"herding_session={sessions.sign(session, made, now)}") as client:
                    assert client.get("/api/v1/me").json()["role"] == "guest"
    later = begun[:-1] + ("A" if begun[-1] != "A" else "B")
    for altered in (f"operator.{id}.{begun}.{signature}", f"{kind}.{id}.{later}.{signature}", cookie[:-1]):
        with doors.client(cookie=f"herding_session={altered}") as client:
            assert client.get("/api/v1/me").json()["role"] == "guest"


# Links that lead out

WAYS = [
    "//evil.example",
    "//evil.example/%2e%2e",
    "//evil.example/..",
    "////evil.example",
    "/\\evil.example",
    "/%5cevil.example",
    "/%2f%2fevil.example",
    "/%09/evil.example",
    "/login?next=//evil.example",
    "/login/?next=https://evil.example",
    "/logout",
    "/logout?next=https://evil.example",
    "/login//evil.example",
    "/gradio_api/login?_target_url=https://evil.example",
    "/gradio_api/file=https://evil.example/x",
    "/gradio_api/file=//evil.example/x",
    "/api/v1//evil.example/",
    "/docs/",
    "http://evil.example/login",
    "https://evil.example/",
]


CLAIMS = ((), ("X-Forwarded-Host: evil.example",), ("X-Forwarded-Proto: https", "X-Forwarded-Prefix: //evil.example"))


@pytest.mark.parametrize("target", WAYS)
def test_no_answer_leads_out_of_the_app(doors: Doors, target: str) -> None:
    for claims in CLAIMS:
        for method in ("GET", "POST"):
            head = doors.line(target, *claims, "Content-Length: 0", method=method).partition(b"\r\n\r\n")[0]
            for place in re.findall(rb"(?mi)^(?:location|refresh): *(.*?)\r?$", head):
                assert re.match(rb"/(?![/\\])", place.removeprefix(doors.app.url.encode())), (place, claims)
                assert b"evil" not in place.partition(b"?")[0]


# What stays inside; the last test here, since it looks at all answers of the others


def test_no_secret_is_in_any_log_file_or_answer(doors: Doors) -> None:
    with doors.client(doors.token("asker")) as user, doors.client(OPERATOR) as admin, doors.client() as guest:
        for model in ("ok", "status:401", "status:500", "error-in-200", "html"):
            body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
            for client in (user, admin):
                client.post("/v1/chat/completions", json=body)
                client.post("/v1/chat/completions", json={**body, "stream": True})
        for client in (user, admin, guest):
            client.post("/api/v1/infer", json={"prompt": "left"})
            client.post("/login", data={"token": "wrong canary of a guess"})
            for path in ("", "me", "nodes", "models", "history", "history.csv", "prompts", "roles", "users", "tokens"):
                client.get(f"/api/v1/{path}")
            for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/", "/config", "/nowhere"):
                client.get(path)
    sent = [seen.headers.get("authorization") for seen in doors.upstream.seen]
    assert f"Bearer {SECRETS['UPSTREAM_KEY']}" in sent
    assert not any(OPERATOR in str(seen.headers) for seen in doors.upstream.seen)
    kept = {path: path.read_bytes() for path in doors.app.home.rglob("*") if path.is_file()}
    for name, secret in SECRETS.items():
        assert not [path.name for path, content in kept.items() if secret.encode() in content], name
        assert not [heard[:200] for heard in doors.heard if secret.encode() in heard], name
    assert "wrong canary of a guess" not in doors.app.log.read_text()
    assert len(doors.heard) > 100


# Starting


def start(home: Path, **environment: str) -> tuple[int, str]:
    """Exit status and output of an app that is expected not to start."""
    log = home / "start.log"
    given = {"PATH": os.environ["PATH"], "HERDING_HOME": str(home), "HERDING_PORT": "0", **environment}
    with log.open("wb") as said:
        process = ReadyProcess("herding.main", environment=given, directory=ROOT, stdout=said.fileno())
    return process.wait(START_SECONDS), log.read_text()


BAD_STARTS: dict[str, dict[str, Any]] = {
    "a common token": {"HERDING_ADMIN_TOKEN": "ChangeMe"},
    "a short token": {"HERDING_ADMIN_TOKEN": "k4n4ry!"},
    "a short key": {"HERDING_SECRET_KEY": "k4n4ry-too-short", "HERDING_HOST": "0.0.0.0"},
    "a poor node secret": {"HERDING_NODE_SECRET": "abababababab"},
}


@pytest.mark.parametrize("name", BAD_STARTS)
def test_with_a_secret_that_is_easily_guessed_it_does_not_start(tmp_path: Path, name: str) -> None:
    code, said = start(tmp_path, **BAD_STARTS[name])
    variable, value = next(iter(BAD_STARTS[name].items()))
    assert code == 2
    assert variable in said
    assert f"'{variable}': this secret is too easy to guess" in said
    assert value not in said
    assert "Traceback" not in said


def test_with_half_a_key_file_it_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_bytes(b"half a key")
    code, said = start(tmp_path)
    assert code == 2
    assert "secret.key" in said
    assert "Traceback" not in said
