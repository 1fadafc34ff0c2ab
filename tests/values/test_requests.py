"""Values of requests."""

from __future__ import annotations

import re
import time

import pytest

from herding.values import new_id


def test_ids_hold_32_digits_and_sort_as_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the clock stands still, or is set back: the history is sorted by id."""
    times = iter([5_000_000_000, 5_000_000_000, 1_000_000_000, 6_000_000_000])
    made = [new_id() for _ in range(2_000)]
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: next(times))
        made += [new_id() for _ in range(4)]
    made.append(new_id())
    assert made == sorted(set(made))
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)
