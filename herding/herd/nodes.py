"""The nodes and their models, as far as a principal may use them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from herding.access.operations import MANAGE_NODES, MODELS, NODES, PROMPTS, SWITCH_MODEL
from herding.access.roles import allows, require
from herding.errors import NotFoundError
from herding.herd.fleet import Fleet
from herding.herd.model_switcher import ModelSwitcher
from herding.nodes.base import Node
from herding.nodes.capabilities import describe
from herding.nodes.small_models import SMALL_MODELS
from herding.plugins import Plugins
from herding.prompts.steps import MAX_DEPTH
from herding.store import Store
from herding.studio.catalog import PromptCatalog
from herding.studio.version_cache import RunnableVersion
from herding.values import LoadProgress, ModelInfo, NodeEvent, NodeInfo, NodeStats, PluginInfo, Principal, SmallModel
from herding.values.durations import DAY_MS

T = TypeVar("T")


class Nodes:
    """Lists the nodes of the fleet and switches their models.

    Every method raises AccessError where the principal's role does not allow it, and NotFoundError for a node that is
    not there or not for them.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        store: Store,
        prompts: PromptCatalog,
        switcher: ModelSwitcher,
        clock: Callable[[], int],
        plugins: Plugins,
    ) -> None:
        self._plugins = plugins
        self._fleet, self._store, self._prompts, self._switcher, self._clock = fleet, store, prompts, switcher, clock

    async def list_all(self, who: Principal) -> list[NodeInfo]:
        """Return the nodes at this moment, with what they did in the last 24 hours."""
        require(who, NODES)
        nodes = self._fleet.usable(who)
        stats = await self._store.node_stats(since=self._clock() - DAY_MS)
        targets = _targets(await self._prompts.visible(who))
        statuses = await asyncio.gather(*(node.status() for node in nodes))
        found = []
        for node, status in zip(nodes, statuses, strict=True):
            node.saw(status)
            load, served = self._fleet.slots.load(node.name), set(status.serves)
            found.append(
                NodeInfo(
                    name=node.name,
                    kind=node.kind,
                    status=status,
                    stats=stats.get(node.name, NodeStats()),
                    prompts=tuple(key for key, models in targets.items() if served & set(models)),
                    health=self._fleet.health.status(node.name),
                    running=load.running,
                    concurrency=load.concurrency,
                    draining=load.draining,
                    label=getattr(self._plugins.node_kinds.get(node.kind), "label", "") or node.kind,
                )
            )
        return found

    async def plugins(self, who: Principal) -> tuple[PluginInfo, ...]:
        """Return the plugins of this installation with their state."""
        require(who, MANAGE_NODES)
        return self._plugins.infos

    async def events(self, who: Principal, *, limit: int = 50) -> list[NodeEvent]:
        """Return what happened to the nodes since the app started, newest first."""
        require(who, NODES)
        events = (event for event in self._fleet.events.latest() if allows(who.nodes, event.node))
        return list(islice(events, limit))

    async def models(self, who: Principal) -> list[ModelInfo]:
        """Return every usable model, with its nodes and the prompts that target it: serving models first."""
        require(who, MODELS)
        visible = await self._prompts.visible(who) if PROMPTS in who.rights else []
        return _model_infos(self._fleet.usable(who), _targets(visible))

    async def retry(self, node: str, who: Principal) -> None:
        """Try a node again at once, whatever failed before: an operator has fixed it."""
        require(who, MANAGE_NODES)
        self._check(node, who)
        self._fleet.health.reset(node)
        self._fleet.changed.notify()

    async def load_model(self, node: str, model: str, who: Principal) -> AsyncGenerator[LoadProgress, None]:
        """Load a model on a node and yield progress. Loading goes on when the caller leaves.

        A model of the hub that the node does not offer yet needs the right to manage nodes.
        """
        require(who, SWITCH_MODEL)
        self._check(node, who)
        found = self._fleet[node]
        if model not in found.offers and found.takes_hub_models:
            require(who, MANAGE_NODES)
        async with aclosing(self._switcher.load(node, model)) as steps:
            async for progress in steps:
                yield progress

    async def unload_model(self, node: str, model: str, who: Principal) -> None:
        """Free the memory of a loaded model, or cancel its loading. Raises NodeError while requests use it."""
        require(who, SWITCH_MODEL)
        self._check(node, who)
        await self._switcher.unload(node, model)

    async def remove_model(self, node: str, model: str, who: Principal, *, delete_files: bool = False) -> None:
        """Take a model that was added at run time from the list of a node, unloaded first or its loading cancelled.

        With `delete_files`, those of its files go too that Herding downloaded or made. Raises UserError for a model of
        the nodes file, and NodeError while requests use it.
        """
        require(who, MANAGE_NODES)
        self._check(node, who)
        await self._switcher.remove(node, model, delete_files=delete_files)

    async def delete_model_files(self, node: str, model: str, who: Principal) -> int:
        """Delete the files of a model that Herding downloaded or made, and return their bytes; it can be loaded again.

        Its loading is cancelled first. Raises NodeError for a model that is loaded.
        """
        require(who, MANAGE_NODES)
        self._check(node, who)
        return await self._switcher.delete_files(node, model)

    async def small_models(self, who: Principal) -> list[SmallModel]:
        """Return good models of the hub for a small machine, smallest first, with the nodes that offer them."""
        require(who, MODELS)
        nodes = self._fleet.usable(who)
        return [
            replace(model, nodes=tuple(node.name for node in nodes if model.id in (*node.serves, *node.offers)))
            for model in SMALL_MODELS
        ]

    def _check(self, node: str, who: Principal) -> None:
        if node not in self._fleet or not allows(who.nodes, node):
            raise NotFoundError(f"There is no node '{node}'.", param="node")


