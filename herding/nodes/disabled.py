"""A node that cannot run as it is configured, and says why."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from herding.errors import NoNodeError
from herding.nodes.base import Node
from herding.values import Call, Chunk, NodeStatus


class DisabledNode(Node):
    """Serves nothing, in the place of a node of `kind`, until somebody does what `why` says."""

    def __init__(self, name: str, *, kind: str, why: str) -> None:
        super().__init__(name)
        self.kind = kind  # type: ignore[misc]  # the kind that it would be
        self._why = why

    async def status(self) -> NodeStatus:
        return NodeStatus("off", detail=self._why)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:  # noqa: ARG002
        raise NoNodeError(f"Node '{self.name}' is off. {self._why}", node=self.name)
        yield Chunk()
