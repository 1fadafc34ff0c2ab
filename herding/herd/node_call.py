"""Calls one node under its deadlines, for a stream that can be stopped or for embeddings."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Sequence

from herding.errors import BadResponseError, DeadlineError, HerdingError, StreamInterruptedError
from herding.nodes.base import Node
from herding.values import Call, Chunk, Embeddings, Usage

MAX_CHARS = 4_000_000

DEADLINE_UPDATES = 50
"""The idle deadline is moved at most this often in its duration, since chunks may arrive every millisecond."""


class NodeCall:
    """Streams the chunks of a node from its own task.

    A stop, a disconnected caller and a deadline end the generation at once, even while the node waits for data. Iterate
    `chunks` once, then call `close`.
    """

    def __init__(self, node: Node, call: Call) -> None:
        self._node, self._call = node, call
        self._queue: asyncio.Queue[Chunk | HerdingError] = asyncio.Queue()
        self._task = asyncio.create_task(self._pump(), name=f"call {call.id}")
        self.stopped = False

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """Stream the chunks; the last one has a finish reason (`cancelled` after `stop`)."""
        while True:
            item = await self._queue.get()
            if isinstance(item, HerdingError):
                raise item
            yield item
            if item.finish_reason:
                return

    def stop(self) -> None:
        """Stop the generation; the stream ends with a `cancelled` chunk."""
        if not self.stopped:
            self.stopped = True
            self._task.cancel()
            self._queue.put_nowait(Chunk(finish_reason="cancelled"))

    async def close(self) -> None:
        """Stop the generation if it still runs, and wait for the node to release it."""
        if self._task.done():
            return
        self._task.cancel()
        await asyncio.wait([self._task])  # unlike `await self._task`, this raises only our own cancellation

    async def _pump(self) -> None:
        name, limits = self._node.name, self._node.deadlines
        loop, first, chars, updated = asyncio.get_running_loop(), True, 0, -math.inf
        ends = loop.time() + limits.total
        try:
            async with (
                asyncio.timeout(min(limits.first_token, limits.total)) as deadline,
                contextlib.aclosing(self._node.stream(self._call)) as chunks,
            ):
                async for chunk in chunks:
                    now = loop.time()
                    if now > updated + limits.idle / DEADLINE_UPDATES:
                        deadline.reschedule(min(now + limits.idle, ends))
                        updated = now
                    first, chars = False, chars + len(chunk.text)
                    self._queue.put_nowait(chunk)
                    if chunk.finish_reason:
                        return
                    if chars > MAX_CHARS:
                        raise BadResponseError(f"Node '{name}' sent a response that is too long.", node=name)
            raise StreamInterruptedError(f"Node '{name}' stopped before its response was complete.", node=name)
        except TimeoutError:
            what = "start to respond" if first else "continue its response"
            self._queue.put_nowait(DeadlineError(f"Node '{name}' did not {what} in time.", node=name))
        except HerdingError as error:
            self._queue.put_nowait(error)
        except Exception as error:  # noqa: BLE001 (any failure of a node must end the request)
            self._queue.put_nowait(_broken(name, error))


class EmbeddingCall(NodeCall):
    """A call for embeddings: `embeddings` is set before its only chunk."""

    def __init__(
        self, node: Node, request_id: str, model: str, texts: Sequence[str], dimensions: int | None = None
    ) -> None:
        super().__init__(node, Call(request_id, model))
        self._texts, self._dimensions = texts, dimensions
        self.embeddings: Embeddings | None = None

    async def _pump(self) -> None:
        try:
            made = await embed(self._node, self._call.model, self._texts, dimensions=self._dimensions)
        except HerdingError as error:
            self._queue.put_nowait(error)
        else:
            self.embeddings = made
            self._queue.put_nowait(Chunk(finish_reason="stop", usage=Usage(made.input_tokens, 0, made.source)))


async def embed(node: Node, model: str, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
    """Return embeddings under the total deadline; raise NodeError or UserError, also for the wrong dimensions."""
    try:
        async with asyncio.timeout(node.deadlines.total):
            made = await node.embed(model, texts, dimensions=dimensions)
    except TimeoutError:
        raise DeadlineError(f"Node '{node.name}' did not respond in time.", node=node.name) from None
    except HerdingError:
        raise
    except Exception as error:
        raise _broken(node.name, error) from error
    if dimensions and any(len(vector) != dimensions for vector in made.vectors):
        message = f"Node '{node.name}' sent vectors of {len(made.vectors[0])} numbers instead of {dimensions}."
        raise BadResponseError(message, node=node.name)
    return made


def _broken(name: str, error: Exception) -> BadResponseError:
    """Return the error for an exception that is not a HerdingError."""
    return BadResponseError(f"Node '{name}' failed: {error!r}", node=name)
