"""The sample generator: seeded, and split so that evaluation sees nothing of training."""

from __future__ import annotations

import json
import random
import re
from itertools import islice

import pytest

from training.cria import jay, small_tasks
from training.cria.entities import EntityWriter
from training.cria.generate import WEIGHTS, Generator, render
from training.cria.names import Names, is_held_out


def test_the_same_seed_makes_the_same_samples() -> None:
    assert list(islice(Generator(3), 60)) == list(islice(Generator(3), 60))
    assert list(islice(Generator(3), 60)) != list(islice(Generator(4), 60))


@pytest.mark.parametrize("task", list(WEIGHTS))
def test_every_task_has_samples_that_end_with_an_answer(task: str) -> None:
    for held_out in (False, True):
        sample = Generator(5, held_out=held_out).sample(task)
        assert sample.task == task
        assert sample.messages[-1].role == "assistant"
        assert sample.answer


def test_invented_names_of_training_and_evaluation_are_disjoint() -> None:
    seen = {Names(random.Random(seed), held_out=False).invented() for seed in range(400)}
    kept = {Names(random.Random(seed), held_out=True).invented() for seed in range(400)}
    assert not seen & kept
    assert all(map(is_held_out, kept))


def test_entity_texts_of_training_and_evaluation_are_disjoint() -> None:
    training = EntityWriter(random.Random(1), held_out=False)
    evaluation = EntityWriter(random.Random(1), held_out=True, reserved=True)
    assert not {training.sample().text for _ in range(500)} & {evaluation.sample().text for _ in range(500)}


def test_entities_stand_in_the_text_in_the_asked_order() -> None:
    writer = EntityWriter(random.Random(2), held_out=False)
    for _ in range(300):
        sample = writer.sample()
        assert tuple(json.loads(sample.answer_json())) == sample.categories
        assert all(entity in sample.text for found in sample.answer.values() for entity in found)
        assert not re.search(r"[{}|\[\]]", sample.text)


def test_comments_keep_the_contract_of_their_band() -> None:
    writer = jay.JayWriter(random.Random(3))
    for _ in range(500):
        error, attempts = writer.values()
        comment = writer.comment(error, attempts)
        assert comment.endswith(f" {jay.MARKER}")
        assert len(comment.split()) - 1 <= jay.MAX_WORDS
        assert len(comment) - len(jay.MARKER) <= 160


@pytest.mark.parametrize(
    ("error", "band"),
    [(0, "celebrate"), (449.99, "celebrate"), (450, "encourage"), (2000, "encourage"), (2000.5, "tease")],
)
def test_bands_have_the_borders_of_the_prompt(error: float, band: str) -> None:
    assert jay.band_of(error) == band


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (19, "nineteen"),
        (42, "forty-two"),
        (312, "three hundred and twelve"),
        (1005, "one thousand and five"),
    ],
)
def test_numbers_in_words(number: int, words: str) -> None:
    assert small_tasks.in_words(number) == words


def test_rendering_does_not_scan_inserted_text() -> None:
    assert render("{{a}} {{b}}", {"a": "{{b}}", "b": "x"}) == "{{b}} x"
