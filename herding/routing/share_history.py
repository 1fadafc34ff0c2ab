"""Replays the evidence of a prompt, to tell how the shares of its models moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from herding.routing.policies import BUILT_IN, Policies, RoutingSettings
from herding.routing.quality import Sample
from herding.routing.record import ModelCounts, Record

MAX_STEPS = 40
"""Points of a history; between two of them lie several responses if there are more."""


@dataclass(frozen=True, slots=True)
class ShareStep:
    """The shares (0-1, by model) after the first `responses` of the evidence and their ratings.

    `at` is the time of the last of these requests in Unix milliseconds; with 0 responses, that of the first request.
    """

    responses: int
    at: int
    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A copy of what the record has of a prompt, oldest first: samples, each with its stars by rater.

    `others` are the counts of the models on other prompts, which decide while there is little evidence.
    """

    samples: Sequence[tuple[Sample, Mapping[str, int]]]
    others: Mapping[str, ModelCounts]


def copy_evidence(record: Record, prompt: str, models: Sequence[str]) -> Evidence:
    """Return the evidence of a prompt, which does not change while it is replayed in a thread."""
    window = record.window(prompt)
    samples = [(sample, window.ratings(sample)) for sample in window.samples]
    return Evidence(samples, {model: record.other_prompts(prompt, model) for model in models})


def replay_shares(
    evidence: Evidence, models: Sequence[str], settings: RoutingSettings, *, now: int
) -> tuple[ShareStep, ...]:
    """Return the shares of `models` after each response; the last ones are those of `now` (ms).

    Empty if the shares do not follow the evidence, or there is nothing to compare.
    """
    samples, policy = evidence.samples, BUILT_IN.get(settings.policy)
    if policy is None or not policy.learns or settings.pinned in models or len(models) < 2 or not samples:
        return ()
    time = [samples[0][0].at]
    record = Record(others=evidence.others)
    policies = Policies(record, Random(0), lambda: time[0])  # noqa: S311 (nothing is drawn)
    prompt = samples[0][0].prompt
    steps = [ShareStep(0, time[0], policies.shares(prompt, models, settings))]
    chosen = _checkpoints(len(samples))
    for number, (sample, stars) in enumerate(samples, 1):
        record.add(sample)
        for principal, given in stars.items():
            record.rate(sample.request_id, principal, given)
        if number in chosen:
            time[0] = now if number == len(samples) else max(time[0], sample.at)
            steps.append(ShareStep(number, sample.at, policies.shares(prompt, models, settings)))
    return tuple(steps)


def _checkpoints(count: int) -> frozenset[int]:
    """Return the numbers of responses after which the shares are computed: all, or evenly spread ones with the last."""
    if count <= MAX_STEPS:
        return frozenset(range(1, count + 1))
    return frozenset(round(count * step / MAX_STEPS) for step in range(1, MAX_STEPS + 1))
