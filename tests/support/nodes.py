"""Nodes for tests of what lies above them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

from herding.errors import ConnectError
from herding.nodes.base import BuildContext, Deadlines, Node, NodeConfig
from herding.nodes.echo import EchoConfig, EchoNode
from herding.nodes.openai import OpenAIConfig, OpenAINode
from herding.values import Call, Chunk, LoadProgress, NodeStatus


def echo(name: str = "echo", *models: str, delay: float = 0.0) -> EchoNode:
    """An echo node that serves `models`."""
    return EchoNode(EchoConfig(kind="echo", name=name, models=list(models) or ["echo"], delay=delay))


PATIENT = Deadlines(connect=30, first_token=60, idle=60, total=120)
"""No machine is so slow that these end what will come."""


def patience(fault: str) -> Deadlines:
    """Deadlines for a fault of the fake node: short where they are what ends it, else a slow machine would be one."""
    match fault.partition(":")[0]:
        case "hang" | "slow-ttfb" | "drip":
            return PATIENT.model_copy(update={"first_token": 0.3})
        case "hang-after":
            return PATIENT.model_copy(update={"idle": 0.75})
    return PATIENT


def openai(url: str, *models: str, name: str = "hosted", keys: dict[str, str] | None = None, **more: Any) -> OpenAINode:
    """A node at `url`, patient unless `more` gives other deadlines."""
    answers = list(models) or ([] if more.keys() & {"embedding_models", "rerank_models"} else ["ok"])
    config = OpenAIConfig(kind="openai", name=name, base_url=url, models=answers, **{"deadlines": PATIENT, **more})
    return OpenAINode(config, secret=(keys or {}).get)


class PlainConfig(NodeConfig):
    """The configuration of a node that a test makes by itself."""

    kind: str = "plain"

    def build(self, context: BuildContext) -> Node:
        raise NotImplementedError


class Scripted(Node):
    """Says its `words`, one a chunk, then stops; an exception among them is raised there."""

    def __init__(
        self, name: str, words: Sequence[str | Exception], *, models: Sequence[str] = ("echo",), ends: bool = True
    ) -> None:
        super().__init__(PlainConfig(name=name), models=models)
        self._words = words
        self._ends = ends
        self.calls: list[Call] = []
        self.open = self.said = 0

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        self.calls.append(call)
        self.open += 1
        try:
            for word in self._words:
                if isinstance(word, Exception):
                    raise word
                await asyncio.sleep(0)
                yield Chunk(text=word)
                self.said += 1  # the word was received, and the next is awaited
            if not self._ends:
                await asyncio.sleep(3600)
            yield Chunk(finish_reason="stop")
        finally:
            self.open -= 1


class Counting(Scripted):
    """Counts a token a word, and has a context of `context` tokens; counting takes `delay` seconds."""

    def __init__(self, name: str, *, context: int, delay: float = 0.0, **more: Any) -> None:
        super().__init__(name, **{"words": ["fine"], **more})
        self._context = context
        self._delay = delay

    async def count(self, call: Call) -> tuple[int, int]:
        await asyncio.sleep(self._delay)
        return sum(len(message.content.split()) for message in call.messages or ()), self._context


class Late(Scripted):
    """Expects its models, and serves them once `arrive` was called."""

    def __init__(self, name: str, words: Sequence[str], *, models: Sequence[str] = ("echo",)) -> None:
        super().__init__(name, words, models=models)
        self._there = False

    def arrive(self) -> None:
        self._there = True

    @property
    def serves(self) -> tuple[str, ...]:
        return self.models if self._there else ()

    @property
    def expects(self) -> tuple[str, ...]:
        return () if self._there else self.models


class Switchable(Scripted):
    """Serves nothing yet, and can be switched to its models."""

    serving: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()

    @property
    def expects(self) -> tuple[str, ...]:
        return self.expected

    @property
    def serves(self) -> tuple[str, ...]:
        return self.serving

    @property
    def offers(self) -> tuple[str, ...]:
        return self.models

    async def load(self, model: str) -> AsyncIterator[LoadProgress]:
        yield LoadProgress(0.5, "reading")
        self.serving = (model,)
        yield LoadProgress(1.0, "ready", done=True)


class Listing(Switchable):
    """Has models that can be removed, with files of 5 MB each."""

    removed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    async def unload(self, model: str) -> None:
        self.serving = ()

    async def remove(self, model: str) -> None:
        self.removed += (model,)

    async def delete_files(self, model: str) -> int:
        self.deleted += (model,)
        return 5_000_000


class Offering(Switchable):
    """Tells what it can be switched to."""

    async def status(self) -> NodeStatus:
        return NodeStatus("ready", offers=self.offers)


class Reborn(Scripted):
    """Dies at its first call, is away for a moment, and then answers."""

    def __init__(self, name: str) -> None:
        super().__init__(name, ["alive"])
        self._away = False

    @property
    def serves(self) -> tuple[str, ...]:
        return () if self._away else self.models

    @property
    def expects(self) -> tuple[str, ...]:
        return self.models

    async def look_again(self) -> None:
        self._away = True
        asyncio.get_running_loop().call_later(0.5, setattr, self, "_away", False)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        if not self.calls:
            self.calls.append(call)
            raise ConnectError("gone")
        async for chunk in super().stream(call):
            yield chunk
