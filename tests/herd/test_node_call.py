"""One call of one node under its deadlines."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from herding.errors import BadResponseError, DeadlineError, HerdingError, StatusError, StreamInterruptedError
from herding.herd.node_call import MAX_CHARS, NodeCall
from herding.nodes.base import Deadlines
from herding.values import Call, Chunk
from tests.support.nodes import Scripted

CALL = Call("1", "echo", None, "hi")


async def heard(running: NodeCall) -> list[Chunk]:
    return [chunk async for chunk in running.chunks()]


def limited(node: Scripted, **deadlines: Any) -> Scripted:
    node.deadlines = Deadlines(**deadlines)
    return node


async def test_all_chunks_pass_in_order() -> None:
    running = NodeCall(Scripted("a", ["one", " two"]), CALL)
    assert [chunk.text for chunk in await heard(running)] == ["one", " two", ""]
    await running.close()


@pytest.mark.parametrize(
    ("node", "kind"),
    [
        (limited(Scripted("a", [], ends=False), first_token=0.05), DeadlineError),
        (limited(Scripted("a", ["one"], ends=False), idle=0.05), DeadlineError),
        (limited(Scripted("a", ["one"], ends=False), total=0.05, idle=3600), DeadlineError),
        (Scripted("a", [StatusError("x", status=500)]), StatusError),
        (Scripted("a", [KeyError("bug")]), BadResponseError),
        (Scripted("a", ["x" * MAX_CHARS, "y"], ends=False), BadResponseError),
    ],
    ids=["first token", "idle", "total", "its own error", "a bug", "endless"],
)
async def test_whatever_goes_wrong_is_an_error_of_the_node(node: Scripted, kind: type[HerdingError]) -> None:
    running = NodeCall(node, CALL)
    async with asyncio.timeout(60):
        with pytest.raises(kind):
            await heard(running)
        await running.close()
    assert node.open == 0


async def test_what_comes_with_the_end_counts_too() -> None:
    class Endless(Scripted):
        async def stream(self, call: Call) -> Any:
            yield Chunk("x" * (MAX_CHARS + 1), "stop")

    running = NodeCall(Endless("a", []), CALL)
    with pytest.raises(BadResponseError, match="too long"):
        await heard(running)
    await running.close()


async def test_a_stream_without_an_end_was_cut() -> None:
    class Mute(Scripted):
        async def stream(self, call: Call) -> Any:
            yield Chunk(text="one")

    running = NodeCall(Mute("a", []), CALL)
    with pytest.raises(StreamInterruptedError):
        await heard(running)
    await running.close()


async def test_stop_ends_the_generation_at_once() -> None:
    node = Scripted("a", ["one"], ends=False)
    running = NodeCall(node, CALL)
    chunks = running.chunks()
    assert (await anext(chunks)).text == "one"
    asyncio.get_running_loop().call_later(0.01, running.stop)
    asyncio.get_running_loop().call_later(0.01, running.stop)
    async with asyncio.timeout(60):
        assert [chunk.finish_reason async for chunk in chunks] == ["cancelled"]
    await running.close()
    assert node.open == 0


async def test_close_lets_the_callers_own_cancellation_through() -> None:
    class Clingy(Scripted):
        async def stream(self, call: Call) -> Any:
            try:
                yield Chunk(text="one")
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.2)

    running = NodeCall(Clingy("a", []), CALL)
    assert (await anext(running.chunks())).text == "one"
    closing = asyncio.create_task(running.close())
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing


async def test_the_time_of_a_slow_reader_is_not_the_nodes() -> None:
    running = NodeCall(limited(Scripted("a", ["one", " two"]), first_token=0.05, idle=0.05, total=0.1), CALL)
    texts = []
    async for chunk in running.chunks():
        texts.append(chunk.text)
        await asyncio.sleep(0.08)
    assert texts == ["one", " two", ""]
