"""What is known of how models did: for each prompt a window of its last requests and of the stars on them."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from herding.errors import UserError
from herding.routing.quality import Sample, Targets, signals
from herding.routing.success_share import fault

Place = tuple[int, str, str]
"""Where a sample stands: its time, its request, its model."""


@dataclass(slots=True)
class ModelCounts:
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


class SampleWindow:
    """The newest `most` samples of a prompt. What it holds depends on the samples alone, not on when they were told.

    The signals of a sample are worked out once, for `targets`. `totals` are the counts of all windows by model, which
    this one adds itself to. `revision` changes with samples and stars, `votes_revision` with stars that are given,
    changed or taken back.
    """

    def __init__(self, totals: dict[str, ModelCounts], most: int) -> None:
        self._totals, self._most = totals, most
        self.counts: dict[str, ModelCounts] = {}
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

    def _count(self, sample: Sample) -> tuple[ModelCounts, ModelCounts]:
        return self.counts.setdefault(sample.model, ModelCounts()), self._totals.setdefault(sample.model, ModelCounts())

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


def deeds(count: ModelCounts | None, elsewhere: ModelCounts) -> str:
    """One half sentence on what is counted of a model, such as `4.6 stars from 23 ratings; fails 2 % of the time`.

    Where nobody rated it on this prompt, what it did on others counts, and is told.
    """
    here = _deeds(count)
    there = [_stars(elsewhere)] if elsewhere.rated else []
    if elsewhere.failed:
        there.append(f"fails {_percent(elsewhere.failed, elsewhere.requests)} of the time")
    if not there or (count and count.rated):
        return here
    return f"{here}; on other prompts: {', '.join(there)}"


def _deeds(count: ModelCounts | None) -> str:
    if count is None or not count.requests:
        return "nothing is known of it on this prompt yet"
    said = [_stars(count)]
    if count.failed:
        said.append(f"fails {_percent(count.failed, count.requests)} of the time")
    if count.checks_failed:
        said.append(
            f"fails checks in {_percent(count.checks_failed, count.checks_passed + count.checks_failed)} of its answers"
        )
    if len(said) == 1:
        said.append(f"no complaint in {_many(count.requests, 'request')}")
    return "; ".join(said)


def _stars(count: ModelCounts) -> str:
    if not count.rated:
        return "no stars yet"
    return f"{count.stars / count.rated:.1f} stars from {_many(count.rated, 'rating')}"


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return "less than 1 %" if share < 1 else f"{share:.0f} %"


WINDOW = 1_000
"""Samples kept of a prompt."""

MOST = 100_000
"""Samples kept of all prompts together; beyond them, the prompts that were idle longest are forgotten."""


class Rating(NamedTuple):
    """The stars (1-5) of a principal on a request; None where they were taken back."""

    request_id: str
    principal: str
    stars: int | None


class Record:
    """Takes in samples and ratings, in any order of samples; the same facts give the same state.

    `forgotten` counts the prompts that had to make room for others.
    """

    def __init__(self, *, window: int = WINDOW, most: int = MOST) -> None:
        self._window, self._most = window, most
        self._windows: OrderedDict[str, SampleWindow] = OrderedDict()
        self._prompts: dict[str, str] = {}
        self._totals: dict[str, ModelCounts] = {}
        self._held = 0
        self.forgotten = 0
        self._empty = SampleWindow({}, 0)

    def add(self, sample: Sample) -> None:
        """Takes in what one request showed of one model, also one that is known already (the later word counts)."""
        window = self._windows.get(sample.prompt)
        if window is None:
            window = self._windows[sample.prompt] = SampleWindow(self._totals, self._window)
        self._windows.move_to_end(sample.prompt)
        held = len(window.samples)
        self._prompts[sample.request_id] = sample.prompt
        gone = window.add(sample)
        self._held += len(window.samples) - held
        self._forget(window, [*gone, sample.request_id])
        while self._held > self._most and len(self._windows) > 1:
            self._forget_idle()

    def rate(self, request_id: str, principal: str, stars: int | None) -> bool:
        """Notes the stars (1-5) of a principal on a request, or takes them back; False where that is not known.

        Raises UserError where there are not 1 to 5 stars.
        """
        if stars is not None and stars not in (1, 2, 3, 4, 5):
            raise UserError("give a whole number of stars from 1 to 5", param="score")
        prompt = self._prompts.get(request_id)
        if prompt is None:
            return False
        self._windows[prompt].rate(request_id, principal, stars)
        return True

    def load(self, samples: Iterable[Sample], ratings: Iterable[Rating] = ()) -> None:
        """Takes in many at once; of the ratings of one principal on one request, the last counts."""
        for sample in samples:
            self.add(sample)
        for rating in ratings:
            self.rate(*rating)

    def reset(self, prompt: str, at: int) -> None:
        """Evidence on `prompt` from before `at` (ms) counts no more, nor does any that is added later."""
        window = self._windows.setdefault(prompt, SampleWindow(self._totals, self._window))
        held = len(window.samples)
        self._forget(window, window.reset(at))
        self._held += len(window.samples) - held

    def window(self, prompt: str) -> SampleWindow:
        """The window of a prompt, to be read only; an empty one where nothing is known."""
        return self._windows.get(prompt, self._empty)

    def elsewhere(self, prompt: str, model: str) -> ModelCounts:
        """What a model did on all other prompts."""
        here = self.window(prompt).counts.get(model, ModelCounts())
        total = self._totals.get(model, ModelCounts())
        return ModelCounts(
            total.requests - here.requests,
            total.failed - here.failed,
            total.checks_passed - here.checks_passed,
            total.checks_failed - here.checks_failed,
            total.rated - here.rated,
            total.stars - here.stars,
            total.squares - here.squares,
        )

    def _forget(self, window: SampleWindow, requests: Iterable[str]) -> None:
        for request_id in requests:
            if not window.holds(request_id):
                self._prompts.pop(request_id, None)

    def _forget_idle(self) -> None:
        _, window = self._windows.popitem(last=False)
        self.forgotten += 1
        self._held -= len(window.samples)
        self._forget(window, window.reset(_END))


_END = 2**63 - 1
