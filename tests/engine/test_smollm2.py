"""The packaged SmolLM2 beside the bundled model, in one engine process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.conftest import Child, start_engine
from tests.support.smollm2 import CACHE, SMOLLM2, smollm2

CRIA = "herding/cria"
USERS = 8
GIB = 2**30

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pair() -> Iterator[Child]:
    smollm2()
    child = start_engine("--model", CRIA, "--model", SMOLLM2, "--cache", str(CACHE), "--memory", "8GB")
    child.wait_for(lambda status: all(one["state"] == "loaded" for one in status["models"]))
    yield child
    child.end()


def ask(engine: Child, model: str, text: str, tokens: int = 60) -> tuple[str, dict[str, Any]]:
    messages = [{"role": "user", "content": text}]
    parameters = {"max_tokens": tokens, "temperature": 0}
    return engine.generate(model=model, messages=messages, parameters=parameters)


def test_the_converted_model_is_kept_and_read_from_there() -> None:
    folder = smollm2()
    assert folder.parent == CACHE
    assert smollm2() == folder
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= {
        file.name for file in folder.iterdir()
    }


def test_it_answers_like_a_real_model(pair: Child) -> None:
    text, done = ask(pair, SMOLLM2, "What is the capital of France?")
    assert "Paris" in text
    assert done["finish_reason"] == "stop"
    assert done["usage"]["input_tokens"] > 20


def test_both_models_stream_at_once_to_eight_users_in_less_than_a_gibibyte(pair: Child) -> None:
    answers: list[tuple[str, str, dict[str, Any]]] = []

    def user(number: int) -> None:
        model = CRIA if number % 4 == 3 else SMOLLM2
        answers.append((model, *ask(pair, model, f"Give me {number + 2} tips for a good night's sleep.", 200)))

    threads = [threading.Thread(target=user, args=(number,)) for number in range(USERS + 2)]
    for thread in threads:
        thread.start()
    both = pair.wait_for(lambda status: status["active"] > 2)
    for thread in threads:
        thread.join()
    assert len(answers) == USERS + 2
    assert all(text and done["type"] == "done" for _, text, done in answers)
    assert both["memory"]["used"] < GIB
    pair.wait_for(lambda status: status["active"] == 0)
    used = pair.wait_for(lambda status: status["system"]["process_memory"] > 0)["system"]["process_memory"]
    assert used < GIB, f"{used / 2**20:.0f} MiB"
