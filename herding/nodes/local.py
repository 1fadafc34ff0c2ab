"""The node on this machine: an engine process that is started, watched and restarted when it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from herding.errors import ConfigError, HerdingError, NodeError, NoNodeError, UserError
from herding.nodes.added_models import AddedModels
from herding.nodes.base import ON_DEMAND, AutoSwitch, BuildContext, NodeConfig
from herding.nodes.child_process import ChildProcess
from herding.nodes.engine.client import EngineClient
from herding.nodes.engine.node import EngineNode
from herding.values import SPECIALIST, LoadProgress, NodeStatus
from herding.values.model_paths import expanded, is_model_path, model_id_of, split_path
from herding.values.sizes import parse_size

log = logging.getLogger(__name__)


class LocalConfig(NodeConfig):
    """The engine in the nodes file: the models that are loaded at startup, and others that are loaded on demand.

    `resident` models are loaded at startup; `model` is a shorter form for one of them. `models` can be loaded. A model
    is an id at the model hub, or a path that begins with `/`, `./`, `../` or `~`, or ends with `.gguf`: a directory or
    a GGUF file, whose name is the id, or `id=path`. `paths` gives other ids to paths. All models together take at most
    `memory`, such as `8GB`. A model that was loaded on demand is unloaded after `keep_alive` seconds without requests,
    null for never. `quantization` needs a GPU.
    `embedding_models` make embeddings beside them, and `rerank_models` score documents: ids at the hub, or directories,
    of models of sentence-transformers.
    """

    label: ClassVar[str] = "Local engine"

    kind: Literal["local"]
    model: str = SPECIALIST
    resident: list[str] = Field(default_factory=list)
    models: list[str] = Field(default_factory=list)
    embedding_models: list[str] = Field(default_factory=lambda: ["sentence-transformers/all-MiniLM-L6-v2"])
    rerank_models: list[str] = Field(default_factory=list)
    paths: dict[str, str] = Field(default_factory=dict)
    quantization: Literal["none", "8bit", "4bit"] = "none"
    memory: str | int | None = None
    keep_alive: float | None = Field(default=1800, gt=0, allow_inf_nan=False)
    threads: int | None = Field(default=None, ge=1)
    concurrency: int | None = Field(default=8, ge=1)
    auto_switch: AutoSwitch | None = ON_DEMAND

    @field_validator("memory")
    @classmethod
    def _check_memory(cls, given: str | int | None) -> str | int | None:
        return None if given is None else parse_size(given)

    @property
    def initial(self) -> tuple[str, ...]:
        """The models that are loaded at startup."""
        first = [self.model] if "model" in self.model_fields_set or not self.resident else []
        return tuple(dict.fromkeys([*first, *self.resident]))

    def with_paths_from(self, directory: Path) -> LocalConfig:
        """Return the configuration with ids for models, and absolute paths; relative ones start at a directory."""
        paths = {id: _absolute(directory, path) for id, path in self.paths.items()}

        def id_of(model: str) -> str:
            id, separator, text = model.partition("=")
            if model in paths or not (separator or is_model_path(model)):
                return model
            if not separator or is_model_path(id):
                id, text = "", model
            path = _absolute(directory, text)
            if paths.setdefault(id := id or model_id_of(Path(path)), path) != path:
                raise ConfigError(f"two models have the name '{id}'; give one another name under 'paths'")
            return id

        found = {"models": [id_of(model) for model in self.models], "paths": paths}
        found["embedding_models"] = [id_of(model) for model in self.embedding_models]
        found["rerank_models"] = [id_of(model) for model in self.rerank_models]
        if self.resident:
            found["resident"] = [id_of(model) for model in self.resident]
        if "model" in self.model_fields_set:
            found["model"] = id_of(self.model)
        return self.model_copy(update=found)

    def source(self, model: str) -> str:
        """Return a model as the engine's command line takes it: its id, with its path if it has one."""
        return f"{model}={self.paths[model]}" if model in self.paths else model

    def build(self, context: BuildContext) -> LocalNode:
        return LocalNode(self, node_secret=context.node_secret, directory=context.models)


def _absolute(directory: Path, path: str) -> str:
    return os.path.normpath(directory.absolute() / expanded(path))


def _offers(config: LocalConfig, added: Iterable[str]) -> tuple[str, ...]:
    """Return the models that can be loaded to respond; a path that only embeds or reranks is none of them."""
    initial = [model for model in config.initial if model]  # without any, the node only makes embeddings
    named = [*initial, *config.models, *added]
    others = {*config.embedding_models, *config.rerank_models}
    return tuple(dict.fromkeys([*named, *(id for id in config.paths if id not in others)]))


