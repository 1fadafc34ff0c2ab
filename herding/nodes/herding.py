"""Our engine on another machine: `python -m herding.engine` there, its address and the shared secret here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import ClassVar, Literal

import httpx
from pydantic import Field, field_validator

from herding.errors import BadResponseError, MisconfiguredError, NodeError, UserError
from herding.nodes.base import AutoSwitch, Deadlines, Node
from herding.nodes.engine_client import EngineClient
from herding.nodes.headers import fits_header
from herding.nodes.origin import origin_of
from herding.values import Call, Chunk, LoadProgress, NodeStatus
from herding.yaml_files import StrictModel

WATCH_EVERY = 0.5
"""Seconds between two looks at an engine that is about to be ready."""

REST = 10
"""So many times as long is the pause while an engine is ready, or away."""


class HerdingConfig(StrictModel):
    """An engine in the nodes file. `secret_env` names the environment variable that holds the shared secret."""

    kind: Literal["herding"]
    name: str
    base_url: str
    secret_env: str = Field(default="HERDING_NODE_SECRET", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    concurrency: int | None = Field(default=8, ge=1)
    auto_switch: AutoSwitch | None = None
    deadlines: Deadlines = Deadlines()

    @field_validator("base_url")
    @classmethod
    def _url_is_strict(cls, url: str) -> str:
        origin_of(url)
        if "?" in url:
            raise ValueError("an engine's URL has no query")
        return url.rstrip("/")


class HerdingNode(Node):
    """Asks an engine that somebody else started; what it may be switched to is what the engine offers."""

    kind: ClassVar[str] = "herding"

    def __init__(
        self,
        config: HerdingConfig,
        *,
        secret: Callable[[str], str | None],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(config.name, deadlines=config.deadlines, concurrency=config.concurrency)
        self.auto_switch = config.auto_switch
        self._secret_env = config.secret_env
        found = secret(config.secret_env) or ""
        self._secret = found if fits_header(found) else ""
        self._client = EngineClient(
            config.base_url, self._secret, name=config.name, deadlines=config.deadlines, transport=transport
        )
        self._offers: tuple[str, ...] = ()
        self._last = NodeStatus("starting", detail="The engine has not answered yet.") if self._secret else self._off()
        self._watcher: asyncio.Task[None] | None = None

    @property
    def serves(self) -> tuple[str, ...]:
        return self._last.serves

    @property
    def expects(self) -> tuple[str, ...]:
        return (self._last.loading,) if self._last.loading else ()

    @property
    def offers(self) -> tuple[str, ...]:
        return self._offers

    async def start(self) -> None:
        if self._secret:
            self._watcher = asyncio.create_task(self._watch(), name=f"watch {self.name}")

    async def close(self) -> None:
        if self._watcher:
            self._watcher.cancel()
        await self._client.close()

    async def look_again(self) -> None:
        await self.status()

    async def status(self) -> NodeStatus:
        if not self._secret:
            return self._last
        try:
            if not self._offers:
                self._offers = await self._client.models()
            before, self._last = self._last, await self._client.status(offers=self._offers)
            if self._last.serves and not before.serves:
                self.came_back()
        except MisconfiguredError:
            self._last = NodeStatus("down", detail="The engine refuses the secret. Enter the one it was started with.")
        except NodeError as error:
            self._last = NodeStatus("down", offers=self._offers, detail=error.message)
        except (LookupError, TypeError, UserError):
            self._last = NodeStatus("down", detail="What answers there is no engine of ours.")
        return self._last

    def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        return self._client.generate(call)

    async def count(self, call: Call) -> tuple[int, int] | None:
        try:
            return await self._client.count(call)
        except (LookupError, TypeError):
            raise BadResponseError(f"What answers at node '{self.name}' is no engine of ours.") from None

    async def load(self, model: str) -> AsyncGenerator[LoadProgress, None]:
        if model not in self._offers:
            raise UserError(f"Node '{self.name}' does not offer {model}. It offers: {', '.join(self._offers)}.")
        async for progress in self._client.load(model):
            if progress.done:
                await self.status()
            yield progress

    def _off(self) -> NodeStatus:
        return NodeStatus("off", detail=f"Set {self._secret_env} to the engine's secret to switch this node on.")

    async def _watch(self) -> None:
        """Keep `serves` fresh; an engine that loads is asked more often."""
        while True:
            status = await self.status()
            busy = status.state in ("starting", "loading")
            await asyncio.sleep(WATCH_EVERY if busy else WATCH_EVERY * REST)
