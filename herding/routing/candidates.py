"""Who can answer: a model on a node that serves it now."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model on a node."""

    model: str
    node: str
