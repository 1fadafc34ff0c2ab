"""Blind mode: which column a response came from, found from what the responses ran with.

The server orders the columns at random and tells the page nothing of it; neither the page nor the address holds the
order. When the names may be shown, it follows from the recorded requests.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations

from herding.ui.compare.columns import Column
from herding.values import Outcome

_RANDOM = random.SystemRandom()


def shuffled(columns: Sequence[Column]) -> list[Column]:
    """Return the columns in a random order; the letters stay in their places."""
    order = list(columns)
    _RANDOM.shuffle(order)
    return [replace(column, letter=place.letter) for column, place in zip(order, columns, strict=True)]


def assign(columns: Sequence[Column], outcomes: Mapping[str, Outcome]) -> list[Column]:
    """Return the columns in the order that fits the outcomes best; `outcomes` are by the letters of their places.

    Columns that fit equally well have the same settings, as far as these requests tell.
    """
    places = [column.letter for column in columns]
    scores = {
        (number, place): _fit(column, outcomes[place]) if place in outcomes else 0
        for number, column in enumerate(columns)
        for place in places
    }
    best = max(
        permutations(range(len(columns))),
        key=lambda order: sum(scores[number, place] for number, place in zip(order, places, strict=True)),
    )
    return [replace(columns[number], letter=place) for number, place in zip(best, places, strict=True)]


def _fit(column: Column, outcome: Outcome) -> int:
    """Return how well a request fits the settings of a column."""
    config, info = column.config, column.info
    score = 1_000 * (config.prompt == outcome.prompt)
    if config.model:
        score += 500 if config.model == outcome.model else -500
    score += 200 * (config.is_draft == outcome.edited)
    if info is None:
        return score
    score += 200 * (config.is_draft or info.version == outcome.version)
    given, ran = config.overrides.over(info.parameters).given(), outcome.parameters.given()
    return score + sum(20 if given.get(name) == ran.get(name) else -20 for name in given.keys() | ran.keys())
