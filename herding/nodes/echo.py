"""A node for tests and demonstrations that answers with what it was asked. It is no model and never a fallback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import ClassVar, Literal

from pydantic import Field

from herding.nodes.base import Deadlines, Node
from herding.values import Call, Chunk, FinishReason, Usage
from herding.yaml_files import StrictModel


class EchoConfig(StrictModel):
    """An echo node in the nodes file. `delay` is the pause in seconds before each word."""

    kind: Literal["echo"]
    name: str
    models: list[str] = Field(default=["echo"], min_length=1)
    delay: float = Field(default=0.0, ge=0)
    concurrency: int | None = Field(default=None, ge=1)
    deadlines: Deadlines = Deadlines()


class EchoNode(Node):
    """Answers with the last message (or the raw text), word by word; a token is a word."""

    kind: ClassVar[str] = "echo"

    def __init__(self, config: EchoConfig) -> None:
        super().__init__(config.name, models=config.models, deadlines=config.deadlines, concurrency=config.concurrency)
        self._delay = config.delay

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        asked = call.messages[-1].content if call.messages else call.text or ""
        words = asked.split(" ")
        limit = call.parameters.max_tokens or len(words)
        for number, word in enumerate(words[:limit]):
            await asyncio.sleep(self._delay)
            yield Chunk(text=word if number == 0 else f" {word}")
        finish: FinishReason = "stop" if limit >= len(words) else "length"
        given = sum(len(message.content.split()) for message in call.messages or ()) or len(asked.split())
        yield Chunk(finish_reason=finish, usage=Usage(given, min(limit, len(words)), "node"))
