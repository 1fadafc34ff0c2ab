"""The one abstract class of all nodes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import ClassVar

from pydantic import Field

from herding.errors import UserError
from herding.values import Call, Chunk, Embeddings, LoadProgress, NodeStatus
from herding.yaml_files import StrictModel

CHARS_PER_TOKEN = 3
"""An estimate on the safe side: most tokenizers take more characters into one."""


class Deadlines(StrictModel):
    """How long a node may take, in seconds: to connect, to the first token, between tokens, and in all."""

    connect: float = Field(default=5, gt=0, allow_inf_nan=False)
    first_token: float = Field(default=60, gt=0, allow_inf_nan=False)
    idle: float = Field(default=30, gt=0, allow_inf_nan=False)
    total: float = Field(default=600, gt=0, allow_inf_nan=False)


class AutoSwitch(StrictModel):
    """That a node may be switched by demand: `after_seconds` of it, and once in `every_minutes` at most."""

    after_seconds: float = Field(default=2, ge=0, allow_inf_nan=False)
    every_minutes: float = Field(default=10, ge=0, allow_inf_nan=False)


class Node(ABC):
    """A place that runs models.

    A kind must say how to `stream`; whatever else it can do, it overrides. `stream` raises a NodeError (or a
    UserError where the request is at fault), always ends with a chunk that has a finish reason, and stops the
    generation when it is closed. `concurrency` is how many requests it takes at once, None for any number.
    A kind of ours calls `came_back` when the engine serves a model and did not before.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        name: str,
        *,
        models: Sequence[str] = (),
        deadlines: Deadlines | None = None,
        concurrency: int | None = None,
    ) -> None:
        self.name = name
        self.models = tuple(models)
        self.deadlines = deadlines or Deadlines()
        self.concurrency = concurrency
        self.auto_switch: AutoSwitch | None = None
        self.came_back: Callable[[], None] = lambda: None

    @abstractmethod
    def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        """The answer to `call`, piece by piece."""

    @property
    def serves(self) -> tuple[str, ...]:
        """The models that the node answers with now, as last known; no waiting."""
        return self.models

    @property
    def expects(self) -> tuple[str, ...]:
        """The models that the node will serve within a minute or so without anybody's help: it starts, or loads."""
        return ()

    @property
    def offers(self) -> tuple[str, ...]:
        """The models that the node can be switched to."""
        return ()

    @property
    def embeds(self) -> tuple[str, ...]:
        """The models that the node makes embeddings with now."""
        return ()

    @property
    def formats(self) -> bool:
        """Whether the node can keep an answer to a `response_format`."""
        return False

    async def start(self) -> None:  # noqa: B027 (most kinds have nothing to start)
        """Begin whatever runs beside the requests. Returns at once; the node may still be loading."""

    async def close(self) -> None:  # noqa: B027
        """End everything that `start` began."""

    async def look_again(self) -> None:  # noqa: B027
        """Called after a failure: a kind whose `serves` may have changed by it looks again. Quick; never raises."""

    async def status(self) -> NodeStatus:
        """The node at this moment; never raises."""
        return NodeStatus("ready", serves=self.serves)

    async def count(self, call: Call) -> tuple[int, int] | None:  # noqa: ARG002 (for kinds that can)
        """Input tokens of `call` and the context length of its model; None where the node cannot tell."""
        return None

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:  # noqa: ARG002
        """A vector for each text, of `dimensions` numbers where that is given; raises what `stream` raises."""
        raise UserError(f"Node '{self.name}' makes no embeddings.", param="model")

    def load(self, model: str) -> AsyncIterator[LoadProgress]:  # noqa: ARG002
        """Switch to another model; yields progress, ends with `done`. NodeError leaves the old model in place."""
        raise UserError(f"Node '{self.name}' cannot switch models.")


def estimated(call: Call, context_length: int | None) -> tuple[int, int] | None:
    """What `Node.count` tells for a node that knows the context of its model, and no tokenizer."""
    if context_length is None:
        return None
    chars = sum(len(message.content) for message in call.messages or ()) + len(call.text or "")
    return tokens_of(chars), context_length


def tokens_of(chars: int) -> int:
    """How many tokens so many characters are taken for."""
    return -(-chars // CHARS_PER_TOKEN)
