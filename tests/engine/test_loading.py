"""Loading and unloading models in a real engine process."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest


def load(engine, model: str) -> list[dict[str, object]]:
    return engine.events("/load", {"model": model})


def state_of(engine, model: str) -> dict[str, Any]:
    return next(one for one in engine.status()["models"] if one["id"] == model)


@pytest.fixture(autouse=True)
def _only_tiny_is_loaded(engine):
    yield
    engine.wait_for(lambda status: status["loading"] is None and not status["active"])
    engine.client.post("/unload", json={"model": "test/other"}).raise_for_status()
    assert state_of(engine, "test/tiny")["state"] == "loaded"


def test_another_model_is_loaded_beside_the_first_and_progress_is_told(engine):
    events = load(engine, "test/other")
    assert events[-1] == {"type": "done", "model": "test/other"}
    stages = [event["stage"] for event in events[:-1]]
    assert {"reading tokenizer", "reading weights", "starting"} <= set(stages)
    fractions = [event["fraction"] for event in events[:-1] if event["stage"] == "reading weights"]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.9
    other, tiny = state_of(engine, "test/other"), state_of(engine, "test/tiny")
    assert (other["state"], tiny["state"]) == ("loaded", "loaded")
    memory = engine.status()["memory"]
    assert memory["used"] == other["size"] + tiny["size"]
    assert memory["free"] == memory["budget"] - memory["used"]
    refused = engine.client.post(
        "/generate", json={"model": "test/other", "messages": [{"role": "user", "content": "x"}]}
    )
    assert (refused.status_code, refused.json()["error"]["type"]) == (422, "no_chat_template")
    for model in ("test/other", "test/tiny"):
        assert engine.generate(model=model, text="x", parameters={"max_tokens": 3})[1]["type"] == "done"


def test_a_request_for_a_model_that_is_not_loaded_loads_it(engine):
    assert state_of(engine, "test/other")["state"] == "available"
    assert engine.generate(model="test/other", text="x", parameters={"max_tokens": 3})[1]["type"] == "done"
    assert state_of(engine, "test/other")["state"] == "loaded"


def test_when_a_model_fails_the_loaded_one_keeps_serving(engine):
    before = engine.generate(text="same", parameters={"max_tokens": 20})
    last = load(engine, "test/broken")[-1]
    assert (last["type"], last["error_type"]) == ("error", "load_failed")
    status = engine.status()
    assert (status["state"], status["model"]) == ("ready", "test/tiny")
    assert "model.safetensors is damaged" in status["error"]
    assert "model.safetensors is damaged" in state_of(engine, "test/broken")["error"]
    assert engine.generate(text="same", parameters={"max_tokens": 20}) == before


def test_a_model_that_is_not_there_does_not_disturb_the_loaded_one(engine):
    last = load(engine, "test/missing")[-1]
    assert last["error_type"] == "load_failed"
    assert engine.status()["model"] == "test/tiny"


def test_only_offered_models_are_loaded(engine):
    response = engine.client.post("/load", json={"model": "someone/else"})
    assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found")
    response = engine.client.post("/load", json={"model": "/etc", "from_hub": True})
    assert (response.status_code, response.json()["error"]["type"]) == (422, "invalid_request")


def test_a_model_is_loaded_while_another_one_answers(engine, slow_body):
    ends = []
    asking = threading.Thread(target=lambda: ends.append(engine.generate(**slow_body)[1]))
    asking.start()
    engine.wait_for(lambda status: status["active"] == 1)
    busy = engine.client.post("/unload", json={"model": "test/tiny"})
    assert (busy.status_code, busy.json()["error"]["type"]) == (409, "busy")
    assert load(engine, "test/other")[-1]["type"] == "done"
    assert engine.generate(model="test/other", text="x", parameters={"max_tokens": 3})[1]["type"] == "done"
    asking.join()
    assert ends[0]["type"] == "done"


def test_a_load_goes_on_when_its_follower_leaves(engine):
    with engine.client.stream("POST", "/load", json={"model": "test/other"}) as response:
        lines = response.iter_lines()
        next(lines)
    engine.wait_for(lambda status: status["loading"] is None)
    assert state_of(engine, "test/other")["state"] == "loaded"


def test_what_is_missing_for_quantized_weights_is_named(start, tiny, tmp_path):
    offers = []
    for method in ("gptq", "awq"):
        folder = tmp_path / method
        shutil.copytree(tiny, folder)
        edit(folder / "config.json", quantization_config={"quant_method": method, "bits": 4})
        offers += ["--offer", f"test/{method}={folder}"]
    (tmp_path / "cut").mkdir()
    shutil.copytree(tiny, tmp_path / "cut", dirs_exist_ok=True)
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    child = start(
        "--model", "test/tiny", "--offer", f"test/tiny={tiny}", *offers, "--offer", f"test/cut={tmp_path}/cut"
    )
    child.wait_until_ready()
    assert "pip install gptqmodel" in str(load(child, "test/gptq")[-1]["message"])
    assert "needs an NVIDIA GPU" in str(load(child, "test/awq")[-1]["message"])
    assert load(child, "test/cut")[-1]["error_type"] == "load_failed"
    assert child.generate(model="test/tiny", text="x", parameters={"max_tokens": 3})[1]["type"] == "done"
    packed = start("--model", "test/tiny", "--offer", f"test/tiny={tiny}", "--quantization", "4bit")
    assert "needs an NVIDIA GPU" in packed.wait_until_ready()["error"]


def test_a_small_budget_is_told_in_words(start, tiny):
    child = start("--model", "test/tiny", "--offer", f"test/tiny={tiny}", "--memory", "1MB")
    status = child.wait_until_ready()
    assert status["state"] == "failed"
    assert "memory" in status["error"]


CODE = "from pathlib import Path\nPath({canary!r}).write_text('ran')\n"


@pytest.fixture
def evil(tmp_path: Path, tiny: Path) -> tuple[Path, Path]:
    """A copy of the model whose code, if it ever ran, would leave a canary."""
    folder, canary = tmp_path / "evil", tmp_path / "canary"
    shutil.copytree(tiny, folder)
    (folder / "modeling_evil.py").write_text(CODE.format(canary=str(canary)))
    return folder, canary


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_model_that_brings_code_is_refused_and_runs_nothing(start, evil, name):
    folder, canary = evil
    edit(
        folder / name, model_type="evil", auto_map={"AutoConfig": "modeling_evil.C", "AutoTokenizer": "modeling_evil.T"}
    )
    status = start("--model", "test/evil", "--offer", f"test/evil={folder}").wait_until_ready()
    assert (status["state"], status["model"]) == ("failed", None)
    assert "auto_map" in status["error"]
    assert not canary.exists()


def test_a_supported_model_that_also_brings_code_runs_none_of_it(start, evil):
    folder, canary = evil
    edit(folder / "config.json", auto_map={"AutoConfig": "modeling_evil.C", "AutoModelForCausalLM": "modeling_evil.M"})
    child = start("--model", "test/evil", "--offer", f"test/evil={folder}")
    assert child.wait_until_ready()["state"] == "ready"
    assert child.generate(text="x", parameters={"max_tokens": 3})[1]["type"] == "done"
    assert not canary.exists()


def test_pickled_weights_are_refused_and_not_read(start, evil):
    folder, canary = evil

    class Bomb:
        def __reduce__(self):
            return (Path.write_text, (canary, "ran"))

    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    status = start("--model", "test/evil", "--offer", f"test/evil={folder}").wait_until_ready()
    assert status["state"] == "failed"
    assert "pickle" in status["error"]
    assert not canary.exists()
