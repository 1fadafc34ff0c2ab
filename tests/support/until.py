"""Waiting for what tells nobody when it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LONG = 60.0
"""Seconds after which what did not come never will, on any machine."""


async def until(condition: Callable[[], object]) -> None:
    """Returns once `condition` holds; TimeoutError where it does not within `LONG`."""
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 (what is waited for has no events)
            await asyncio.sleep(0.005)
