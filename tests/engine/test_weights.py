"""The shipped weights: small, loadable offline, and able to do what the prompts ask."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from training.cria.generate import PromptFiles

PROMPTS = PromptFiles()
MEGABYTE = 1_000_000

# (form kept, right), far below the measured figures of the model card: they catch broken weights, not a bad day.
FLOORS = {
    "entity_recognition": (0.9, 0.3),
    "sentiment": (0.95, 0.8),
    "jay_trainer": (0.9, 0.75),
    "plain_chat": (0.9, 0.7),
}


@pytest.fixture(scope="module")
def evaluate() -> ModuleType:
    """Imported with torch, which takes seconds: every process collects these tests, and one runs them."""
    from training.cria import evaluate

    return evaluate


@pytest.fixture(scope="module")
def cria(evaluate: ModuleType) -> Any:
    return evaluate.Model(evaluate.WEIGHTS_FOLDER)


def test_the_weights_are_small_and_readable_by_everybody(evaluate: ModuleType) -> None:
    files = list(evaluate.WEIGHTS_FOLDER.iterdir())
    assert sum(file.stat().st_size for file in files) <= 16 * MEGABYTE
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in files)


@pytest.mark.parametrize("task", list(FLOORS))
def test_held_out_samples_stay_above_the_floor(evaluate: ModuleType, cria: Any, task: str) -> None:
    samples = evaluate.held_out(task, 20, PROMPTS)
    row = evaluate.measure(cria, task, samples, evaluate.settings_of(task, PROMPTS, greedy=True))
    form, right = FLOORS[task]
    assert row.form / row.count >= form
    assert row.right / row.count >= right


def test_the_tone_of_plain_reviews_is_found(evaluate: ModuleType, cria: Any) -> None:
    samples = evaluate.handmade(PROMPTS)["sentiment"]
    row = evaluate.measure(cria, "sentiment", samples, evaluate.settings_of("sentiment", PROMPTS, greedy=True))
    assert row.right / row.count >= 0.75
