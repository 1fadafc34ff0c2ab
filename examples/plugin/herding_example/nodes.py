"""A kind of node."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal

from pydantic import Field

from herding.nodes.base import BuildContext, Node, NodeConfig
from herding.values import Call, Chunk, Usage


class ReverseConfig(NodeConfig):
    """A node of this kind in the nodes file."""

    kind: Literal["reverse"]
    models: list[str] = Field(default=["reverse"], min_length=1)

    def build(self, context: BuildContext) -> Node:
        """Return the node."""
        return ReverseNode(self, models=self.models)


class ReverseNode(Node):
    """Returns the last message with its characters in reverse order."""

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        """Stream the response, which ends with a chunk that has a finish reason."""
        text = call.messages[-1].content if call.messages else call.text or ""
        yield Chunk(text=text[::-1])
        yield Chunk(finish_reason="stop", usage=Usage(len(text.split()), len(text.split()), "node"))