def knows(nodes: Iterable[Node], model: str) -> bool:
    """Return whether a node serves the model, or could."""
    return any(model in (*node.serves, *node.expects, *node.offers) for node in nodes)


def _targets(visible: Sequence[RunnableVersion]) -> dict[str, Sequence[str]]:
    """Return the target models of prompts by key; those of a chain without a text are its steps'."""
    own = {found.key: found.prompt.target_models for found in visible}
    steps = {found.key: [step.key for step in found.prompt.steps or ()] for found in visible}

    def of(key: str, depth: int) -> list[str]:
        below = [model for step in steps.get(key, ()) for model in of(step, depth - 1)] if depth else []
        return own.get(key, []) or below

    return {key: models or list(dict.fromkeys(of(key, MAX_DEPTH))) for key, models in own.items()}


def _by_model(having: Iterable[tuple[T, Iterable[str]]]) -> defaultdict[str, list[T]]:
    """Return, by model, what has it; each is given with its models."""
    found: defaultdict[str, list[T]] = defaultdict(list)
    for one, models in having:
        for model in dict.fromkeys(models):
            found[model].append(one)
    return found


def _model_infos(nodes: Sequence[Node], targets: Mapping[str, Sequence[str]]) -> list[ModelInfo]:
    """Return all models that nodes or prompts name; `targets` maps prompt keys to target models."""
    serving = _by_model((node, node.serves) for node in nodes)
    embedding = _by_model((node.name, node.embeds) for node in nodes)
    reranking = _by_model((node.name, node.reranks) for node in nodes)
    offering = _by_model((node.name, node.offers) for node in nodes)
    prompts = _by_model(targets.items())
    on_nodes = (model for node in nodes for model in (*node.serves, *node.offers, *node.expects))
    found = [
        ModelInfo(
            id=model,
            nodes=tuple(node.name for node in serving[model]),
            embeds=tuple(embedding[model]),
            reranks=tuple(reranking[model]),
            offered_by=tuple(offering[model]),
            prompts=tuple(prompts[model]),
            capabilities={node.name: describe(node.capabilities(model)) for node in serving[model]},
        )
        for model in dict.fromkeys([*on_nodes, *prompts, *embedding, *reranking])
    ]
    return sorted(found, key=lambda info: (not info.nodes, not (info.embeds or info.reranks), not info.offered_by))
