"""Several things at once: so many as go together, and none hinders another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from typing import TypeVar

AT_ONCE = 100
"""Prompts that are brought in together: their versions share a transaction, for which other rows wait."""

T = TypeVar("T")


def in_parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items, so many as go together."""
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))


async def each(steps: Iterable[Awaitable[T]]) -> list[T | BaseException]:
    """What each of them gives or raises; none hinders another."""
    return await asyncio.gather(*steps, return_exceptions=True)


def checked(results: Iterable[T | BaseException]) -> list[T]:
    """The results; the first error of them is raised."""
    found: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        found.append(result)
    return found
