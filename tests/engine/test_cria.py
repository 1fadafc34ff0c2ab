"""The bundled model, as a user meets it."""

from __future__ import annotations

import pytest

from herding.engine.model_files import parse_source

pytestmark = pytest.mark.skipif(not parse_source("herding/cria").path.exists(), reason="the weights are not there yet")


def test_it_loads_by_itself_and_answers_a_chat(start):
    child = start()
    status = child.wait_until_ready()
    assert (status["state"], status["model"], status["chat"]) == ("ready", "herding/cria", True)
    assert status["system"]["process_memory"] < 700 * 2**20
    text, done = child.generate(messages=[{"role": "user", "content": "Hello!"}])
    assert text.strip()
    assert done["finish_reason"] in ("stop", "length")
