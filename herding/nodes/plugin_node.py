"""Guards of nodes whose kind comes from a plugin: what fails in one is named and harms no other node."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any

from herding.errors import BadResponseError, HerdingError
from herding.nodes.base import Node
from herding.nodes.capabilities import TEXT_ONLY
from herding.values import Call, Chunk, NodeStatus, Usage

GUARD_SECONDS = 10.0
"""The time that a node of a plugin may take for what runs beside requests."""

ANY_FAILURE = (Exception, SystemExit, KeyboardInterrupt)
"""All that a plugin may raise, even by `sys.exit`, which would end the app."""

_LISTS = ("serves", "expects", "offers", "embeds", "reranks")
_FLAGS = ("can_load", "formats", "takes_hub_models")
_METHODS = {"fault_of": None, "known_price": None, "price": None, "capabilities": TEXT_ONLY}
"""Methods that requests wait for, each with what it returns where it fails."""

log = logging.getLogger(__name__)


def guard(node: Node) -> None:
    """Keep failures of a plugin's node from harming other nodes and the app. Raises TypeError for one that has none."""
    if not isinstance(node.name, str) or not callable(node.stream):
        raise TypeError("it is no Node: call Node.__init__ with its config")
    failure, told = list[str](), set[str]()

    def failed(what: str, error: BaseException) -> None:
        failure[:] = [f"{what} failed: {type(error).__name__}: {error}"[:500]]
        if what not in told:
            told.add(what)
            log.warning("node of a plugin failed (%s): %s", node.name, failure[0])

    _guard_work(node, failed, failure)
    _guard_requests(node)
    _guard_properties(node, failed)


def _guard_work(node: Node, failed: Callable[[str, BaseException], None], failure: list[str]) -> None:
    """Guard what runs beside requests."""
    status = node.status

    def guarded(work: Any, what: str) -> Any:
        async def run() -> None:
            try:
                async with asyncio.timeout(GUARD_SECONDS):
                    await work()
            except ANY_FAILURE as error:
                failed(what, error)

        return run

    async def guarded_status() -> NodeStatus:
        failure.clear()
        try:
            async with asyncio.timeout(GUARD_SECONDS):
                found: Any = await status()
            if not isinstance(found, NodeStatus):
                failure[:] = [f"status returned {type(found).__name__}"]
            elif not failure:  # also of what it asked the node
                return found
        except ANY_FAILURE as error:
            failed("status", error)
        return NodeStatus("down", detail=f"The plugin of its kind failed: {failure[0]}")

    for what in ("start", "close", "look_again"):
        setattr(node, what, guarded(getattr(node, what), what))
    setattr(node, "status", guarded_status)  # noqa: B010 (mypy takes no method as a target)


def _guard_requests(node: Node) -> None:
    """Let requests fail with an error that names the node, whatever it raises or yields."""
    stream = node.stream

    async def guarded_stream(call: Call) -> AsyncGenerator[Chunk, None]:
        with _named(node.name):
            async with aclosing(stream(call)) as chunks:
                async for chunk in chunks:
                    yield _checked(chunk)

    def guarded(work: Any) -> Any:
        async def run(*arguments: Any, **named: Any) -> Any:
            with _named(node.name):
                return await work(*arguments, **named)

        return run

    for what in ("embed", "rerank", "count"):
        setattr(node, what, guarded(getattr(node, what)))
    setattr(node, "stream", guarded_stream)  # noqa: B010


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Turn what would end the caller or the app into an error of the node."""
    try:
        yield
    except HerdingError:
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BadResponseError(f"Node '{name}' failed: {error!r}", node=name) from None
    except ANY_FAILURE as error:
        raise BadResponseError(f"Node '{name}' failed: {error!r}", node=name) from error


def _checked(chunk: Any) -> Chunk:
    """Return a chunk. Raises TypeError for anything else, and for parts of another type."""
    if not isinstance(chunk, Chunk):
        raise TypeError(f"it yielded {type(chunk).__name__}, not a Chunk")
    kinds: dict[str, Any] = {
        "text": str,
        "finish_reason": str | None,
        "usage": Usage | None,
        "deltas": tuple,
        "extra": Mapping,
    }
    for name, kind in kinds.items():
        if not isinstance(value := getattr(chunk, name), kind):
            raise TypeError(f"it yielded a Chunk whose {name} is {type(value).__name__}")
    return chunk


def _guard_properties(node: Node, failed: Callable[[str, BaseException], None]) -> None:
    """Let the node do nothing where it can't say what it does: the routing of all requests asks it."""
    kind = type(node)

    def property_of(name: str, empty: Any) -> property:
        def read(self: Node) -> Any:
            try:
                found = vars(self)[name] if name in vars(self) else getattr(super(guarded, self), name)
                return tuple(found) if empty == () else bool(found)
            except ANY_FAILURE as error:
                failed(name, error)
                return empty

        return property(read)

    def method_of(name: str, empty: Any) -> Any:
        def call(self: Node, model: str) -> Any:
            try:
                return getattr(super(guarded, self), name)(model)
            except ANY_FAILURE as error:
                failed(name, error)
                return empty

        return call

    members = {name: property_of(name, ()) for name in _LISTS} | {name: property_of(name, False) for name in _FLAGS}
    guarded = type(kind.__name__, (kind,), members | {name: method_of(name, empty) for name, empty in _METHODS.items()})
    node.__class__ = guarded
