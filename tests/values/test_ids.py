"""Identifiers sort as they were made, whatever the clock does."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from herding.values.ids import Sequence, new_id


def test_ids_of_one_moment_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_000_000_000)
    made = [Sequence().new()] + [new_id() for _ in range(70_000)]
    assert made[1:] == sorted(set(made[1:]))


def test_a_clock_that_is_set_back_does_not_turn_the_order_around(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, times = Sequence(), iter([5_000_000_000, 1_000_000_000, 5_000_000_000, 6_000_000_000])
    monkeypatch.setattr(time, "time_ns", lambda: next(times))
    made = [ids.new() for _ in range(4)]
    assert made == sorted(made)
    assert made[3].startswith(f"{6000 << 16:016x}")


def test_ids_hold_32_digits_and_differ_between_processes_and_threads() -> None:
    here, there = Sequence(), Sequence()
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda number: (here, there)[number % 2].new(), range(4_000)))
    assert len(set(made)) == len(made)
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)
