"""Who should answer: a policy orders the candidates, the best first, and says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from herding.routing.candidates import Candidate

LEAST_BUSY = "least_busy"


def least_busy(candidates: Sequence[Candidate], busy: Mapping[str, int]) -> list[Candidate]:
    """The nodes with the fewest running requests first; between equals, the prompt's order of models decides."""
    return sorted(candidates, key=lambda candidate: (busy.get(candidate.node, 0), candidate.rank))


def reason(chosen: Candidate, candidates: Sequence[Candidate], *, asked_for: bool) -> str:
    """Why `chosen` is tried, in words."""
    if asked_for:
        return f"{chosen.model} was asked for; {chosen.node} serves it"
    if len(candidates) == 1:
        return f"only {chosen.node} serves a target model of this prompt now ({chosen.model})"
    return f"{chosen.node} with {chosen.model} is the least busy of {len(candidates)} candidates, in the prompt's order"
