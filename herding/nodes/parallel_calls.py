"""Several choices or prompts in one request, for nodes that make one response at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from herding.values import Call, Choice, Chunk, Usage


def single_calls(call: Call) -> list[Call]:
    """Return the calls for one choice each, in the order of the choices: all of the first prompt, then the next."""
    more = {name: value for name, value in call.parameters.more.items() if name not in ("n", "best_of")}
    count = call.parameters.more.get("n", 1)
    if count == 1 and len(call.prompts or ()) <= 1:
        return [call]
    single = replace(call, parameters=replace(call.parameters, more=more))
    prompts: tuple[Any, ...] = call.prompts or (None,)
    calls = [replace(single, prompts=None if prompt is None else (prompt,)) for prompt in prompts for _ in range(count)]
    return [_numbered(each, number) for number, each in enumerate(calls)]


def _numbered(call: Call, number: int) -> Call:
    """Return a call with an id and a seed of its own."""
    seed = call.parameters.seed
    parameters = call.parameters if seed is None else replace(call.parameters, seed=seed + number)
    return replace(call, id=f"{call.id}-{number}", parameters=parameters)


async def merged(streams: Iterable[AsyncGenerator[Chunk, None]], *, prompts: int) -> AsyncGenerator[Chunk, None]:
    """Stream the chunks of several calls as those of one with as many choices; the first error ends them all.

    The calls are for so many `prompts`, each of which counts once.
    """
    queue: asyncio.Queue[tuple[int, Chunk | Exception | None]] = asyncio.Queue()

    async def read(index: int, stream: AsyncGenerator[Chunk, None]) -> None:
        try:
            async with aclosing(stream):
                async for chunk in stream:
                    queue.put_nowait((index, chunk))
            queue.put_nowait((index, None))
        except Exception as error:  # noqa: BLE001 (raised where the chunks are read)
            queue.put_nowait((index, error))

    tasks = [asyncio.create_task(read(index, stream)) for index, stream in enumerate(streams)]
    running, first, usages = len(tasks), "stop", dict[int, Usage]()
    try:
        while running:
            index, found = await queue.get()
            if isinstance(found, Exception):
                raise found
            if found is None:
                running -= 1
                continue
            usages[index] = found.usage or usages.get(index, Usage())
            first = found.finish_reason or first if index == 0 else first
            yield _as_choice(found, index)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    yield Chunk(finish_reason=first, usage=_sum(usages, copies=len(tasks) // prompts))


def _sum(usages: dict[int, Usage], *, copies: int) -> Usage:
    made_in = sum(usage.input_tokens for index, usage in usages.items() if index % copies == 0)
    return Usage(made_in, sum(usage.output_tokens for usage in usages.values()), "node")


def _as_choice(chunk: Chunk, index: int) -> Chunk:
    """Return the chunk of one call as one of a choice."""
    if index == 0:
        return replace(chunk, finish_reason=None, usage=None)
    deltas = [replace(choice, index=index) for choice in chunk.deltas]
    if chunk.text:
        deltas.insert(0, Choice(index, chunk.text))
    if chunk.finish_reason:
        deltas.append(Choice(index, finish_reason=chunk.finish_reason))
    return Chunk(deltas=tuple(deltas))
