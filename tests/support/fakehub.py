"""A model hub on loopback: the routes of the Hugging Face hub that a download needs, with the faults of a real one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 100_000
"""Files of more bytes are kept as the hub keeps large ones: known by their SHA-256, and behind a redirect."""

PIECE = 64 * 1024


@dataclass
class Repository:
    """A model: the files of a directory, at a commit. It is refused with `status` and `code`, if there are any.

    `wrong` names files that arrive with other bytes, and `short` those that end early.
    """

    folder: Path
    commit: str = COMMIT
    status: int = 0
    code: str = ""
    token: str = ""
    wrong: set[str] = field(default_factory=set)
    short: set[str] = field(default_factory=set)

    def files(self) -> list[Path]:
        return sorted(file for file in self.folder.iterdir() if file.is_file())


@dataclass
class FakeHub:
    """The hub. `pace` is the bytes a second of large files, 0 for all at once; without `open` they wait at half."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    pace: int = 0
    served: list[str] = field(default_factory=list)
    ranges: list[tuple[str, int]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    port: int = 0
    open: threading.Event = field(default_factory=threading.Event)
    _server: Any = None
    _connections: list[socket.socket] = field(default_factory=list)
    _digests: dict[tuple[Path, float, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.open.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def store_url(self) -> str:
        """Where large files are, which is another host than the hub."""
        return f"http://localhost:{self.port}"

    def add(self, model: str, folder: Path, **facts: Any) -> Repository:
        """Add a model, and return it."""
        self.repositories[model] = Repository(folder, **facts)
        return self.repositories[model]

    def start(self) -> FakeHub:
        """Listen; after a `stop`, at the same port."""
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def process_request(self, request: Any, client_address: Any) -> None:
                hub._connections.append(request)
                super().process_request(request, client_address)

            def handle_error(self, request: Any, client_address: Any) -> None:
                return  # a client that was killed

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Refuse new connections, and break off the open ones."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._connections.clear()

    def digest(self, file: Path, method: str) -> str:
        key = (file, file.stat().st_mtime, method)
        if key not in self._digests:
            self._digests[key] = hashlib.new(method, file.read_bytes()).hexdigest()
        return self._digests[key]


@contextlib.contextmanager
def fakehub() -> Iterator[FakeHub]:
    """Run a hub without models."""
    hub = FakeHub().start()
    try:
        yield hub
    finally:
        hub.open.set()
        hub.stop()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._route()

    def do_HEAD(self) -> None:
        self._route()

    def log_message(self, *_: object) -> None:
        return

    def _route(self) -> None:
        path = urlsplit(self.path).path
        self.hub.requests.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        is_api, is_store = parts[:2] == ["api", "models"], parts[0] == "store"
        model = "/".join(parts[2:4] if is_api else parts[1:3] if is_store else parts[:2])
        found = self.hub.repositories.get(model)
        if found is None:
            return self._refuse(404, "RepoNotFound")
        wanted = f"Bearer {found.token}" if found.token else ""
        if found.status and not (wanted and self.headers.get("Authorization") == wanted):
            return self._refuse(found.status, found.code)
        if is_api:
            return self._describe(model, found, parts[4:])
        file = found.folder / parts[-1]
        if not file.is_file():
            return self._refuse(404, "EntryNotFound")
        if is_store:
            return self._file(found, file, {})
        return self._resolve(model, found, file)

    def _describe(self, model: str, found: Repository, rest: list[str]) -> None:
        if rest[:1] == ["tree"]:
            entries: list[dict[str, Any]] = []
            for file in found.files():
                size = file.stat().st_size
                entry = {"type": "file", "path": file.name, "size": size, "oid": self.hub.digest(file, "sha1")}
                if size > LARGE:
                    entry["lfs"] = {"oid": self.hub.digest(file, "sha256"), "size": size, "pointerSize": 135}
                entries.append(entry)
            return self._send(json.dumps(entries).encode(), {"Content-Type": "application/json"})
        names = [{"rfilename": file.name} for file in found.files()]
        facts = {"id": model, "modelId": model, "sha": found.commit, "private": False, "tags": [], "siblings": names}
        return self._send(json.dumps(facts).encode(), {"Content-Type": "application/json"})

    def _resolve(self, model: str, found: Repository, file: Path) -> None:
        headers = {"X-Repo-Commit": found.commit}
        size = file.stat().st_size
        if size <= LARGE:
            return self._file(found, file, headers | {"ETag": f'"{self.hub.digest(file, "sha1")}"'})
        headers["X-Linked-Etag"] = f'"{self.hub.digest(file, "sha256")}"'
        headers |= {"X-Linked-Size": str(size), "Location": f"{self.hub.store_url}/store/{model}/{file.name}"}
        return self._send(b"", headers, status=302)

    def _file(self, found: Repository, file: Path, headers: dict[str, str]) -> None:
        body = file.read_bytes()
        if file.name in found.wrong:
            body = bytes(len(body))
        first = 0
        if (part := self.headers.get("Range")) and self.command == "GET":
            first = int(part.removeprefix("bytes=").rstrip("-"))
            self.hub.ranges.append((file.name, first))
        if self.command == "GET":
            self.hub.served.append(file.name)
        if first:
            headers = headers | {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"}
        rest = body[first:]
        if file.name in found.short:
            rest = rest[: len(rest) // 2]
        self._send(rest, headers, status=206 if part else 200)

    def _send(self, body: bytes, headers: dict[str, str], *, status: int = 200) -> None:
        with contextlib.suppress(OSError):  # a client that was killed
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self._send_body(body)

    def _send_body(self, body: bytes) -> None:
        hub, half = self.hub, len(body) // 2
        for start in range(0, len(body), PIECE):
            if len(body) > LARGE:
                if start >= half:
                    hub.open.wait(120)
                if hub.pace:
                    time.sleep(PIECE / hub.pace)
            self.wfile.write(body[start : start + PIECE])

    def _refuse(self, status: int, code: str) -> None:
        headers = {"X-Error-Code": code} if code else {}
        self._send(b'{"error":"refused"}', headers | {"Content-Type": "application/json"}, status=status)
