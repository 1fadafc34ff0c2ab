"""Which models there are: where they run, and which prompts are meant for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from herding.access.operations import MODELS, NODES, PROMPTS
from herding.access.roles import require
from herding.orchestrator import Orchestrator
from herding.values import NodeInfo, Principal, PromptInfo


@dataclass(frozen=True, slots=True)
class Model:
    """A model, the nodes that serve it, those that can be switched to it, and the prompts that target it."""

    id: str
    nodes: tuple[str, ...]
    offered_by: tuple[str, ...]
    prompts: tuple[str, ...]


async def models(orchestrator: Orchestrator, who: Principal) -> list[Model]:
    """All models that the nodes or the prompts name, those that are served first."""
    require(who, MODELS)
    nodes = await orchestrator.nodes(who)
    prompts = await orchestrator.prompts(who) if PROMPTS in who.rights else []
    found = [_model(id, nodes, prompts) for id in _ids(nodes, prompts)]
    return sorted(found, key=lambda model: (not model.nodes, not model.offered_by))


async def known(orchestrator: Orchestrator, id: str, who: Principal) -> bool:
    """Whether a node that `who` may see serves the model or could; True where they may see none."""
    if NODES not in who.rights:
        return True
    return id in _ids(await orchestrator.nodes(who), ())


def _ids(nodes: Iterable[NodeInfo], prompts: Iterable[PromptInfo]) -> list[str]:
    from_nodes = [id for node in nodes for id in (*node.status.serves, *node.status.offers, node.status.loading) if id]
    return list(dict.fromkeys([*from_nodes, *(id for prompt in prompts for id in prompt.target_models)]))


def _model(id: str, nodes: list[NodeInfo], prompts: list[PromptInfo]) -> Model:
    return Model(
        id=id,
        nodes=tuple(node.name for node in nodes if id in node.status.serves),
        offered_by=tuple(node.name for node in nodes if id in node.status.offers),
        prompts=tuple(prompt.key for prompt in prompts if id in prompt.target_models),
    )
