"""The abstract class of all nodes, and of their configurations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx
from pydantic import Field, field_validator

from herding.errors import NoNodeError, UserError
from herding.nodes.capabilities import TEXT_ONLY, Capabilities, CapabilitiesConfig
from herding.nodes.network import Network, check_authorities, check_proxy
from herding.nodes.prices import ANY_MODEL, Price, Prices
from herding.values import Call, Chunk, EmbeddingInput, Embeddings, Fields, LoadProgress, NodeStatus, Ranking
from herding.yaml_files import StrictModel

CHARS_PER_TOKEN = 3
"""A cautious estimate: most tokenizers have more characters per token."""

ENVIRONMENT_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class Deadlines(StrictModel):
    """Time limits of a request in seconds: to connect, to the first token, between tokens, and in total."""

    connect: float = Field(default=5, gt=0, allow_inf_nan=False)
    first_token: float = Field(default=60, gt=0, allow_inf_nan=False)
    idle: float = Field(default=30, gt=0, allow_inf_nan=False)
    total: float = Field(default=600, gt=0, allow_inf_nan=False)


class AutoSwitch(StrictModel):
    """Loads a model that requests have waited for `after_seconds`, at most once in `every_minutes` on its node."""

    after_seconds: float = Field(default=2, ge=0, allow_inf_nan=False)
    every_minutes: float = Field(default=10, ge=0, allow_inf_nan=False)


ON_DEMAND = AutoSwitch(after_seconds=0, every_minutes=0)
"""Loads a model as soon as a request waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """The collaborators that a configuration may use to build its node.

    `secret` looks up a secret by its name, `node_secret` is the secret of local engines, `transport` carries HTTP
    requests instead of the default one, and `network` has the proxies and certificate authorities of that. `models` is
    the directory for models of local engines.
    """

    secret: Callable[[str], str | None]
    node_secret: str | None = None
    transport: httpx.AsyncBaseTransport | None = None
    network: Network = field(default_factory=Network)
    models: Path | None = None


class NodeConfig(StrictModel):
    """One node of the nodes file. A kind of node narrows `kind` to a Literal and adds its own fields.

    `label` is the name of the kind on the page. `capabilities` says what the node can do where that differs from its
    kind. `prices` override those that are known for the models of the node.
    """

    label: ClassVar[str] = ""

    kind: str
    name: str
    concurrency: int | None = Field(default=None, ge=1)
    deadlines: Deadlines = Deadlines()
    capabilities: CapabilitiesConfig = CapabilitiesConfig()
    prices: Prices = Field(default_factory=dict)

    @abstractmethod
    def build(self, context: BuildContext) -> Node:
        """Return the node, not started."""


class RemoteConfig(NodeConfig):
    """A node on another machine, which can also be added while Herding runs.

    The form on the page has fields for its URL, its `models` and its secret, and for what has a title in its `Field`;
    the description there says what to enter. `ca_file` has the certificate authorities that the node is checked with,
    in PEM format. `proxy` is the URL of an HTTP proxy, empty for none; by default both are those of the environment.
    """

    url_field: ClassVar[str] = "base_url"
    """The field that holds the URL."""

    example_url: ClassVar[str] = ""
    key_help: ClassVar[str] = ""
    """The help text of the secret; empty for a kind without one."""

    ca_file: str | None = None
    proxy: str | None = None

    @field_validator("ca_file")
    @classmethod
    def _check_ca_file(cls, given: str | None) -> str | None:
        check_authorities(given)
        return given

    @field_validator("proxy")
    @classmethod
    def _check_proxy(cls, given: str | None) -> str | None:
        return check_proxy(given) if given else given

    def transport(self, context: BuildContext) -> httpx.AsyncBaseTransport:
        """Return the transport of the node."""
        if context.transport is not None:
            return context.transport
        return context.network.transport(self.address, ca_file=self.ca_file, proxy=self.proxy)

    @property
    def address(self) -> str:
        """The URL of the node; the URL of a template may contain placeholders."""
        return str(getattr(self, self.url_field))

    @classmethod
    def with_secrets(cls, fields: Mapping[str, Any], secrets: dict[str, str]) -> dict[str, Any]:
        """Return `fields` completed with the names of `secrets`, for a node that is added while Herding runs.

        A kind that finds credentials in its fields moves them into `secrets`. Raises UserError for a missing secret,
        and where a kind takes none.
        """
        if secrets:
            raise UserError("Nodes of this kind take no secret. Leave it empty.", param="secret")
        return dict(fields)


