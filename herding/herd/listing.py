"""What the herd offers to somebody: the nodes that their role may use, and the models on them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from herding.access.roles import allows
from herding.herd.fleet import Fleet
from herding.nodes.base import Node
from herding.values import ModelInfo, NodeInfo, NodeStats, Principal


def usable(herd: Mapping[str, Node], who: Principal) -> list[Node]:
    """The nodes that the role of `who` allows."""
    return [node for name, node in herd.items() if allows(who.nodes, name)]


def knows(nodes: Iterable[Node], model: str) -> bool:
    """Whether a node serves the model, or could."""
    return any(model in (*node.serves, *node.expects, *node.offers) for node in nodes)


async def node_infos(
    fleet: Fleet, nodes: Sequence[Node], stats: Mapping[str, NodeStats], prompts: Mapping[str, Sequence[str]]
) -> list[NodeInfo]:
    """The nodes at this moment; `prompts` maps keys to target models."""
    statuses = await asyncio.gather(*(node.status() for node in nodes))
    found = []
    for node, status in zip(nodes, statuses, strict=True):
        load, served = fleet.slots.load(node.name), set(status.serves)
        found.append(
            NodeInfo(
                name=node.name,
                kind=node.kind,
                status=status,
                stats=stats.get(node.name, NodeStats()),
                prompts=tuple(key for key, models in prompts.items() if served & set(models)),
                health=fleet.health.status(node.name),
                running=load.running,
                concurrency=load.concurrency,
                draining=load.draining,
            )
        )
    return found


def model_infos(nodes: Sequence[Node], prompts: Mapping[str, Sequence[str]]) -> list[ModelInfo]:
    """All models that nodes or prompts name: those that answer, those for embeddings, the others.

    `prompts` maps keys to target models.
    """
    on_nodes = (model for node in nodes for model in (*node.serves, *node.offers, *node.expects))
    targets = (model for models in prompts.values() for model in models)
    embedding = (model for node in nodes for model in node.embeds)
    found = [_info(model, nodes, prompts) for model in dict.fromkeys([*on_nodes, *targets, *embedding])]
    return sorted(found, key=lambda info: (not info.nodes, not info.embeds, not info.offered_by))


def _info(model: str, nodes: Sequence[Node], prompts: Mapping[str, Sequence[str]]) -> ModelInfo:
    return ModelInfo(
        id=model,
        nodes=tuple(node.name for node in nodes if model in node.serves),
        embeds=tuple(node.name for node in nodes if model in node.embeds),
        offered_by=tuple(node.name for node in nodes if model in node.offers),
        prompts=tuple(key for key, models in prompts.items() if model in models),
    )
