"""The node on this machine: an engine process that we launch, watch and, when it dies, launch again."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
from collections.abc import AsyncGenerator
from typing import Any, ClassVar, Literal

from pydantic import Field

from herding.errors import NodeError, NoNodeError, UserError
from herding.nodes.base import AutoSwitch, Deadlines, Node
from herding.nodes.child import Child
from herding.nodes.engine_client import EngineClient
from herding.values import Call, Chunk, LoadProgress, NodeStatus
from herding.yaml_files import StrictModel

WATCH_EVERY = 0.3
"""Seconds between two looks at an engine that is not ready."""

REST = 10
"""So many times as long is the pause while it is."""

log = logging.getLogger(__name__)


class LocalConfig(StrictModel):
    """The engine in the nodes file: the model it starts with, and those it may be switched to.

    `paths` give local directories for some of the models. `quantization` needs a GPU.
    """

    kind: Literal["local"]
    name: str
    model: str = "herding/cria"
    models: list[str] = Field(default_factory=list)
    paths: dict[str, str] = Field(default_factory=dict)
    quantization: Literal["none", "8bit", "4bit"] = "none"
    threads: int | None = Field(default=None, ge=1)
    concurrency: int | None = Field(default=8, ge=1)
    auto_switch: AutoSwitch | None = None
    deadlines: Deadlines = Deadlines()


class LocalNode(Node):
    """Runs models in a child process; a crash there ends its requests with an error, never the app."""

    kind: ClassVar[str] = "local"

    def __init__(self, config: LocalConfig, *, node_secret: str | None = None) -> None:
        super().__init__(config.name, deadlines=config.deadlines, concurrency=config.concurrency)
        self.auto_switch = config.auto_switch
        self._config = config
        self._model = config.model
        self._offers = tuple(dict.fromkeys([config.model, *config.models, *config.paths]))
        self._secret = node_secret or secrets.token_urlsafe(32)
        self._child: Child | None = None
        self._client: EngineClient | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._silent = True  # an engine that does not answer comes back by itself, or is started again
        self._last = NodeStatus("starting", offers=self._offers, detail="The engine starts.")

    @property
    def serves(self) -> tuple[str, ...]:
        return self._last.serves

    @property
    def expects(self) -> tuple[str, ...]:
        if self._last.loading:
            return (self._last.loading,)
        coming = self._silent or self._last.state in ("starting", "loading")
        return (self._model,) if coming else ()

    @property
    def offers(self) -> tuple[str, ...]:
        return self._offers

    @property
    def pid(self) -> int | None:
        """Process id of the engine."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        self._launch()
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {self.name}")

    async def close(self) -> None:
        if self._watcher:
            self._watcher.cancel()
        if self._child:
            await self._child.close()
        if self._client:
            await self._client.close()

    async def look_again(self) -> None:
        await self.status()

    async def status(self) -> NodeStatus:
        client = self._client
        if client is not None:
            try:
                told, silent = await client.status(offers=self._offers), False
            except NodeError as error:
                told, silent = NodeStatus("down", offers=self._offers, detail=error.message), True
            if client is self._client:  # else it died meanwhile, and this is old news
                before, self._last, self._silent = self._last, told, silent
                self._model = next(iter(told.serves), self._model)
                if told.serves and not before.serves:
                    self.came_back()
        return self._last

    def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        return self._up().generate(call)

    async def count(self, call: Call) -> tuple[int, int] | None:
        return await self._up().count(call)

    async def load(self, model: str) -> AsyncGenerator[LoadProgress, None]:
        if model not in self._offers:
            raise UserError(f"Node '{self.name}' does not offer {model}. It offers: {', '.join(self._offers)}.")
        async for progress in self._up().load(model):
            if progress.done:
                await self.status()
            yield progress

    def _up(self) -> EngineClient:
        if self._client is None:
            raise NoNodeError(
                f"Node '{self.name}' is not up: {self._last.detail} Try again in some seconds.", node=self.name
            )
        return self._client

    def _launch(self) -> None:
        command = [sys.executable, "-m", "herding.engine", "--exit-with-parent", "--model", self._model]
        for model in self._offers:
            command += ["--offer", f"{model}={self._config.paths[model]}" if model in self._config.paths else model]
        command += ["--quantization", self._config.quantization]
        if self._config.threads:
            command += ["--threads", str(self._config.threads)]
        environment = {**os.environ, "HERDING_NODE_SECRET": self._secret}
        self._child = Child(
            command, name=self.name, environment=environment, on_up=self._came_up, on_down=self._went_down
        )
        self._child.start()

    async def _came_up(self, announced: dict[str, Any]) -> None:
        base_url = f"http://127.0.0.1:{int(announced['port'])}"
        self._client = EngineClient(base_url, self._secret, name=self.name, deadlines=self.deadlines)
        await self.status()

    async def _went_down(self, reason: str) -> None:
        client, self._client, self._silent = self._client, None, True
        self._last = NodeStatus("down", offers=self._offers, detail=f"The engine died ({reason}); it is started again.")
        if client:
            await client.close()

    async def _watch(self) -> None:
        """Keep `serves` fresh while the engine loads; a ready engine is asked less often."""
        while True:
            await self.status()
            await asyncio.sleep(WATCH_EVERY if self._last.state != "ready" else WATCH_EVERY * REST)
