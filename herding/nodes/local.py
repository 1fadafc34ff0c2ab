"""The node on this machine: an engine process that is started, watched and restarted when it dies."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from herding.errors import ConfigError, NodeError, NoNodeError
from herding.nodes.base import AutoSwitch, BuildContext, NodeConfig
from herding.nodes.child_process import ChildProcess
from herding.nodes.engine_client import EngineClient, EngineNode
from herding.values import NodeStatus
from herding.values.model_paths import is_model_path, model_id_of


class LocalConfig(NodeConfig):
    """The engine in the nodes file: the model to load at startup, and other models that can be loaded.

    A model is an id at the model hub, or a path that begins with `/`, `./`, `../` or `~`, or ends with `.gguf`: a
    directory or a GGUF file, whose name is the id. `paths` gives other ids to paths. `quantization` needs a GPU.
    `embedding_models` make embeddings beside it: ids at the hub, or directories, of sentence-transformers models.
    """

    kind: Literal["local"]
    model: str = "herding/cria"
    models: list[str] = Field(default_factory=list)
    embedding_models: list[str] = Field(default_factory=lambda: ["sentence-transformers/all-MiniLM-L6-v2"])
    paths: dict[str, str] = Field(default_factory=dict)
    quantization: Literal["none", "8bit", "4bit"] = "none"
    threads: int | None = Field(default=None, ge=1)
    concurrency: int | None = Field(default=8, ge=1)
    auto_switch: AutoSwitch | None = None

    def with_paths_from(self, directory: Path) -> LocalConfig:
        """Return the configuration with ids for models, and absolute paths; relative ones start at a directory."""
        paths = {id: _absolute(directory, path) for id, path in self.paths.items()}

        def id_of(model: str) -> str:
            if model in paths or not is_model_path(model):
                return model
            path = _absolute(directory, model)
            if paths.setdefault(id := model_id_of(Path(path)), path) != path:
                raise ConfigError(f"two models have the name '{id}'; give one another name under 'paths'")
            return id

        model, models = id_of(self.model), [id_of(model) for model in self.models]
        embedding = [id_of(model) for model in self.embedding_models]
        update = {"model": model, "models": models, "embedding_models": embedding, "paths": paths}
        return self.model_copy(update=update)

    def source(self, model: str) -> str:
        """Return a model as the engine's command line takes it: its id, with its path if it has one."""
        return f"{model}={self.paths[model]}" if model in self.paths else model

    def build(self, context: BuildContext) -> LocalNode:
        return LocalNode(self, node_secret=context.node_secret)


def _absolute(directory: Path, path: str) -> str:
    return os.path.normpath(directory.absolute() / Path(path).expanduser())


def _offers(config: LocalConfig) -> tuple[str, ...]:
    """Return the models that can be loaded to respond; a path that only makes embeddings is none of them."""
    named = [model for model in (config.model, *config.models) if model]  # a node may only make embeddings
    return tuple(dict.fromkeys([*named, *(id for id in config.paths if id not in config.embedding_models)]))


class LocalNode(EngineNode):
    """Runs models in a child process; a crash there ends its requests with an error, never the app."""

    kind: ClassVar[str] = "local"
    refresh_seconds: ClassVar[float] = 0.3

    def __init__(self, config: LocalConfig, *, node_secret: str | None = None) -> None:
        config = config.with_paths_from(Path())
        super().__init__(
            config.name,
            deadlines=config.deadlines,
            concurrency=config.concurrency,
            auto_switch=config.auto_switch,
            offers=_offers(config),
            capabilities=config.capabilities,
        )
        self._config = config
        self._model = config.model
        self._secret = node_secret or secrets.token_urlsafe(32)
        self._child: ChildProcess | None = None
        self._client: EngineClient | None = None
        self._unreachable = True

    @property
    def expects(self) -> tuple[str, ...]:
        if self._status.loading:
            return (self._status.loading,)
        returns = self._unreachable or self._status.state in ("starting", "loading")  # it is restarted if necessary
        return (self._model,) if returns else ()

    @property
    def pid(self) -> int | None:
        """The process id of the engine."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        command = [sys.executable, "-m", "herding.engine", "--exit-with-parent", "--model", self._model]
        for model in self._offers:
            command += ["--offer", self._config.source(model)]
        for model in self._config.embedding_models or [""]:
            command += ["--embed", self._config.source(model)]
        command += ["--quantization", self._config.quantization]
        if self._config.threads:
            command += ["--threads", str(self._config.threads)]
        environment = {**os.environ, "HERDING_NODE_SECRET": self._secret}
        self._child = ChildProcess(
            command, name=self.name, environment=environment, on_up=self._on_up, on_down=self._on_down
        )
        self._child.start()
        await super().start()

    async def close(self) -> None:
        await super().close()
        if self._child:
            await self._child.close()
        if self._client:
            await self._client.close()

    async def status(self) -> NodeStatus:
        client = self._client
        if client is None:
            return self._status
        try:
            status, unreachable = await client.status(offers=self._offers), False
        except NodeError as error:
            status, unreachable = NodeStatus("down", offers=self._offers, detail=error.message), True
        if client is self._client:  # otherwise the engine died meanwhile, and the status is outdated
            self._unreachable = unreachable
            self._model = next(iter(status.serves), self._model)
            self._update(status)
        return self._status

    def _engine(self) -> EngineClient:
        if self._client is None:
            message = f"Node '{self.name}' is not running: {self._status.detail} Try again in a few seconds."
            raise NoNodeError(message, node=self.name)
        return self._client

    async def _on_up(self, announcement: dict[str, Any]) -> None:
        base_url = f"http://127.0.0.1:{int(announcement['port'])}"
        self._client = EngineClient(base_url, self._secret, name=self.name, deadlines=self.deadlines)
        await self.status()

    async def _on_down(self, reason: str) -> None:
        client, self._client, self._unreachable = self._client, None, True
        self._update(NodeStatus("down", offers=self._offers, detail=f"The engine died ({reason}) and is restarting."))
        if client:
            await client.close()
