"""Scores how well chunks answer a question, on any node that serves the reranker."""

from __future__ import annotations

from collections.abc import Sequence

from herding.errors import NodeError, UserError
from herding.herd.fleet import Fleet
from herding.herd.node_call import rerank
from herding.nodes.base import Node
from herding.values import Principal


class Reranker:
    """Scores chunks of collections. Like their embeddings, this is no request of a user, and in no history."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def models(self, who: Principal) -> tuple[str, ...]:
        """Return the rerankers that a principal may choose."""
        return tuple(dict.fromkeys(model for node in self._fleet.usable(who) for model in node.reranks))

    def check(self, model: str, who: Principal | None = None) -> None:
        """Raise UserError where no node reranks with a model; with `who`, none that the principal may use."""
        nodes = self._nodes(who)
        if any(model in node.reranks for node in nodes):
            return
        served = dict.fromkeys(found for node in nodes for found in node.reranks)
        advice = "Add it to rerank_models of a local or openai node in the nodes file, or leave out 'rerank'."
        if fault := next((fault for node in nodes if (fault := node.fault_of(model))), None):
            advice = fault
        elif served:
            advice = f"Available: {', '.join(served)}."
        raise UserError(f"No node reranks with '{model[:300]}'. {advice}", param="rerank")

    async def rerank(
        self, model: str, question: str, texts: Sequence[str], who: Principal | None = None
    ) -> tuple[float, ...]:
        """Return a score for each text, higher for a better one. Raises what `check` raises, and NodeError."""
        self.check(model, who)
        failure: NodeError | None = None
        for node in self._nodes(who):
            if model not in node.reranks or not self._fleet.takes(node.name):
                continue
            try:
                return (await rerank(node, model, question, texts)).scores
            except NodeError as error:
                failure = error
        raise failure or NodeError(f"The nodes that rerank with '{model}' take no requests now. Try again later.")

    def _nodes(self, who: Principal | None) -> list[Node]:
        return list(self._fleet.values()) if who is None else self._fleet.usable(who)
