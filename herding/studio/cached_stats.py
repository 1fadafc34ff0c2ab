"""How prompts did, counted again each time where that is quick, and now and then where it is not."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

from herding.values import PromptStats

SLOW = 0.2
"""Seconds that counting may take without being put off."""

RESTS = 10
"""A slow count holds for so many times what it took."""

Stats = Mapping[str, PromptStats]


class CachedStats:
    """Asks `count` as seldom as that takes long: a million requests take half a second, and then hold for five."""

    def __init__(self, count: Callable[[], Awaitable[Stats]], clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._clock = count, clock
        self._known: Stats = {}
        self._until = float("-inf")

    async def read(self) -> Stats:
        """The statistics by prompt key."""
        began = self._clock()
        if began < self._until:
            return self._known
        self._known = await self._count()
        ended = self._clock()
        took = ended - began
        self._until = ended + RESTS * took if took > SLOW else float("-inf")
        return self._known
