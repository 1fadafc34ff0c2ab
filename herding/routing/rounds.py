"""Places in rounds: each lane has one place in each of some consecutive rounds."""

from __future__ import annotations

from bisect import bisect_left, insort


class RoundRobin:
    """Sorted places (round, lane), of which at most `span` consecutive rounds are in use at a time.

    The counts of the rounds are kept in a binary indexed tree over a ring (P. Fenwick, "A New Data Structure for
    Cumulative Frequency Tables", 1994), so that a rank takes O(log span + log lanes).
    """

    def __init__(self, span: int) -> None:
        self._size = 1 << max(1, (span - 1).bit_length())
        self._tree = [0] * (self._size + 1)
        self._lanes: dict[int, list[int]] = {}
        self._count = 0
        self.first = 0

    def __len__(self) -> int:
        return self._count

    def add(self, round_: int, lane: int) -> None:
        """Add a place; `round_` is from `first` to less than `first + span`. The only place is in the first round."""
        self.first = self.first if self._count else round_
        insort(self._lanes.setdefault(round_, []), lane)
        self._change(round_, 1)

    def remove(self, round_: int, lane: int) -> None:
        """Remove a place that is there. `first` moves on with the first round that has any."""
        lanes = self._lanes[round_]
        del lanes[bisect_left(lanes, lane)]
        self._change(round_, -1)
        if not lanes:
            del self._lanes[round_]
            while self._count and self.first not in self._lanes:
                self.first += 1

    def head(self) -> tuple[int, int]:
        """The first place, of at least one."""
        return self.first, self._lanes[self.first][0]

    def rank(self, round_: int, lane: int) -> int:
        """How many places come before this one."""
        first, here = self.first % self._size, round_ % self._size
        before = self._sum(here) - self._sum(first) + (self._count if here < first else 0)
        return before + bisect_left(self._lanes[round_], lane)

    def _change(self, round_: int, by: int) -> None:
        self._count += by
        at = round_ % self._size + 1
        while at <= self._size:
            self._tree[at] += by
            at += at & -at

    def _sum(self, end: int) -> int:
        """Places in the slots of the ring before `end`."""
        total = 0
        while end:
            total += self._tree[end]
            end -= end & -end
        return total
