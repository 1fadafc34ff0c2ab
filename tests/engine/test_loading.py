"""Loading and changing models in a real engine process."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
from pathlib import Path

import pytest


def load(engine, model: str) -> list[dict[str, object]]:
    return engine.events("/load", {"model": model})


@pytest.fixture(autouse=True)
def _tiny_is_back(engine):
    yield
    if engine.wait_for(lambda status: status["loading"] is None)["model"] != "test/tiny":
        assert load(engine, "test/tiny")[-1]["type"] == "done"


def test_another_model_takes_the_place_and_progress_is_told(engine):
    events = load(engine, "test/other")
    assert events[-1] == {"type": "done", "model": "test/other"}
    stages = [event["stage"] for event in events[:-1]]
    assert {"reading tokenizer", "reading weights", "starting"} <= set(stages)
    fractions = [event["fraction"] for event in events[:-1] if event["stage"] == "reading weights"]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.9
    status = engine.status()
    assert (status["model"], status["chat"], status["loading"]) == ("test/other", False, None)
    refused = engine.client.post("/generate", json={"messages": [{"role": "user", "content": "x"}]})
    assert (refused.status_code, refused.json()["error"]["type"]) == (422, "no_chat_template")
    assert engine.generate(text="x", parameters={"max_tokens": 3})[1]["type"] == "done"


def test_when_a_model_fails_the_earlier_one_comes_back(engine):
    before = engine.generate(text="same", parameters={"max_tokens": 20})
    last = load(engine, "test/broken")[-1]
    assert (last["type"], last["error_type"]) == ("error", "load_failed")
    assert "'test/tiny' is loaded again" in last["message"]
    status = engine.status()
    assert (status["state"], status["model"]) == ("ready", "test/tiny")
    assert "Can't load" in status["error"]
    assert engine.generate(text="same", parameters={"max_tokens": 20}) == before


def test_a_model_that_is_not_there_does_not_disturb_the_loaded_one(engine):
    last = load(engine, "test/missing")[-1]
    assert last["error_type"] == "load_failed"
    assert engine.status()["model"] == "test/tiny"


def test_only_offered_models_are_loaded(engine):
    response = engine.client.post("/load", json={"model": "someone/else"})
    assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found")


def test_running_answers_end_before_the_change_and_a_second_load_is_refused(engine, slow_body):
    ends = []
    asking = threading.Thread(target=lambda: ends.append(engine.generate(**slow_body)[1]))
    asking.start()
    engine.wait_for(lambda status: status["active"] == 1)
    with engine.client.stream("POST", "/load", json={"model": "test/other"}) as response:
        second = engine.new_client().post("/load", json={"model": "test/tiny"})
        assert (second.status_code, second.json()["error"]["type"]) == (409, "busy")
        events = [json.loads(line[6:]) for line in response.iter_lines() if line]
    asking.join()
    assert ends[0]["type"] == "done"
    assert events[-1]["type"] == "done"


def test_a_load_goes_on_when_its_follower_leaves(engine):
    with engine.client.stream("POST", "/load", json={"model": "test/other"}) as response:
        lines = response.iter_lines()
        next(lines)
    assert engine.wait_for(lambda status: status["loading"] is None)["model"] == "test/other"


def test_status_answers_while_a_model_is_changed(engine):
    loading = threading.Thread(target=load, args=(engine, "test/other"))
    loading.start()
    meanwhile = []
    while loading.is_alive():
        meanwhile.append(engine.status()["loading"])
    assert meanwhile.count("test/other") >= 5


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
