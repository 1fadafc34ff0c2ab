"""One call of one node under its deadlines: as a stream that can be stopped from outside, or for vectors."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Sequence

from herding.errors import BadResponseError, DeadlineError, HerdingError, StreamInterruptedError
from herding.nodes.base import Node
from herding.values import Call, Chunk, Embeddings, Usage

MAX_CHARS = 4_000_000

RENEWALS = 50
"""How often at most the idle deadline moves while it lasts: moving it costs, and a chunk may come every millisecond."""


class NodeCall:
    """Pumps a node's chunks into a queue, in a task of its own.

    So a caller that stops, a caller that goes away and a deadline all end the node's generation at once, whatever
    the node is waiting for. Iterate `chunks` once; afterwards `close`.
    """

    def __init__(self, node: Node, call: Call) -> None:
        self._node, self._call = node, call
        self._queue: asyncio.Queue[Chunk | HerdingError] = asyncio.Queue()
        self._task = asyncio.create_task(self._pump(), name=f"call {call.id}")
        self.stopped = False

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """The node's chunks; the last one has a finish reason (`cancelled` after `stop`)."""
        while True:
            item = await self._queue.get()
            if isinstance(item, HerdingError):
                raise item
            yield item
            if item.finish_reason:
                return

    def stop(self) -> None:
        """End the generation; the stream ends with a `cancelled` chunk."""
        if not self.stopped:
            self.stopped = True
            self._task.cancel()
            self._queue.put_nowait(Chunk(finish_reason="cancelled"))

    async def close(self) -> None:
        """End the generation, if it still runs, and wait until the node let go of it."""
        if self._task.done():  # as after every answer that came to its end
            return
        self._task.cancel()
        await asyncio.wait([self._task])  # unlike awaiting the task, this lets our own cancellation through

    async def _pump(self) -> None:
        name, limits = self._node.name, self._node.deadlines
        loop, first, chars, renewed = asyncio.get_running_loop(), True, 0, -math.inf
        ends = loop.time() + limits.total
        try:
            async with (
                asyncio.timeout(min(limits.first_token, limits.total)) as patience,
                contextlib.aclosing(self._node.stream(self._call)) as chunks,
            ):
                async for chunk in chunks:
                    now = loop.time()
                    if now > renewed + limits.idle / RENEWALS:
                        patience.reschedule(min(now + limits.idle, ends))
                        renewed = now
                    first, chars = False, chars + len(chunk.text)
                    self._queue.put_nowait(chunk)
                    if chunk.finish_reason:
                        return
                    if chars > MAX_CHARS:
                        raise BadResponseError(f"Node '{name}' does not stop answering.", node=name)
            raise StreamInterruptedError(f"Node '{name}' stopped in the middle of its answer.", node=name)
        except TimeoutError:
            what = "begin to answer" if first else "go on answering"
            self._queue.put_nowait(DeadlineError(f"Node '{name}' did not {what} in time.", node=name))
        except HerdingError as error:
            self._queue.put_nowait(error)
        except Exception as error:  # noqa: BLE001 (a broken node must end the request, not hang it)
            self._queue.put_nowait(_broken(name, error))


class EmbeddingCall(NodeCall):
    """The same for vectors: a single chunk ends the call, and `embeddings` is set by then."""

    def __init__(
        self, node: Node, request_id: str, model: str, texts: Sequence[str], dimensions: int | None = None
    ) -> None:
        super().__init__(node, Call(request_id, model))
        self._texts, self._dimensions = texts, dimensions
        self.embeddings: Embeddings | None = None

    async def _pump(self) -> None:
        try:
            made = await embedded(self._node, self._call.model, self._texts, dimensions=self._dimensions)
        except HerdingError as error:
            self._queue.put_nowait(error)
        else:
            self.embeddings = made
            self._queue.put_nowait(Chunk(finish_reason="stop", usage=Usage(made.input_tokens, 0, made.source)))


async def embedded(node: Node, model: str, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
    """A node's vectors under its deadline, if they are what was asked for; NodeError or UserError otherwise."""
    try:
        async with asyncio.timeout(node.deadlines.total):
            made = await node.embed(model, texts, dimensions=dimensions)
    except TimeoutError:
        raise DeadlineError(f"Node '{node.name}' did not answer in time.", node=node.name) from None
    except HerdingError:
        raise
    except Exception as error:
        raise _broken(node.name, error) from error
    if dimensions and any(len(vector) != dimensions for vector in made.vectors):
        message = f"Node '{node.name}' sent vectors of {len(made.vectors[0])} numbers instead of {dimensions}."
        raise BadResponseError(message, node=node.name)
    return made


def _broken(name: str, error: Exception) -> BadResponseError:
    """For what no node may raise."""
    return BadResponseError(f"Node '{name}' failed: {error!r}", node=name)
