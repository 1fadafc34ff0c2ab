"""What waits is taken at once; batches keep a pace only while many come."""

from __future__ import annotations

import time
from itertools import count

import pytest

from herding.store import write_queue
from herding.store.write_queue import LARGEST_BATCH, MANY, PACE_SECONDS, WriteQueue


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each batch was held back, on a clock that stands still."""
    seen = list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(time, "sleep", seen.append)
    return seen


def filled(*jobs: int) -> WriteQueue[int]:
    made: WriteQueue[int] = WriteQueue()
    for job in jobs:
        made.put(job)
    return made


def test_all_that_waits_is_taken_in_its_order() -> None:
    made = filled(1, 2, 3)
    assert made.take() == ([1, 2, 3], True)
    made.put(4)
    made.end()
    assert made.take() == ([4], False)


def test_a_batch_has_an_upper_bound() -> None:
    made = filled(*range(LARGEST_BATCH + 1))
    assert [len(made.take()[0]) for _ in range(2)] == [LARGEST_BATCH, 1]


def test_one_caller_is_never_held_back(waits: list[float]) -> None:
    made: WriteQueue[int] = WriteQueue()
    for number in range(20):
        made.put(number)
        assert made.take() == ([number], True)
    assert waits == []


def test_after_many_the_next_batch_waits_its_turn(waits: list[float]) -> None:
    made = filled(*range(MANY + 1))
    made.take()
    made.put(1)
    made.take()
    assert waits == [pytest.approx(PACE_SECONDS)]


def test_a_slow_batch_is_pace_enough(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count(100)
    monkeypatch.setattr(write_queue.time, "monotonic", lambda: float(next(clock)))
    made = filled(*range(MANY + 1))
    made.take()
    made.put(1)
    assert made.take() == ([1], True)
    assert waits == []
