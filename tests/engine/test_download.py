"""A model from a hub: the engine process fetches it from a server that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = "someone/small"


class Hub(BaseHTTPRequestHandler):
    """One repository, in the directory `folder`."""

    folder: Path
    served: list[str]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/api/"):
            self._answer(json.dumps(self._describe("/tree/" in path)).encode())
        else:
            self.served.append(path.rpartition("/")[2])
            self._file(path)

    def do_HEAD(self) -> None:
        self._file(urlsplit(self.path).path)

    def log_message(self, *_: object) -> None:
        return

    def _describe(self, tree: bool) -> object:
        files = sorted(file for file in self.folder.iterdir() if file.is_file())
        if not tree:
            names = [{"rfilename": file.name} for file in files]
            return {"id": MODEL, "modelId": MODEL, "sha": COMMIT, "private": False, "tags": [], "siblings": names}
        return [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": _etag(f)} for f in files]

    def _file(self, path: str) -> None:
        file = self.folder / path.rpartition("/")[2]
        if not path.startswith(f"/{MODEL}/resolve/") or not file.is_file():
            self.send_error(404)
            return
        self._answer(file.read_bytes(), {"ETag": f'"{_etag(file)}"', "X-Repo-Commit": COMMIT})

    def _answer(self, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture
def hub(tiny: Path, tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """Its address, and the names of the files it has handed out."""
    folder = tmp_path / "repository"
    shutil.copytree(tiny, folder)
    (folder / "modeling_extra.py").write_text("raise SystemExit")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    handler = type("OneHub", (Hub,), {"folder": folder, "served": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler.served
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_model_is_fetched_with_progress_and_nothing_that_can_run(start, hub, tmp_path):
    address, served = hub
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0"}
    child = start("--model", "", "--offer", MODEL, **settings)
    events = child.events("/load", {"model": MODEL})
    assert events[-1] == {"type": "done", "model": MODEL}
    fractions = [event["fraction"] for event in events[:-1] if event["stage"] == "downloading"]
    assert fractions[0] == 0
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.9
    assert "model.safetensors" in served
    assert not {"modeling_extra.py", "pytorch_model.bin"} & set(served)
    assert child.generate(text="x", parameters={"max_tokens": 3})[1]["type"] == "done"


def test_a_model_that_the_hub_does_not_have_fails_with_a_reason(start, hub, tmp_path):
    settings = {"HF_ENDPOINT": hub[0], "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    child = start("--model", "", "--offer", "someone/absent", **settings)
    last = child.events("/load", {"model": "someone/absent"})[-1]
    assert (last["type"], last["error_type"]) == ("error", "load_failed")
    assert "someone/absent" in last["message"]
