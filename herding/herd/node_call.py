"""Calls one node under its deadlines, for a stream that can be stopped, for embeddings or for scores of documents."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Sequence
from typing import TypeVar

from herding.errors import BadResponseError, DeadlineError, HerdingError, StreamInterruptedError
from herding.nodes.base import Node
from herding.values import Call, Chunk, EmbeddingInput, Embeddings, Fields, Ranking, Usage

_Made = TypeVar("_Made", Embeddings, Ranking)

MAX_CHARS = 4_000_000


class NodeCall:
    """Streams the chunks of a node, and waits for each of them under the node's deadlines.

    A stop, a cancelled caller and a deadline end the generation at once, even while the node waits for data. Only the
    time spent waiting for the node counts. Iterate `chunks`, then call `close`, from one task at a time.
    `made` is what a model made of texts, where that is not a response.
    """

    made: Embeddings | Ranking | None = None

    def __init__(self, node: Node, call: Call) -> None:
        self._node, self._call = node, call
        self._chunks = self._read()
        self._timeout: asyncio.Timeout | None = None
        self._waited, self._total = 0.0, node.deadlines.total
        self._ending = False
        self.stopped = False

    def chunks(self) -> AsyncGenerator[Chunk, None]:
        """Return the stream of chunks; the last one has a finish reason (`cancelled` after `stop`)."""
        return self._chunks

    def stop(self) -> None:
        """Stop the generation; the stream ends with a `cancelled` chunk."""
        self.stopped = True
        if self._timeout and not self._timeout.expired():
            self._timeout.reschedule(0)

    def end_within(self, seconds: float) -> None:
        """Give the node so much time to end by itself; from now on it is no error that it does not, or fails."""
        if not self._ending:
            self._ending, self._total = True, min(self._total, self._waited + seconds)

    async def close(self) -> None:
        """Stop the generation if it still runs, and wait for the node to release it."""
        await self._chunks.aclose()

    async def _read(self) -> AsyncGenerator[Chunk, None]:
        name, limits, chars = self._node.name, self._node.deadlines, 0
        try:
            async with contextlib.aclosing(self._node.stream(self._call)) as stream:
                seconds, what = limits.first_token, "start to respond"
                while True:
                    chunk = await self._next(stream, seconds, what)
                    chars += len(chunk.text)
                    if chunk.deltas:
                        chars += sum(len(choice.text) + len(choice.reasoning) for choice in chunk.deltas)
                    if chars > MAX_CHARS:
                        raise BadResponseError(f"Node '{name}' sent a response that is too long.", node=name)
                    if chunk.finish_reason:
                        break
                    yield chunk
                    seconds, what = limits.idle, "continue its response"
        except HerdingError:
            if not self._ending:
                raise
            chunk = Chunk(finish_reason="cancelled")
        except Exception as error:
            raise _broken(name, error) from error
        yield chunk

    async def _next(self, stream: AsyncGenerator[Chunk, None], seconds: float, what: str) -> Chunk:
        """Return the next chunk of a node, which has so many seconds to do `what`."""
        name, time = self._node.name, asyncio.get_running_loop().time
        began = time()
        if self.stopped:
            return Chunk(finish_reason="cancelled")
        try:
            async with asyncio.timeout_at(began + min(seconds, self._total - self._waited)) as self._timeout:
                return await anext(stream)
        except TimeoutError:
            if self.stopped:
                return Chunk(finish_reason="cancelled")
            raise DeadlineError(f"Node '{name}' did not {what} in time.", node=name) from None
        except StopAsyncIteration:
            message = f"Node '{name}' stopped before its response was complete."
            raise StreamInterruptedError(message, node=name) from None
        finally:
            self._timeout = None
            self._waited += time() - began


class ReadingCall(NodeCall):
    """A call for what a model makes of texts: `made` is set before its only chunk."""

    @abstractmethod
    def _make(self) -> Awaitable[Embeddings | Ranking]:
        """Return the whole response of the node."""

    async def _read(self) -> AsyncGenerator[Chunk, None]:
        try:
            async with asyncio.timeout(0 if self.stopped else None) as self._timeout:
                made = await self._make()
        except TimeoutError:  # after `stop`; a deadline of the node is a NodeError
            yield Chunk(finish_reason="cancelled")
            return
        finally:
            self._timeout = None
        self.made = made
        yield Chunk(finish_reason="stop", usage=Usage(made.input_tokens, 0, made.source))


class EmbeddingCall(ReadingCall):
    """A call for embeddings."""

    def __init__(
        self,
        node: Node,
        call: Call,
        texts: Sequence[EmbeddingInput],
        *,
        dimensions: int | None = None,
    ) -> None:
        super().__init__(node, call)
        self._texts, self._dimensions = texts, dimensions

    def _make(self) -> Awaitable[Embeddings]:
        more = self._call.parameters.given()
        return embed(self._node, self._call.model, self._texts, dimensions=self._dimensions, more=more)


class RerankCall(ReadingCall):
    """A call for the scores of documents."""

    def __init__(self, node: Node, call: Call, query: str, documents: Sequence[str]) -> None:
        super().__init__(node, call)
        self._query, self._documents = query, documents

    def _make(self) -> Awaitable[Ranking]:
        return rerank(self._node, self._call.model, self._query, self._documents)


async def embed(
    node: Node,
    model: str,
    texts: Sequence[EmbeddingInput],
    *,
    dimensions: int | None = None,
    more: Fields | None = None,
) -> Embeddings:
    """Return embeddings under the total deadline; raise NodeError or UserError, also for the wrong dimensions."""
    made = await _within(node, node.embed(model, texts, dimensions=dimensions, **({"more": more} if more else {})))
    if dimensions and any(len(vector) != dimensions for vector in made.vectors):
        message = f"Node '{node.name}' sent vectors of {len(made.vectors[0])} numbers instead of {dimensions}."
        raise BadResponseError(message, node=node.name)
    return made


async def rerank(node: Node, model: str, query: str, documents: Sequence[str]) -> Ranking:
    """Return the scores of documents under the total deadline; raise NodeError or UserError."""
    made = await _within(node, node.rerank(model, query, documents))
    if len(made.scores) != len(documents):
        message = f"Node '{node.name}' sent {len(made.scores):,} scores for {len(documents):,} documents."
        raise BadResponseError(message, node=node.name)
    return made


async def _within(node: Node, work: Awaitable[_Made]) -> _Made:
    """Return what a node makes under its total deadline."""
    try:
        async with asyncio.timeout(node.deadlines.total):
            return await work
    except TimeoutError:
        raise DeadlineError(f"Node '{node.name}' did not respond in time.", node=node.name) from None
    except HerdingError:
        raise
    except Exception as error:
        raise _broken(node.name, error) from error


def _broken(name: str, error: Exception) -> BadResponseError:
    """Return the error for an exception that is not a HerdingError."""
    return BadResponseError(f"Node '{name}' failed: {error!r}", node=name)
