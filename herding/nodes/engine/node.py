"""The common part of the nodes that run Herding's engine."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import ClassVar

from herding.errors import UserError
from herding.nodes.base import AutoSwitch, Node, NodeConfig
from herding.nodes.capabilities import BASIC, Capabilities
from herding.nodes.engine.client import EngineClient
from herding.nodes.parallel_calls import merged, single_calls
from herding.nodes.prices import FREE, Price
from herding.values import Call, Chunk, EmbeddingInput, Embeddings, Fields, LoadProgress, NodeStatus, Ranking
from herding.values.model_paths import split_path

REFRESH_WHEN_READY = 10
"""The status of a ready engine is refreshed this many times less often."""

_ENGINE_FEATURES = ("tools", "n", "prompts", "token_ids")
_EMBEDDING_PARAMETERS = BASIC | {"truncate"}
_ENGINE_PARAMETERS = BASIC | {"return_token_ids", "chat_template_kwargs"}


class EngineNode(Node):
    """A node that runs our engine: watches its status and loads models."""

    refresh_seconds: ClassVar[float]

    def __init__(self, config: NodeConfig, *, auto_switch: AutoSwitch | None, offers: tuple[str, ...] = ()) -> None:
        super().__init__(config)
        self.auto_switch = auto_switch
        self._offers = offers
        self._reachable = False
        self._requested: Counter[str] = Counter()
        self._status = NodeStatus("starting", offers=offers, detail="The engine is starting.")
        self._watcher: asyncio.Task[None] | None = None

    @abstractmethod
    def _engine(self) -> EngineClient:
        """Return the client; raise NodeError if there is no engine at present."""

    @property
    def serves(self) -> tuple[str, ...]:
        return self._status.serves

    @property
    def offers(self) -> tuple[str, ...]:
        return self._offers

    @property
    def embeds(self) -> tuple[str, ...]:
        return self._status.embeds

    @property
    def reranks(self) -> tuple[str, ...]:
        return self._status.reranks

    def fault_of(self, model: str) -> str | None:
        return self._status.faults.get(model)

    @property
    def can_load(self) -> bool:
        return self._reachable

    @property
    def takes_hub_models(self) -> bool:
        return True

    @property
    def _loading(self) -> tuple[str, ...]:
        """The models that are loading."""
        told = (model.id for model in self._status.models if model.state == "loading")
        return tuple(dict.fromkeys([*told, *(model for model, count in self._requested.items() if count)]))

    def capabilities(self, model: str) -> Capabilities:
        """Return what the engine can do with a model; of one that is not loaded, all that it may turn out to do."""
        if model in self._status.embeds:
            return self.configured.over(Capabilities(frozenset({"token_ids"}), _EMBEDDING_PARAMETERS))
        if model in self._status.reranks:
            return self.configured.over(Capabilities(frozenset(), frozenset(BASIC)))
        loaded = next((one for one in self._status.models if one.id == model and one.state == "loaded"), None)
        features = loaded.features if loaded else _ENGINE_FEATURES
        return self.configured.over(Capabilities(frozenset(features), _ENGINE_PARAMETERS))

    def known_price(self, model: str) -> Price:  # noqa: ARG002 (the same for all)
        return FREE

    async def start(self) -> None:
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {self.name}")

    async def close(self) -> None:
        if self._watcher:
            self._watcher.cancel()

    async def look_again(self) -> None:
        await self.status()

    def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        engine, calls = self._engine(), single_calls(call)
        if len(calls) == 1:
            return engine.generate(call)
        return merged(map(engine.generate, calls), prompts=len(call.prompts or (None,)))

    async def count(self, call: Call) -> tuple[int, int] | None:
        return await self._engine().count(call)

    async def embed(
        self,
        model: str,
        texts: Sequence[EmbeddingInput],
        *,
        dimensions: int | None = None,
        more: Fields | None = None,
    ) -> Embeddings:
        truncate = (more or {}).get("truncate", False)
        if not isinstance(truncate, bool):
            raise UserError("'truncate' must be true or false.", param="truncate")
        return await self._engine().embed(model, texts, dimensions=dimensions, truncate=truncate)

    async def rerank(self, model: str, query: str, documents: Sequence[str]) -> Ranking:
        return await self._engine().rerank(model, query, documents)

    async def load(self, model: str) -> AsyncGenerator[LoadProgress, None]:
        model, path = split_path(model)
        known = model in self._offers
        if not known and path is None and "/" not in model:
            available = ", ".join(self._offers)
            message = (
                f"Node '{self.name}' can't load {model}. Choose one of {available}, enter a hub model (owner/name), or "
                "the path of a directory or a .gguf file."
            )
            raise UserError(message, param="model")
        engine = self._engine()
        self._requested[model] += 1
        try:
            async with aclosing(engine.load(model, from_hub=path is None and "/" in model, path=path)) as steps:
                async for progress in steps:
                    if progress.done:
                        self._offers = tuple(dict.fromkeys([*self._offers, model]))
                        await self.status()
                    yield progress
        finally:
            self._requested[model] -= 1

    async def unload(self, model: str) -> None:
        await self._engine().unload(model)
        await self.status()

    async def remove(self, model: str) -> None:
        await self._engine().remove(model)
        self._offers = tuple(offered for offered in self._offers if offered != model)
        await self.status()

    async def delete_files(self, model: str) -> int:
        deleted = await self._engine().delete(model)
        await self.status()
        return deleted

    def _update(self, status: NodeStatus, *, reachable: bool) -> None:
        previous, self._status, self._reachable = self._status, status, reachable
        self.saw(status)
        if status.serves and not previous.serves:
            self.came_back()

    async def _watch(self) -> None:
        """Refresh the status, less often while the engine is ready."""
        while True:
            await self.status()
            await asyncio.sleep(self.refresh_seconds * (REFRESH_WHEN_READY if self._rests() else 1))

    def _rests(self) -> bool:
        return self._status.state == "ready" and not self._loading
