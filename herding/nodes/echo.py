"""A node for tests and demonstrations that repeats its input. It runs no model and is never a fallback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import ClassVar, Literal

from pydantic import Field

from herding.nodes.base import BuildContext, Node, NodeConfig
from herding.nodes.prices import FREE, Price
from herding.values import Call, Chunk, FinishReason, Usage

WORDS_AT_ONCE = 50
"""Words without a delay between two of which others get a turn of the event loop."""


class EchoConfig(NodeConfig):
    """An echo node in the nodes file. `delay` is the time in seconds from one word to the next."""

    label: ClassVar[str] = "Echo (test)"

    kind: Literal["echo"]
    models: list[str] = Field(default=["echo"], min_length=1)
    delay: float = Field(default=0.0, ge=0)

    def build(self, context: BuildContext) -> EchoNode:  # noqa: ARG002 (no collaborators needed)
        return EchoNode(self)


class EchoNode(Node):
    """Streams the last message (or the raw text) word by word; each word counts as a token."""

    def __init__(self, config: EchoConfig) -> None:
        super().__init__(config, models=config.models)
        self._delay = config.delay

    def known_price(self, model: str) -> Price:  # noqa: ARG002 (the same for all)
        return FREE

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        text = call.messages[-1].content if call.messages else call.text or ""
        words = text.split(" ")
        limit = call.parameters.max_tokens or len(words)
        clock = asyncio.get_running_loop().time
        began = clock()
        for number, word in enumerate(words[:limit]):
            if self._delay or number % WORDS_AT_ONCE == WORDS_AT_ONCE - 1:
                # From the begin on: pauses that each end a little late would add up.
                await asyncio.sleep(max(0.0, began + (number + 1) * self._delay - clock()))
            yield Chunk(text=word if number == 0 else f" {word}")
        finish: FinishReason = "stop" if limit >= len(words) else "length"
        input_tokens = sum(len(message.content.split()) for message in call.messages or ()) or len(text.split())
        yield Chunk(finish_reason=finish, usage=Usage(input_tokens, min(limit, len(words)), "node"))
