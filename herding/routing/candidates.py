"""Who can answer: every pair of a model and a node that serves it now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model on a node. `rank` is the model's place among the prompt's target models, best first."""

    model: str
    node: str
    rank: int


def candidates(models: Sequence[str], serving: Mapping[str, Iterable[str]]) -> list[Candidate]:
    """Candidates for `models` (in order of preference), where `serving` maps each node to the models it serves."""
    return [
        Candidate(model, node, rank)
        for rank, model in enumerate(models)
        for node, served in serving.items()
        if model in served
    ]
