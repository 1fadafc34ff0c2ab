"""The record of how models performed: for each prompt a window of its last requests with their stars."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from herding.errors import UserError
from herding.routing.quality import Sample, Targets, fault, signals

WINDOW = 1_000
"""Samples kept of a prompt."""

MAX_SAMPLES = 100_000
"""Samples kept of all prompts together; beyond them, the least recently used prompts are dropped."""

NORMAL_95 = 1.96
MIN_SPREAD = 0.5
"""The smallest standard deviation of stars: two equal ratings do not prove that all others will be the same."""

_FOREVER = 2**63 - 1

SortKey = tuple[int, str, str]
"""The time, request and model of a sample, by which samples are sorted."""


@dataclass(slots=True)
class ModelCounts:
    """The counts of one model in a window. `stars` is the sum of the stars, `squares` that of their squares.

    `total_ms` is the sum of the times of the requests that did not fail, in milliseconds.
    """

    requests: int = 0
    failed: int = 0
    checks_passed: int = 0
    checks_failed: int = 0
    rated: int = 0
    stars: int = 0
    squares: int = 0
    total_ms: float = 0.0

    def count_sample(self, sample: Sample, sign: int) -> None:
        """Add (`sign` 1) or subtract (-1) a sample."""
        self.requests += sign
        self.failed += sign * (not sample.ok)
        self.checks_passed += sign * (sample.checks_passed is True)
        self.checks_failed += sign * (sample.checks_passed is False)
        self.total_ms += sign * sample.total_ms * sample.ok

    def count_rating(self, stars: int, sign: int) -> None:
        """Add (`sign` 1) or subtract (-1) the stars of one rater."""
        self.rated += sign
        self.stars += sign * stars
        self.squares += sign * stars * stars

    def stars_interval(self) -> tuple[float | None, float | None, float | None]:
        """Return the mean stars and their 95 % normal interval within 1 to 5; three times None without stars."""
        if not self.rated:
            return None, None, None
        mean = self.stars / self.rated
        variance = max(0.0, self.squares - self.stars * mean) / max(1, self.rated - 1)
        margin = NORMAL_95 * max(MIN_SPREAD, math.sqrt(variance)) / math.sqrt(self.rated)
        return mean, max(1.0, mean - margin), min(5.0, mean + margin)

    def describe(self, others: ModelCounts, targets: Targets | None = None) -> str:
        """Describe all that decides in half a sentence: ratings, failures, checks and latency.

        Such as `4.6 stars from 23 ratings; fails 2 % of the time; mean latency 1.2 s`. `targets` are the latencies of
        slow and fast responses. For a model without ratings on this prompt, `others`, its counts on other prompts, are
        described as well.
        """
        own = self._describe(targets or Targets())
        parts = [_describe_stars(others)] if others.rated else []
        if others.failed:
            parts.append(_describe_failures(others))
        return f"{own}; on other prompts: {', '.join(parts)}" if parts and not self.rated else own

    def _describe(self, targets: Targets) -> str:
        if not self.requests:
            return "no data for this prompt yet"
        parts = [_describe_stars(self)]
        if self.failed:
            parts.append(_describe_failures(self))
        else:
            parts.append(f"no failures in {_quantity(self.requests, 'request')}")
        if self.checks_failed:
            share = _percent(self.checks_failed, self.checks_passed + self.checks_failed)
            parts.append(f"fails checks in {share} of its responses")
        elif self.checks_passed:
            parts.append("passed all checks")
        if self.requests > self.failed:
            parts.append(_describe_latency(self.total_ms / (self.requests - self.failed), targets))
        return "; ".join(parts)


class Vote(NamedTuple):
    """The stars of one rater on a response of a model; `at` is the time of its request."""

    principal: str
    model: str
    stars: int
    at: int


class SampleWindow:
    """The newest `most` samples of a prompt. Its content depends on the samples, not on the order in which they came.

    The signals of a sample are computed once, for `targets`. `totals` are the counts of all windows by model, which
    include this one. `revision` changes with samples and stars, `votes_revision` with stars only.
    """

    def __init__(self, totals: dict[str, ModelCounts], most: int) -> None:
        self._totals, self._most = totals, most
        self.counts: dict[str, ModelCounts] = {}
        self.models: dict[str, int] = {}
        self.samples: list[Sample] = []
        self.at, self.model, self.ok = array("q"), array("i"), array("b")
        self.quality, self.faults = array("d"), array("d")
        self.targets = Targets()
        self.since = 0
        self.revision = self.votes_revision = 0
        self._keys: list[SortKey] = []
        self._of: dict[str, dict[str, Sample]] = {}
        self._stars: dict[str, dict[str, int]] = {}

    def add(self, sample: Sample) -> list[str]:
        """Add a sample, replacing one of the same request and model; return the requests that were dropped."""
        if sample.at < self.since:
            return []
        before = self._of.get(sample.request_id, {})
        stars = dict(self._stars.get(sample.request_id, {}))
        self._clear_stars(sample.request_id)
        if sample.model in before:
            self._take(_sort_key(before[sample.model]))
        self._put(sample)
        for principal, given in stars.items():
            self.rate(sample.request_id, principal, given)
        self.revision += 1
        return [self._drop_oldest()] if len(self.samples) > self._most else []

    def rate(self, request_id: str, principal: str, stars: int | None) -> None:
        """Set the stars of a rater on a request in the window, or clear them with None."""
        answered = self._response(request_id)
        given = self._stars.setdefault(request_id, {})
        old = given.pop(principal, None)
        if stars is not None:
            given[principal] = stars
        if not given:
            del self._stars[request_id]
        for count in self._count(answered) if answered else ():
            if old is not None:
                count.count_rating(old, -1)
            if stars is not None:
                count.count_rating(stars, 1)
        self.revision += 1
        self.votes_revision += 1

    def reset(self, at: int) -> list[str]:
        """Drop samples from before `at` (ms), and accept none later; return the requests that were dropped."""
        self.since = max(self.since, at)
        dropped = []
        while self.samples and self.samples[0].at < at:
            dropped.append(self._drop_oldest())
        self.revision += 1
        self.votes_revision += 1
        return dropped

    def set_targets(self, targets: Targets) -> None:
        """Rate all samples by `targets` from now on."""
        if targets != self.targets:
            self.targets = targets
            self.quality = array("d", (signals(sample, targets) for sample in self.samples))
            self.faults = array("d", (fault(sample, targets) for sample in self.samples))
            self.revision += 1

    def contains(self, request_id: str) -> bool:
        """Return whether the window has a sample of the request."""
        return request_id in self._of

    def votes(self) -> Iterator[Vote]:
        """Iterate over the stars on responses, newest request first and raters of a request by name."""
        for sample in reversed(self.samples):
            given = self._stars.get(sample.request_id)
            if given and self._response(sample.request_id) is sample:
                for principal in sorted(given):
                    yield Vote(principal, sample.model, given[principal], sample.at)

    def ratings(self, sample: Sample) -> Mapping[str, int]:
        """Return the stars on the response of a sample by rater; none if the model failed."""
        if self._response(sample.request_id) is not sample:
            return {}
        return dict(self._stars.get(sample.request_id, {}))

    def stars(self, sample: Sample) -> tuple[int, ...]:
        """Return the stars on the response of a sample; none if the model failed."""
        if self._response(sample.request_id) is not sample:
            return ()
        return tuple(self._stars.get(sample.request_id, {}).values())

    def _response(self, request_id: str) -> Sample | None:
        """Return the sample of the model that responded, which the stars are about."""
        return next((sample for sample in self._of.get(request_id, {}).values() if sample.ok), None)

    def _count(self, sample: Sample) -> tuple[ModelCounts, ModelCounts]:
        return self.counts.setdefault(sample.model, ModelCounts()), self._totals.setdefault(sample.model, ModelCounts())

    def _put(self, sample: Sample) -> None:
        key = _sort_key(sample)
        index = bisect_left(self._keys, key)
        self._keys.insert(index, key)
        self.samples.insert(index, sample)
        self.at.insert(index, sample.at)
        self.model.insert(index, self.models.setdefault(sample.model, len(self.models)))
        self.ok.insert(index, sample.ok)
        self.quality.insert(index, signals(sample, self.targets))
        self.faults.insert(index, fault(sample, self.targets))
        self._of.setdefault(sample.request_id, {})[sample.model] = sample
        for count in self._count(sample):
            count.count_sample(sample, 1)

    def _take(self, key: SortKey) -> None:
        index = bisect_left(self._keys, key)
        sample = self.samples[index]
        for column in (self._keys, self.samples, self.at, self.model, self.ok, self.quality, self.faults):
            del column[index]
        for count in self._count(sample):
            count.count_sample(sample, -1)
        of = self._of[sample.request_id]
        del of[sample.model]
        if not of:
            del self._of[sample.request_id]

    def _drop_oldest(self) -> str:
        """Drop the oldest sample with its stars, and return its request.

        `votes_revision` stays: the stars weigh little by now, and this happens with every request.
        """
        sample, revision = self.samples[0], self.votes_revision
        if self._response(sample.request_id) in (sample, None):
            self._clear_stars(sample.request_id)
        self.votes_revision = revision
        self._take(self._keys[0])
        return sample.request_id

    def _clear_stars(self, request_id: str) -> None:
        for principal in list(self._stars.get(request_id, ())):
            self.rate(request_id, principal, None)


def _sort_key(sample: Sample) -> SortKey:
    return (sample.at, sample.request_id, sample.model)


class Rating(NamedTuple):
    """The stars (1-5) of a principal on a request, None to clear them."""

    request_id: str
    principal: str
    stars: int | None


class Record:
    """Keeps samples and ratings of all prompts. The order in which samples come does not matter.

    `evictions` counts the prompts that were dropped to make room for others. `others` are counts by model of prompts
    that the record does not keep itself.
    """

    def __init__(
        self, *, window: int = WINDOW, most: int = MAX_SAMPLES, others: Mapping[str, ModelCounts] | None = None
    ) -> None:
        self._window, self._most = window, most
        self._windows: OrderedDict[str, SampleWindow] = OrderedDict()
        self._prompts: dict[str, str] = {}
        self._totals: dict[str, ModelCounts] = {model: replace(counts) for model, counts in (others or {}).items()}
        self._held = 0
        self.evictions = 0
        self._empty = SampleWindow({}, 0)

    def add(self, sample: Sample) -> None:
        """Add a sample, replacing one of the same request and model."""
        window = self._windows.get(sample.prompt)
        if window is None:
            window = self._windows[sample.prompt] = SampleWindow(self._totals, self._window)
        self._windows.move_to_end(sample.prompt)
        held = len(window.samples)
        self._prompts[sample.request_id] = sample.prompt
        dropped = window.add(sample)
        self._held += len(window.samples) - held
        self._drop_requests(window, [*dropped, sample.request_id])
        while self._held > self._most and len(self._windows) > 1:
            self._evict()

    def rate(self, request_id: str, principal: str, stars: int | None) -> bool:
        """Set the stars (1-5) of a principal on a request, or clear them; return False for an unknown request.

        Raises UserError for other numbers.
        """
        if stars is not None and stars not in (1, 2, 3, 4, 5):
            raise UserError("Stars are a whole number from 1 to 5.", param="score")
        prompt = self._prompts.get(request_id)
        if prompt is None:
            return False
        self._windows[prompt].rate(request_id, principal, stars)
        return True

    def load(self, samples: Iterable[Sample], ratings: Iterable[Rating] = ()) -> None:
        """Add many samples and ratings; of several ratings of one principal on one request, the last counts."""
        for sample in samples:
            self.add(sample)
        for rating in ratings:
            self.rate(*rating)

    def reset(self, prompt: str, at: int) -> None:
        """Drop the samples of a prompt from before `at` (ms), and accept none later."""
        window = self._windows.setdefault(prompt, SampleWindow(self._totals, self._window))
        held = len(window.samples)
        self._drop_requests(window, window.reset(at))
        self._held += len(window.samples) - held

    def window(self, prompt: str) -> SampleWindow:
        """Return the window of a prompt, which is read-only; an empty one for an unknown prompt."""
        return self._windows.get(prompt, self._empty)

    def other_prompts(self, prompt: str, model: str) -> ModelCounts:
        """Return the counts of a model on all other prompts."""
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
            total.total_ms - here.total_ms,
        )

    def _drop_requests(self, window: SampleWindow, requests: Iterable[str]) -> None:
        for request_id in requests:
            if not window.contains(request_id):
                self._prompts.pop(request_id, None)

    def _evict(self) -> None:
        _, window = self._windows.popitem(last=False)
        self.evictions += 1
        self._held -= len(window.samples)
        self._drop_requests(window, window.reset(_FOREVER))


def _describe_stars(counts: ModelCounts) -> str:
    if not counts.rated:
        return "no stars yet"
    return f"{counts.stars / counts.rated:.1f} stars from {_quantity(counts.rated, 'rating')}"


def _describe_failures(counts: ModelCounts) -> str:
    return f"fails {_percent(counts.failed, counts.requests)} of the time"


def _describe_latency(mean_ms: float, targets: Targets) -> str:
    shown = f"{mean_ms:.0f} ms" if mean_ms < 1000 else f"{mean_ms / 1000:.1f} s"
    verdict = " (slow)" if mean_ms > targets.slow_ms else " (fast)" if mean_ms < targets.fast_ms else ""
    return f"mean latency {shown}{verdict}"


def _quantity(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return "less than 1 %" if share < 1 else f"{share:.0f} %"
