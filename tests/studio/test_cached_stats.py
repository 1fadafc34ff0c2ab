"""Counting that takes long is not done at every look."""

from __future__ import annotations

import pytest

from herding.studio.catalog import CachedStats
from herding.values import PromptStats


class Slow:
    """Counts how often it was asked; each time takes `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.now, self.asked = seconds, 0.0, 0

    def clock(self) -> float:
        return self.now

    async def count(self) -> dict[str, PromptStats]:
        self.now += self.seconds
        self.asked += 1
        return {"a": PromptStats(self.asked)}


@pytest.mark.parametrize(("seconds", "counts"), [(0.01, 3), (0.5, 1)])
async def test_a_quick_count_is_always_new_and_a_slow_one_rests(seconds: float, counts: int) -> None:
    slow = Slow(seconds)
    tally = CachedStats(slow.count, slow.clock)
    for _ in range(3):
        found = await tally.read()
        slow.now += 1
    assert found == {"a": PromptStats(counts)}
    slow.now += 4
    assert await tally.read() == {"a": PromptStats(counts + 1)}
