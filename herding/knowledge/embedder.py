"""Makes the vectors of chunks and questions, on any node that serves the model of their collection."""

from __future__ import annotations

from collections.abc import Sequence

from herding.errors import ContextLengthError, NodeError, NoNodeError, UserError
from herding.herd.fleet import Fleet
from herding.herd.node_call import embed
from herding.nodes.base import Node
from herding.values import Collection, Embeddings, Fields, Principal

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

_SHORTEST = 50
"""Characters of a text that is not shortened any further."""


class Embedder:
    """Embeds texts of collections. They are no requests of a user: no text of them gets into the history."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def models(self, who: Principal) -> tuple[str, ...]:
        """Return the embedding models that a principal may use, the default one first."""
        found = dict.fromkeys(model for node in self._fleet.usable(who) for model in node.embeds)
        return tuple(sorted(found, key=lambda model: model != DEFAULT_MODEL))

    def is_starting(self, who: Principal) -> bool:
        """Return True while a node that a principal may use starts: it may make embeddings then."""
        return any(node.expects and not node.serves for node in self._fleet.usable(who))

    def fault_of(self, model: str, who: Principal) -> str | None:
        """Return why no node that a principal may use has an embedding model; None where that is not known."""
        return next((fault for node in self._fleet.usable(who) if (fault := node.fault_of(model))), None)

    async def embed(self, model: str, texts: Sequence[str]) -> list[bytes]:
        """Return a vector of length 1 for each text, as 32-bit floats.

        A text that is too long for the model loses its end. Raises NodeError where no node makes them.
        """
        nodes = [node for node in self._fleet.values() if model in node.embeds and self._fleet.takes(node.name)]
        failure: NodeError = NoNodeError(f"No node makes embeddings with '{model}' now. Start one that does.")
        for node in nodes:
            try:
                return _normalized(await _embed(node, model, list(texts)))
            except NodeError as error:
                failure = error
        raise failure


def check_dimensions(collection: Collection, vector: bytes) -> int:
    """Return the length of a vector. Raise UserError if the collection has others: the model has changed since."""
    dimensions = len(vector) // 4
    if collection.dimensions not in (None, dimensions):
        message = f"'{collection.embedding_model}' makes vectors of {dimensions} numbers now"
        raise UserError(f"{message}, and the collection has {collection.dimensions}. Create a new collection.")
    return dimensions


async def _embed(node: Node, model: str, texts: list[str]) -> Embeddings:
    parameters = node.capabilities(model).parameters
    more: Fields | None = {"truncate": True} if parameters and "truncate" in parameters else None
    while True:
        try:
            return await embed(node, model, texts, more=more)
        except ContextLengthError:
            longest = max(map(len, texts))
            if longest <= _SHORTEST:
                raise UserError(f"'{model}' takes no text of {longest} characters.") from None
            texts = [text[: max(_SHORTEST, longest // 2)] for text in texts]


def _normalized(made: Embeddings) -> list[bytes]:
    import numpy as np

    vectors = np.array(made.vectors, "<f4")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return [vector.tobytes() for vector in vectors / np.where(lengths == 0, 1, lengths)]
