"""A model from a hub: the engine process fetches it from a server that speaks the hub's protocol."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from herding.engine.errors import LoadError
from herding.engine.fetching import hub_download
from herding.engine.fetching.hub_cache import HubCache
from tests.engine.conftest import Child
from tests.support.fakehub import FakeHub, fakehub

MODEL = "someone/small"


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    with fakehub() as found:
        yield found


def add_unused_tensor(folder: Path) -> None:
    """Make the weights so large that they come in several pieces."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"unused": torch.zeros(750_000)}, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module")
def small(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    shutil.copytree(tiny, folder, dirs_exist_ok=True)
    add_unused_tensor(folder)
    return folder


@pytest.fixture
def folder(small: Path, tmp_path: Path) -> Path:
    """A model with files that could run."""
    made = tmp_path / "repository"
    shutil.copytree(small, made)
    (made / "modeling_extra.py").write_text("raise SystemExit")
    (made / "pytorch_model.bin").write_bytes(b"pickle")
    return made


def settings(hub: FakeHub, cache: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1,localhost"}


def of(child: Child, model: str = MODEL) -> dict[str, Any]:
    return next((one for one in child.status()["models"] if one["id"] == model), {})


def load(child: Child, model: str = MODEL) -> list[dict[str, Any]]:
    return child.events("/load", {"model": model, "from_hub": True})


def begin(child: Child, model: str = MODEL) -> Callable[[], dict[str, Any]]:
    """Begin to load a model; returns a function that waits for the last event."""
    ends: list[dict[str, Any]] = []
    client = child.new_client()

    def follow() -> None:
        with client.stream("POST", "/load", json={"model": model, "from_hub": True}) as response:
            ends.extend(json.loads(line[6:]) for line in response.iter_lines() if line)

    thread = threading.Thread(target=follow)
    thread.start()

    def end() -> dict[str, Any]:
        thread.join(60)
        client.close()
        return ends[-1]

    return end


def test_a_download_is_shown_cancelled_continued_used_and_deleted(start, hub, folder, tmp_path):
    hub.add(MODEL, folder)
    hub.open.clear()
    child = start("--model", "", "--downloads", str(tmp_path / "hub"), **settings(hub, tmp_path / "unused"))
    first, second = begin(child), begin(child)
    child.wait_for(lambda _: (of(child).get("progress") or 0) > 0.3, seconds=40)
    loading = of(child)
    assert (loading["stage"], loading["added"]) == ("downloading", True)
    assert 0 < loading["downloaded"] < loading["download_size"]
    child.client.post("/unload", json={"model": MODEL}).raise_for_status()
    assert [end()["error_type"] for end in (first, second)] == ["load_cancelled", "load_cancelled"]
    left = of(child)
    assert (left["state"], left["on_disk"], left["downloaded"]) == ("available", False, left["files"])
    assert left["downloaded"] > 0.3 * left["download_size"]

    hub.open.set()
    hub.ranges.clear()
    events = load(child)
    assert events[-1] == {"type": "done", "model": MODEL}
    fractions = [event["fraction"] for event in events if event.get("stage") == "downloading"]
    assert fractions[1] > 0.3
    assert fractions == sorted(fractions)
    ((name, first_byte),) = hub.ranges
    assert (name, first_byte > 0) == ("model.safetensors", True)
    assert not {"modeling_extra.py", "pytorch_model.bin"} & set(hub.served)
    assert child.generate(model=MODEL, text="x", parameters={"max_tokens": 3})[1]["type"] == "done"
    assert "downloaded" not in of(child)
    busy = child.client.post("/delete", json={"model": MODEL})
    assert (busy.status_code, "Unload it" in busy.text) == (409, True)

    hub.stop()  # a complete model needs no hub
    child.client.post("/unload", json={"model": MODEL}).raise_for_status()
    assert load(child)[-1]["type"] == "done"
    child.client.post("/unload", json={"model": MODEL}).raise_for_status()
    size = of(child)["files"]
    assert child.client.post("/delete", json={"model": MODEL}).json() == {"model": MODEL, "bytes": size}
    assert not (tmp_path / "hub" / "models--someone--small").exists()
    assert of(child)["on_disk"] is False
    child.client.post("/remove", json={"model": MODEL}).raise_for_status()
    assert of(child) == {}
    refused = child.client.post("/remove", json={"model": "herding/cria"})
    assert (refused.status_code, "configuration" in refused.text) == (422, True)
    hub.start()


@pytest.fixture(scope="module")
def child(hub: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """An engine that opens no model, so that it starts quickly."""
    from tests.engine.conftest import start_engine

    cache = tmp_path_factory.mktemp("cache")
    started = start_engine("--model", "", "--memory", "20MB", **settings(hub, cache))
    yield started
    started.end()


REFUSED = [
    ("gated", {"status": 401, "code": "GatedRepo"}, "is gated (HTTP 401). Accept its license"),
    ("gated-too", {"status": 403, "code": "GatedRepo"}, "is gated (HTTP 403). Accept its license"),
    ("private", {"status": 401}, "no public model 'someone/private' (HTTP 401). Check the id."),
    ("forbidden", {"status": 403}, "no public model 'someone/forbidden' (HTTP 403)"),
    ("broken", {"status": 500}, "the hub answered HTTP 500. Try again later."),
    ("short", {"short": {"model.safetensors"}}, "broke off. Load it again: it goes on where it stopped."),
    ("wrong", {"wrong": {"model.safetensors"}}, "model.safetensors of 'someone/wrong' arrived damaged"),
]


@pytest.mark.parametrize(("name", "facts", "message"), REFUSED, ids=[one[0] for one in REFUSED])
def test_what_the_hub_refuses_or_damages_is_told(child, hub, small, *, name, facts, message):
    hub.add(f"someone/{name}", small, **facts)
    last = load(child, f"someone/{name}")[-1]
    assert (last["type"], last["error_type"]) == ("error", "load_failed")
    assert message in last["message"]
    assert "\n" not in last["message"]
    assert of(child, f"someone/{name}")["error"] == last["message"]


def test_a_model_that_the_hub_does_not_have_is_forgotten_with_its_error(child):
    last = load(child, "someone/absent")[-1]
    assert "The hub has no model 'someone/absent'. Check the id." in last["message"]
    child.client.post("/unload", json={"model": "someone/absent"}).raise_for_status()
    assert of(child, "someone/absent") == {}


def test_a_damaged_file_is_fetched_anew(child, hub, small):
    found = hub.add("someone/mended", small, wrong={"model.safetensors"})
    assert "arrived damaged" in load(child, "someone/mended")[-1]["message"]
    found.wrong.clear()
    hub.ranges.clear()
    assert "arrived damaged" not in load(child, "someone/mended")[-1].get("message", "")
    assert hub.ranges == []


def test_a_model_without_readable_weights_is_refused_before_it_is_downloaded(child, hub, small, tmp_path):
    for name, files, message in (
        ("packed", ("a.Q4.gguf", "a.Q8.gguf"), "has GGUF files only (a.Q4.gguf, a.Q8.gguf)"),
        ("pickled", ("pytorch_model.bin",), "has only pickled weights (pytorch_model.bin)"),
        ("adapter", ("adapter_config.json",), "is an adapter"),
        ("empty", ("README.md",), "has no weights"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(small / "config.json", folder)
        for file in files:
            (folder / file).write_bytes(b"x")
        hub.add(f"someone/{name}", folder)
        hub.served.clear()
        assert message in load(child, f"someone/{name}")[-1]["message"]
        assert hub.served == []


def test_a_model_that_can_never_fit_is_refused_before_it_is_downloaded(child, hub, small, tmp_path):
    folder = tmp_path / "large"
    shutil.copytree(small, folder)
    (folder / "model.safetensors").write_bytes(bytes(21_000_000))
    hub.add("someone/large", folder)
    hub.served.clear()
    last = load(child, "someone/large")[-1]
    assert last["error_type"] == "no_memory"
    assert "weights of 21 MB, and the models of this node may take 20 MB" in last["message"]
    assert hub.served == []


def test_a_hub_that_dies_in_the_middle_is_told_and_the_download_goes_on_later(child, hub, small):
    hub.add("someone/halved", small)
    hub.open.clear()
    end = begin(child, "someone/halved")
    child.wait_for(lambda _: (of(child, "someone/halved").get("progress") or 0) > 0.3, seconds=40)
    hub.stop()
    last = end()
    assert "can't be reached" in last["message"] or "broke off" in last["message"]
    assert of(child, "someone/halved")["downloaded"] > 0
    hub.start()
    hub.open.set()
    hub.ranges.clear()
    load(child, "someone/halved")
    assert hub.ranges[0][1] > 0


def test_a_hub_that_is_away_is_told_with_what_to_do(start, tmp_path):
    model = "HuggingFaceTB/SmolLM2-360M-Instruct"
    child = start("--model", "", "--offer", model, HF_HOME=str(tmp_path))
    last = child.events("/load", {"model": model})[-1]
    assert "the hub can't be reached" in last["message"]


def test_a_full_disk_is_told_before_and_during_a_download(tmp_path, monkeypatch):
    from herding.engine.fetching.program import reason_of

    cache = HubCache(tmp_path)
    monkeypatch.setattr(hub_download, "_list_files", lambda _: ("0" * 40, [("model.safetensors", 10**15, None)]))
    with pytest.raises(LoadError, match=r"Not enough disk space for 'a/b': 1000\.0 TB are to be downloaded"):
        hub_download.download("a/b", lambda *_: None, cache=cache)
    assert cache.unfinished("a/b") is None
    full = OSError(28, "No space left on device")
    assert reason_of(full, "a/b") == "The disk is full while 'a/b' was written. Free some space, then load it again."


def test_the_cache_of_other_programs_is_used_as_far_as_it_is_complete(tmp_path):
    cache = HubCache(tmp_path)
    snapshot = cache.folder("a/b") / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    assert cache.complete("a/b") is None
    for name in ("config.json", "tokenizer.json", "model-1.safetensors"):
        (snapshot / name).write_text("{}")
    assert cache.complete("a/b") == snapshot
    index = {"weight_map": {"x": "model-1.safetensors", "y": "model-2.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    assert cache.complete("a/b") is None
    (snapshot / "model-2.safetensors").write_text("")
    (cache.folder("a/b") / "blobs").mkdir()
    (part := cache.folder("a/b") / "blobs" / "abc.part").write_bytes(b"12345")
    assert cache.complete("a/b") is None
    unfinished = cache.unfinished("a/b")
    assert unfinished is not None
    assert (unfinished.done, unfinished.size) == (5, None)
    part.unlink()
    assert cache.complete("a/b") == snapshot