class Node(ABC):
    """A place that runs models.

    A kind of node implements `stream` and overrides what else it supports. `stream` raises NodeError (or UserError if
    the request is at fault), always ends with a chunk that has a finish reason, and stops the generation when it is
    closed. `concurrency` is the maximum number of simultaneous requests, None for no limit.
    A node that watches its server calls `saw` with each status, and `came_back` when a model is served again.
    """

    def __init__(self, config: NodeConfig, *, models: Sequence[str] = ()) -> None:
        self.name, self.kind = config.name, config.kind
        self.configured = config.capabilities
        self._text_only = self.configured.over(TEXT_ONLY)
        self.models = tuple(models)
        self.deadlines = config.deadlines
        self.concurrency = config.concurrency
        self.prices: Mapping[str, Price] = config.prices
        self.auto_switch: AutoSwitch | None = None
        self.saw: Callable[[NodeStatus], None] = lambda _: None
        self.came_back: Callable[[], None] = lambda: None

    @abstractmethod
    def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        """Stream the response to `call`."""

    @property
    def serves(self) -> tuple[str, ...]:
        """The models served at present, as last known."""
        return self.models

    @property
    def expects(self) -> tuple[str, ...]:
        """The models that are starting or loading and will be served soon."""
        return ()

    @property
    def offers(self) -> tuple[str, ...]:
        """The models that can be loaded."""
        return ()

    @property
    def can_load(self) -> bool:
        """True if the node can load models at present."""
        return bool(self.serves)

    @property
    def embeds(self) -> tuple[str, ...]:
        """The embedding models served at present."""
        return ()

    @property
    def reranks(self) -> tuple[str, ...]:
        """The rerankers served at present."""
        return ()

    def fault_of(self, model: str) -> str | None:  # noqa: ARG002 (for kinds that know)
        """Return why an embedding model or a reranker of the node can't be used; None where that is not known."""
        return None

    @property
    def formats(self) -> bool:
        """True if the node supports `response_format`."""
        return False

    def capabilities(self, model: str) -> Capabilities:  # noqa: ARG002 (for kinds that know)
        """Return what the node can do with a model: here, nothing but text."""
        return self._text_only

    def price(self, model: str) -> Price | None:
        """Return the price of a model: the configured one, else the known one, None if there is neither."""
        return self.prices.get(model) or self.prices.get(ANY_MODEL) or self.known_price(model)

    def known_price(self, model: str) -> Price | None:  # noqa: ARG002 (for kinds that know)
        """Return the price of a model that needs no configuration, None if it is not known."""
        return None

    async def start(self) -> None:  # noqa: B027 (optional)
        """Start background work and return at once; the node may still be loading."""

    async def close(self) -> None:  # noqa: B027
        """Stop background work and close connections; may be called twice."""

    async def look_again(self) -> None:  # noqa: B027
        """Update `serves` after a failure, quickly and without raising."""

    async def status(self) -> NodeStatus:
        """Return the current status; never raises."""
        return NodeStatus("ready", serves=self.serves)

    async def count(self, call: Call) -> tuple[int, int] | None:  # noqa: ARG002 (for kinds that can)
        """Return the input tokens of `call` and the context length of its model, or None if unknown."""
        return None

    async def embed(
        self,
        model: str,  # noqa: ARG002 (here and below: for kinds that can)
        texts: Sequence[EmbeddingInput],  # noqa: ARG002
        *,
        dimensions: int | None = None,  # noqa: ARG002
        more: Fields | None = None,  # noqa: ARG002
    ) -> Embeddings:
        """Return one vector per text, of `dimensions` numbers if given; raises the same errors as `stream`.

        `more` are further parameters of the request.
        """
        raise UserError(f"Node '{self.name}' does not support embeddings.", param="model")

    async def rerank(
        self,
        model: str,  # noqa: ARG002 (here and below: for kinds that can)
        query: str,  # noqa: ARG002
        documents: Sequence[str],  # noqa: ARG002
    ) -> Ranking:
        """Return how well each document answers a query; raises the same errors as `stream`."""
        raise UserError(f"Node '{self.name}' does not rerank.", param="model")

    def load(self, model: str) -> AsyncGenerator[LoadProgress, None]:  # noqa: ARG002
        """Load another model and stream progress, `done` last; after a NodeError the loaded models keep serving."""
        raise UserError(f"Node '{self.name}' can't load other models.")

    async def unload(self, model: str) -> None:  # noqa: ARG002
        """Free the memory of a loaded model, or cancel its loading; raise NodeError while requests use it."""
        raise UserError(f"Node '{self.name}' can't unload models.")

    async def remove(self, model: str) -> None:  # noqa: ARG002
        """Take a model that was added at run time from the list, unloaded first; raise NodeError while it is used."""
        raise UserError(f"Node '{self.name}' has no models that were added at run time.", param="model")

    async def delete_files(self, model: str) -> int:  # noqa: ARG002
        """Delete the files of a model that is not loaded, which can be downloaded or made again; return their bytes."""
        raise UserError(f"Node '{self.name}' has no files of models.", param="model")

    @property
    def takes_hub_models(self) -> bool:
        """True if `load` accepts models of the hub that are not among `offers`."""
        return False


class DisabledConfig(NodeConfig):
    """Stands for a node of `kind` that cannot run; `reason` says what an operator must do."""

    reason: str

    def build(self, context: BuildContext) -> DisabledNode:  # noqa: ARG002 (no collaborators needed)
        return DisabledNode(self)


class DisabledNode(Node):
    """A node that is off."""

    def __init__(self, config: DisabledConfig) -> None:
        super().__init__(config)
        self._reason = config.reason

    async def status(self) -> NodeStatus:
        return NodeStatus("off", detail=self._reason)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:  # noqa: ARG002
        raise NoNodeError(f"Node '{self.name}' is off. {self._reason}", node=self.name)
        yield Chunk()


def estimate_count(call: Call, context_length: int | None) -> tuple[int, int] | None:
    """Return the result of `Node.count` for a node without a tokenizer, None if its context length is unknown."""
    if context_length is None:
        return None
    chars = sum(len(message.content) for message in call.messages or ()) + len(call.text or "")
    return estimate_tokens(chars), context_length


def estimate_tokens(chars: int) -> int:
    """Return the estimated number of tokens in a text of `chars` characters."""
    return -(-chars // CHARS_PER_TOKEN)
