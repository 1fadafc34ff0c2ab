"""The last requests of one prompt with their stars, in the order in which the requests came."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from herding.routing.quality import Sample, Targets, signals
from herding.routing.success_share import fault

Place = tuple[int, str, str]
"""Where a sample stands: its time, its request, its model."""


@dataclass(slots=True)
class Count:
    """What one model did in the window, every request alike. `stars` adds up, `squares` their squares."""

    requests: int = 0
    failed: int = 0
    checks_passed: int = 0
    checks_failed: int = 0
    rated: int = 0
    stars: int = 0
    squares: int = 0

    def sample(self, sample: Sample, sign: int) -> None:
        """Counts a sample in (`sign` 1) or out (-1)."""
        self.requests += sign
        self.failed += sign * (not sample.ok)
        self.checks_passed += sign * (sample.checks_passed is True)
        self.checks_failed += sign * (sample.checks_passed is False)

    def rating(self, stars: int, sign: int) -> None:
        """Counts the stars of one rater in (`sign` 1) or out (-1)."""
        self.rated += sign
        self.stars += sign * stars
        self.squares += sign * stars * stars


class Vote(NamedTuple):
    """The stars of one rater on an answer of a model; `at` is when its request came."""

    principal: str
    model: str
    stars: int
    at: int


class Window:
    """The newest `most` samples of a prompt. What it holds depends on the samples alone, not on when they were told.

    The signals of a sample are worked out once, for `targets`. `totals` are the counts of all windows by model, which
    this one adds itself to. `revision` changes with samples and stars, `votes_revision` with stars that are given,
    changed or taken back.
    """

    def __init__(self, totals: dict[str, Count], most: int) -> None:
        self._totals, self._most = totals, most
        self.counts: dict[str, Count] = {}
        self.models: dict[str, int] = {}
        self.samples: list[Sample] = []
        self.at, self.model, self.ok = array("q"), array("i"), array("b")
        self.worth, self.faults = array("d"), array("d")
        self.targets = Targets()
        self.since = 0
        self.revision = self.votes_revision = 0
        self._places: list[Place] = []
        self._of: dict[str, dict[str, Sample]] = {}
        self._stars: dict[str, dict[str, int]] = {}

    def add(self, sample: Sample) -> list[str]:
        """Takes a sample in; one of the same request and model goes. Answers the requests that fell out for it."""
        if sample.at < self.since:
            return []
        before = self._of.get(sample.request_id, {})
        stars = dict(self._stars.get(sample.request_id, {}))
        self._clear_stars(sample.request_id)
        if sample.model in before:
            self._take(_place(before[sample.model]))
        self._put(sample)
        for principal, given in stars.items():
            self.rate(sample.request_id, principal, given)
        self.revision += 1
        return [self._drop_oldest()] if len(self.samples) > self._most else []

    def rate(self, request_id: str, principal: str, stars: int | None) -> None:
        """Notes or changes the stars of a rater on a request in the window; None takes them back."""
        answered = self._answered(request_id)
        given = self._stars.setdefault(request_id, {})
        old = given.pop(principal, None)
        if stars is not None:
            given[principal] = stars
        if not given:
            del self._stars[request_id]
        for count in self._count(answered) if answered else ():
            if old is not None:
                count.rating(old, -1)
            if stars is not None:
                count.rating(stars, 1)
        self.revision += 1
        self.votes_revision += 1

    def reset(self, at: int) -> list[str]:
        """Forgets what came before `at` (ms) and takes no such sample any more; answers the requests that went."""
        self.since = max(self.since, at)
        gone = []
        while self.samples and self.samples[0].at < at:
            gone.append(self._drop_oldest())
        self.revision += 1
        self.votes_revision += 1
        return gone

    def aim(self, targets: Targets) -> None:
        """Judges the samples by `targets` from now on."""
        if targets != self.targets:
            self.targets = targets
            self.worth = array("d", (signals(sample, targets) for sample in self.samples))
            self.faults = array("d", (fault(sample, targets) for sample in self.samples))
            self.revision += 1

    def holds(self, request_id: str) -> bool:
        """Whether some sample of the request is in the window."""
        return request_id in self._of

    def votes(self) -> Iterator[Vote]:
        """The stars on answers, the newest request first and the raters of one request by name."""
        for sample in reversed(self.samples):
            given = self._stars.get(sample.request_id)
            if given and self._answered(sample.request_id) is sample:
                for principal in sorted(given):
                    yield Vote(principal, sample.model, given[principal], sample.at)

    def stars(self, sample: Sample) -> tuple[int, ...]:
        """The stars on the answer that `sample` is of; none where that model failed."""
        if self._answered(sample.request_id) is not sample:
            return ()
        return tuple(self._stars.get(sample.request_id, {}).values())

    def _answered(self, request_id: str) -> Sample | None:
        """The sample of the model that answered: stars are about that one."""
        return next((sample for sample in self._of.get(request_id, {}).values() if sample.ok), None)

    def _count(self, sample: Sample) -> tuple[Count, Count]:
        return self.counts.setdefault(sample.model, Count()), self._totals.setdefault(sample.model, Count())

    def _put(self, sample: Sample) -> None:
        place = _place(sample)
        index = bisect_left(self._places, place)
        self._places.insert(index, place)
        self.samples.insert(index, sample)
        self.at.insert(index, sample.at)
        self.model.insert(index, self.models.setdefault(sample.model, len(self.models)))
        self.ok.insert(index, sample.ok)
        self.worth.insert(index, signals(sample, self.targets))
        self.faults.insert(index, fault(sample, self.targets))
        self._of.setdefault(sample.request_id, {})[sample.model] = sample
        for count in self._count(sample):
            count.sample(sample, 1)

    def _take(self, place: Place) -> None:
        index = bisect_left(self._places, place)
        sample = self.samples[index]
        for column in (self._places, self.samples, self.at, self.model, self.ok, self.worth, self.faults):
            del column[index]
        for count in self._count(sample):
            count.sample(sample, -1)
        of = self._of[sample.request_id]
        del of[sample.model]
        if not of:
            del self._of[sample.request_id]

    def _drop_oldest(self) -> str:
        """Drops the oldest sample, and the stars with it where it is the answer; answers its request.

        That is no change of the stars to those who keep a sum of them: it weighs little, and comes with every request.
        """
        sample, revision = self.samples[0], self.votes_revision
        if self._answered(sample.request_id) in (sample, None):
            self._clear_stars(sample.request_id)
        self.votes_revision = revision
        self._take(self._places[0])
        return sample.request_id

    def _clear_stars(self, request_id: str) -> None:
        for principal in list(self._stars.get(request_id, ())):
            self.rate(request_id, principal, None)


def _place(sample: Sample) -> Place:
    return (sample.at, sample.request_id, sample.model)
