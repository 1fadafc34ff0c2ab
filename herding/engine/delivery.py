"""The way of generated tokens from the worker's thread to the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

from transformers.generation.continuous_batching.continuous_api import OutputRouter

_WINDOW_SECONDS = 0.025


class Delivery(OutputRouter):
    """Hands tokens over at most forty times a second.

    A small model makes a token in one or two milliseconds; waking the event loop for each would cost as much as
    the token. The first and the last token of an answer go at once. Tokens that nobody waits for are dropped.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._readers: dict[str, Callable[[Any], None]] = {}
        self._pending: list[Any] = []
        self._guard = threading.Lock()
        self._planned = False
        self._handed_over = 0.0

    def register(self, key: str, reader: Callable[[Any], None]) -> None:
        """Call `reader` on the event loop with what is generated for `key`."""
        self._readers[key] = reader

    def forget(self, key: str) -> None:
        """Drop what is still generated for `key`."""
        self._readers.pop(key, None)

    def deliver(self, output: Any) -> None:
        """Take one output from the worker."""
        self.deliver_batch([output])

    def deliver_batch(self, outputs: Sequence[Any]) -> None:
        """Take the outputs of one step from the worker."""
        urgent = any(output.is_finished() or len(output.generated_tokens) == 1 for output in outputs)
        with self._guard:
            self._pending.extend(outputs)
            if self._planned and not urgent:
                return
            self._planned = True
        self._loop.call_soon_threadsafe(self._hand_over if urgent else self._plan)

    def _plan(self) -> None:
        wait = self._handed_over + _WINDOW_SECONDS - self._loop.time()
        self._loop.call_later(max(0.0, wait), self._hand_over)

    def _hand_over(self) -> None:
        self._handed_over = self._loop.time()
        with self._guard:
            outputs, self._pending, self._planned = self._pending, [], False
        for output in outputs:
            reader = self._readers.get(output.request_id)
            if reader is not None:
                reader(output)
