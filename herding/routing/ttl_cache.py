"""Results that hold until what they rest on changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class TtlCache(Generic[V]):
    """Keeps the `most` results that were asked for last, each for as long as its revision stays and for `lasts_ms`."""

    def __init__(self, *, most: int, lasts_ms: int) -> None:
        self._most, self._lasts_ms = most, lasts_ms
        self._kept: OrderedDict[Hashable, tuple[Hashable, int, V]] = OrderedDict()

    def get(self, key: Hashable, revision: Hashable, now: int, make: Callable[[], V]) -> V:
        """The result of `make` for `key`; made anew where the kept one has another revision or is old at `now` (ms)."""
        kept = self._kept.get(key)
        if kept is not None and kept[0] == revision and kept[1] <= now < kept[1] + self._lasts_ms:
            self._kept.move_to_end(key)
            return kept[2]
        value = make()
        self._kept[key] = (revision, now, value)
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return value