class LocalNode(EngineNode):
    """Runs models in a child process; a crash there ends its requests with an error, never the app.

    `directory` holds converted and downloaded models, and remembers the models that were added while Herding ran.
    """

    refresh_seconds: ClassVar[float] = 0.3

    def __init__(self, config: LocalConfig, *, node_secret: str | None = None, directory: Path | None = None) -> None:
        config = config.with_paths_from(Path())
        self._directory = directory.absolute() if directory else None
        self._added = AddedModels(self._directory / f"{config.name}.json" if self._directory else None)
        super().__init__(config, auto_switch=config.auto_switch, offers=_offers(config, self._added))
        self._config = config
        self._configured = _offers(config, ())
        self._loaded = config.initial
        self._restoring: set[asyncio.Task[None]] = set()
        self._secret = node_secret or secrets.token_urlsafe(32)
        self._child: ChildProcess | None = None
        self._client: EngineClient | None = None

    @property
    def expects(self) -> tuple[str, ...]:
        if self._reachable:
            return self._loading
        return self._loaded  # the engine is restarted, and loads them again

    @property
    def pid(self) -> int | None:
        """The process id of the engine."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        environment = {**os.environ, "HERDING_NODE_SECRET": self._secret}
        if downloads := self._downloads:
            environment["HF_HUB_CACHE"] = str(downloads)
        self._child = ChildProcess(
            self._command, name=self.name, environment=environment, on_up=self._on_up, on_down=self._on_down
        )
        self._child.start()
        await super().start()

    async def close(self) -> None:
        await super().close()
        for task in self._restoring:
            task.cancel()
        if self._child:
            await self._child.close()
        if self._client:
            await self._client.close()

    async def load(self, model: str) -> AsyncGenerator[LoadProgress, None]:
        id, path = split_path(model)
        if path:
            try:
                path = _absolute(Path(), path)
            except ConfigError as error:
                raise UserError(error.message, param="model") from None
        elif id not in self._config.paths:  # else the engine knows it
            path = self._added.paths.get(id)
        is_new = id not in self._offers
        async with aclosing(super().load(f"{id}={path}" if path else id)) as steps:
            async for progress in steps:
                if is_new and (progress.done or (progress.stage == "downloading" and progress.fraction)):
                    is_new = False  # a download that breaks off is listed too, so that it can be continued
                    self._added.add(id, path)
                    self._offers = tuple(dict.fromkeys([*self._offers, id]))
                yield progress

    async def remove(self, model: str) -> None:
        if model in self._configured:
            raise UserError(f"'{model}' is in the nodes file. Remove it there, then restart Herding.", param="model")
        await super().remove(model)
        self._added.remove(model)

    async def status(self) -> NodeStatus:
        client = self._client
        if client is None:
            return self._status
        try:
            status, reachable = await client.status(offers=self._offers), True
        except NodeError as error:
            status, reachable = NodeStatus("down", offers=self._offers, detail=error.message), False
        if client is self._client:  # otherwise the engine died meanwhile, and the status is outdated
            self._update(status, reachable=reachable)
            if reachable:
                self._loaded = tuple(
                    model.id
                    for model in status.models
                    if model.state == "loaded" or (model.state == "loading" and model.id in self._config.initial)
                )
        return self._status

    def _command(self) -> list[str]:
        """Return the command of the engine: it loads those of the initial models that were loaded when it died."""
        command = [sys.executable, "-m", "herding.engine", "--exit-with-parent"]
        for model in [model for model in self._config.initial if model in self._loaded] or [""]:
            command += ["--model", model]
        for model in self._configured:
            command += ["--offer", self._config.source(model)]
        for model in self._added:
            path = self._added.paths.get(model)
            command += ["--added", f"{model}={path}" if path else model]
        for model in self._config.embedding_models or [""]:
            command += ["--embed", self._config.source(model)]
        for model in self._config.rerank_models:
            command += ["--rerank", self._config.source(model)]
        command += ["--quantization", self._config.quantization, "--keep-alive", str(self._config.keep_alive or 0)]
        if self._config.memory:
            command += ["--memory", str(self._config.memory)]
        if self._directory:
            command += ["--cache", str(self._directory / "converted")]
        if downloads := self._downloads:
            command += ["--downloads", str(downloads)]
        if self._config.threads:
            command += ["--threads", str(self._config.threads)]
        return command

    @property
    def _downloads(self) -> Path | None:
        """The directory for models of the hub; None for the one of all programs of this user, which is set then."""
        if self._directory is None or os.environ.keys() & {"HF_HOME", "HF_HUB_CACHE"}:
            return None
        return self._directory / "hub"

    def _engine(self) -> EngineClient:
        if self._client is None:
            message = f"Node '{self.name}' is not running: {self._status.detail} Try again in a few seconds."
            raise NoNodeError(message, node=self.name)
        return self._client

    async def _on_up(self, announcement: dict[str, Any]) -> None:
        base_url = f"http://127.0.0.1:{int(announcement['port'])}"
        self._client = EngineClient(base_url, self._secret, name=self.name, deadlines=self.deadlines)
        for model in [model for model in self._loaded if model not in self._config.initial]:
            task = asyncio.create_task(self._restore(self._client, model), name=f"restore {model}")
            self._restoring.add(task)
            task.add_done_callback(self._restoring.discard)
        await self.status()

    async def _restore(self, client: EngineClient, model: str) -> None:
        """Load a model again that was loaded on demand when the engine died."""
        try:
            async for _ in client.load(model):
                pass
        except HerdingError as error:
            log.warning("restore model failed (node %s, model %s): %s", self.name, model, error.message)

    async def _on_down(self, reason: str) -> None:
        client, self._client = self._client, None
        detail = f"The engine died ({reason}) and is restarting."
        self._update(NodeStatus("down", offers=self._offers, detail=detail), reachable=False)
        if client:
            await client.close()
