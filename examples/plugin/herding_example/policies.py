"""A routing policy."""

from __future__ import annotations

from herding.plugins import RoutingChoice, RoutingQuery

GOOD_ENOUGH = 0.6


def first_good(query: RoutingQuery) -> RoutingChoice:
    """Choose the first target model of the prompt whose expected quality is good enough, else the best one."""
    best = max(query.models, key=query.quality.__getitem__)
    chosen = next((model for model in query.models if query.quality[model] >= GOOD_ENOUGH), best)
    return RoutingChoice((chosen,), why=f"{chosen} has a quality of {query.quality[chosen]:.2f}")
