"""A model from a hub: the engine process fetches it from a server that speaks the hub's protocol."""

from __future__ import annotations

import contextlib
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
LARGE = 4_000_000


class Hub(BaseHTTPRequestHandler):
    """One repository, in the directory `folder`."""

    folder: Path
    served: list[str]
    ranges: list[str]
    gate: threading.Event | None
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
        status, first = 200, 0
        if (part := self.headers.get("Range")) and self.command == "GET":
            self.ranges.append(part)
            status, first = 206, int(part.removeprefix("bytes=").rstrip("-"))
        self.send_response(status)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        for name, value in {"Content-Length": str(len(body) - first), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self._send(body[first:])

    def _send(self, body: bytes) -> None:
        """Send a body; the end of a large one waits for the gate, if there is one."""
        with contextlib.suppress(OSError):  # a client that was killed
            if self.gate is None or len(body) < LARGE:
                self.wfile.write(body)
                return
            self.wfile.write(body[:-LARGE])
            self.wfile.flush()
            self.gate.wait(60)
            self.wfile.write(body[-LARGE:])


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture
def hub(tiny: Path, tmp_path: Path) -> Iterator[tuple[str, type[Hub]]]:
    """Its address, and its handler, which has the names of the files that it handed out."""
    folder = tmp_path / "repository"
    shutil.copytree(tiny, folder)
    (folder / "modeling_extra.py").write_text("raise SystemExit")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    handler = type("OneHub", (Hub,), {"folder": folder, "served": [], "ranges": [], "gate": None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()
    thread.join()


def make_large(folder: Path) -> None:
    """Add a tensor that no layer reads, so that the weights come in several pieces."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"unused": torch.zeros(6_500_000)}, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_model_is_fetched_with_progress_and_nothing_that_can_run(start, hub, tmp_path):
    address, handler = hub
    served = handler.served
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


def test_a_download_is_cancelled_and_continued(start, hub, tmp_path):
    address, handler = hub
    make_large(handler.folder)
    handler.gate = threading.Event()
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0"}
    child = start("--model", "", **settings)
    ends = []
    loading = threading.Thread(
        target=lambda: ends.append(child.events("/load", {"model": MODEL, "from_hub": True})[-1])
    )
    loading.start()
    found = lambda status: next((one for one in status["models"] if one["id"] == MODEL), {})  # noqa: E731
    child.wait_for(lambda status: (found(status).get("progress") or 0) > 0.3)
    assert found(child.status())["stage"] == "downloading"
    child.client.post("/unload", json={"model": MODEL}).raise_for_status()
    loading.join()
    assert ends[0]["error_type"] == "load_cancelled"
    assert (found(child.status())["state"], found(child.status())["on_disk"]) == ("available", False)
    handler.gate.set()
    assert child.events("/load", {"model": MODEL})[-1] == {"type": "done", "model": MODEL}
    assert handler.ranges
    assert handler.ranges[-1] != "bytes=0-"
    assert child.generate(model=MODEL, text="x", parameters={"max_tokens": 3})[1]["type"] == "done"


def test_a_hub_that_is_away_is_told_with_what_to_do(start, tmp_path):
    model = "HuggingFaceTB/SmolLM2-360M-Instruct"
    child = start("--model", "", "--offer", model, HF_HOME=str(tmp_path))
    last = child.events("/load", {"model": model})[-1]
    assert "the hub can't be reached" in last["message"]
