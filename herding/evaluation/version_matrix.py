"""Statistics of a prompt by version and model, and over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from herding.routing.record import ModelCounts
from herding.values import AttemptStats, to_dollars


@dataclass(frozen=True, slots=True)
class VersionModelStats:
    """The statistics of one version of a prompt on one model. `edited` runs used unsaved changes of the version.

    `requests` are attempts on the model, `errors` those that failed. Rates are 0-1; the check failure rate is among the
    `judged` responses, those with checks. `low` and `high` are the 95 % interval of the mean stars. Times and mean
    tokens are those of successful attempts. `share` is the chance to be chosen next. `cost` is the sum of those
    requests whose cost is known, in US dollars. A value is None if there is no data for it.
    """

    version: int
    edited: bool
    model: str
    requests: int
    errors: int
    error_rate: float | None
    check_failure_rate: float | None
    rated: int
    mean_stars: float | None
    low: float | None
    high: float | None
    p50_ms: float | None
    p95_ms: float | None
    input_tokens: float | None
    output_tokens: float | None
    share: float | None = None
    cost: float | None = None
    judged: int = 0


@dataclass(frozen=True, slots=True)
class RequestBucket:
    """The number of attempts on a model in a period that begins at `at` (Unix milliseconds)."""

    at: int
    model: str
    requests: int


Row = tuple[int, bool, str]
"""The key of a row: version, edited, model."""


def build_matrix(
    tries: Iterable[AttemptStats], version: int, shares: Mapping[str, float | None]
) -> tuple[VersionModelStats, ...]:
    """Return the statistics of each version and model with attempts, the newest version first.

    The live `version` has an entry for each model of `shares`, also without attempts.
    """
    found: dict[Row, list[AttemptStats]] = defaultdict(list)
    for model in shares:
        found[version, False, model] = []
    for one in tries:
        found[one.version, one.edited, one.model].append(one)
    places = {model: place for place, model in enumerate(shares)}

    def place(row: Row) -> tuple[int, bool, int, int, str]:
        number, edited, model = row
        return -number, edited, places.get(model, len(places)), -len(found[row]), model

    live = {(version, False, model): share for model, share in shares.items()}
    return tuple(_stats(row, found[row], live.get(row)) for row in sorted(found, key=place))


@dataclass(frozen=True, slots=True)
class NodeModelStats:
    """The results of one model on one node: attempts, failed ones, ratings, and the times of those that succeeded."""

    node: str
    model: str
    requests: int
    errors: int
    error_rate: float
    rated: int
    mean_stars: float | None
    p50_ms: float | None
    p95_ms: float | None


def count_attempts(tries: Iterable[AttemptStats]) -> ModelCounts:
    """Return the counts of some attempts, as the record of a model has them."""
    counts = ModelCounts()
    for one in tries:
        counts.requests += 1
        counts.failed += not one.ok
        counts.checks_passed += one.checks_passed is True
        counts.checks_failed += one.checks_passed is False
        counts.total_ms += one.total_ms * one.ok
        for stars in one.stars:
            counts.count_rating(stars, 1)
    return counts


def count_by_node(tries: Iterable[AttemptStats]) -> tuple[NodeModelStats, ...]:
    """Return the results of each model on each node that was tried, the most used first."""
    found: dict[tuple[str, str], list[AttemptStats]] = defaultdict(list)
    for one in tries:
        if one.node:
            found[one.node, one.model].append(one)
    ranked = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(_node_stats(node, model, given) for (node, model), given in ranked)


def _node_stats(node: str, model: str, tries: Sequence[AttemptStats]) -> NodeModelStats:
    times, stars = [one.total_ms for one in tries if one.ok], [given for one in tries for given in one.stars]
    errors = len(tries) - len(times)
    return NodeModelStats(
        node=node,
        model=model,
        requests=len(tries),
        errors=errors,
        error_rate=errors / len(tries),
        rated=len(stars),
        mean_stars=_rate(sum(stars), len(stars)),
        p50_ms=percentile(times, 0.5),
        p95_ms=percentile(times, 0.95),
    )


def _stats(row: Row, tries: Sequence[AttemptStats], share: float | None) -> VersionModelStats:
    version, edited, model = row
    good = [one for one in tries if one.ok]
    judged = [one for one in good if one.checks_passed is not None]
    stars = [given for one in tries for given in one.stars]
    squares = sum(given * given for given in stars)
    mean, low, high = ModelCounts(rated=len(stars), stars=sum(stars), squares=squares).stars_interval()
    times, errors = [one.total_ms for one in good], len(tries) - len(good)
    return VersionModelStats(
        version=version,
        edited=edited,
        model=model,
        requests=len(tries),
        errors=errors,
        error_rate=_rate(errors, len(tries)),
        check_failure_rate=_rate(sum(one.checks_passed is False for one in judged), len(judged)),
        rated=len(stars),
        mean_stars=mean,
        low=low,
        high=high,
        p50_ms=percentile(times, 0.5),
        p95_ms=percentile(times, 0.95),
        input_tokens=_rate(sum(one.input_tokens for one in good), len(good)),
        output_tokens=_rate(sum(one.output_tokens for one in good), len(good)),
        share=share,
        cost=_cost(tries),
        judged=len(judged),
    )


def _cost(tries: Sequence[AttemptStats]) -> float | None:
    """Return the sum of the known costs in dollars; None if none is known. Failures that cost nothing tell nothing."""
    known = [one.cost for one in tries if one.cost is not None and (one.ok or one.cost)]
    return to_dollars(sum(known)) if known else None


def _rate(count: int, total: int) -> float | None:
    return count / total if total else None


def percentile(values: Sequence[float], fraction: float) -> float | None:
    """Return a percentile by the nearest rank, with `fraction` 0-1, or None without values."""
    return float(np.quantile(values, fraction, method="inverted_cdf")) if values else None


def summarize(tries: Sequence[AttemptStats]) -> VersionModelStats:
    """Return the statistics of all attempts together; the version is 0 and the model empty."""
    return _stats((0, False, ""), tries, None)


def count_over_time(tries: Iterable[AttemptStats], width: int) -> tuple[RequestBucket, ...]:
    """Count the attempts on each model in periods of `width` ms, oldest first. Empty periods are omitted."""
    counts: dict[tuple[int, str], int] = defaultdict(int)
    for one in tries:
        counts[one.at - one.at % width, one.model] += 1
    return tuple(RequestBucket(at, model, count) for (at, model), count in sorted(counts.items()))
