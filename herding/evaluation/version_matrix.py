"""The matrix of a prompt: its versions by the models that were tried, and when that was."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from herding.routing.policies import interval
from herding.routing.record import ModelCounts
from herding.values import AttemptStats


@dataclass(frozen=True, slots=True)
class Cell:
    """One version of a prompt on one model. `edited`: the version was changed for the run, and not saved like that.

    `requests` are the tries of the model, `errors` those that failed. Rates are 0-1: check failures among answers
    with checks. `low` and `high` are the 95 % interval of the mean stars. Times are those of the tries that
    answered, tokens the means of their requests. `share` is the chance to be chosen next. All are None where nothing
    is behind them.
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


@dataclass(frozen=True, slots=True)
class Bucket:
    """How often a model was tried in a span of time that begins at `at` (Unix ms)."""

    at: int
    model: str
    requests: int


Row = tuple[int, bool, str]
"""A row of the matrix: version, whether it was edited, model."""


def matrix(tries: Iterable[AttemptStats], version: int, shares: Mapping[str, float | None]) -> tuple[Cell, ...]:
    """A cell for each version and model that were tried, the newest version first.

    The served `version` has one for each model of `shares`, which stand there.
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

    served = {(version, False, model): share for model, share in shares.items()}
    return tuple(_cell(row, found[row], served.get(row)) for row in sorted(found, key=place))


def _cell(row: Row, tries: Sequence[AttemptStats], share: float | None) -> Cell:
    version, edited, model = row
    good = [one for one in tries if one.ok]
    judged = [one for one in good if one.checks_passed is not None]
    rated, stars, squares = (sum(one.stars[part] for one in tries) for part in range(3))
    mean, low, high = interval(ModelCounts(rated=rated, stars=stars, squares=squares))
    times, errors = sorted(one.total_ms for one in good), len(tries) - len(good)
    return Cell(
        version=version,
        edited=edited,
        model=model,
        requests=len(tries),
        errors=errors,
        error_rate=_part(errors, len(tries)),
        check_failure_rate=_part(sum(one.checks_passed is False for one in judged), len(judged)),
        rated=rated,
        mean_stars=mean,
        low=low,
        high=high,
        p50_ms=quantile(times, 0.5),
        p95_ms=quantile(times, 0.95),
        input_tokens=_part(sum(one.input_tokens for one in good), len(good)),
        output_tokens=_part(sum(one.output_tokens for one in good), len(good)),
        share=share,
    )


def _part(some: int, whole: int) -> float | None:
    return some / whole if whole else None


def quantile(ordered: Sequence[float], part: float) -> float | None:
    """The least of `ordered` (ascending) that `part` of them (0-1) do not exceed: the nearest rank; None of none."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else None


def over_time(tries: Iterable[AttemptStats], width: int) -> tuple[Bucket, ...]:
    """How often each model was tried in each bucket of `width` ms, oldest first; empty buckets are left out."""
    counts: dict[tuple[int, str], int] = defaultdict(int)
    for one in tries:
        counts[one.at - one.at % width, one.model] += 1
    return tuple(Bucket(at, model, count) for (at, model), count in sorted(counts.items()))
