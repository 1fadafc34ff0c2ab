"""One admitted request on its way through the engine."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from herding.engine.refusals import WorkerError
from herding.engine.served import Served
from herding.errors import HerdingError
from herding.values import Parameters


@dataclass(slots=True, eq=False)
class Job:
    """A prompt, how to continue it, and what has arrived of the answer."""

    served: Served
    tokens: list[int]
    parameters: Parameters
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    running: bool = False
    _fresh: list[int] = field(default_factory=list)
    _seen: int = 0
    _finished: bool = False
    _error: HerdingError | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def push(self, tokens: Sequence[int], finished: bool, error: str | None) -> None:
        """Take what the worker generated; `tokens` are all of the answer so far."""
        if error is not None:
            self.fail(WorkerError(f"The model failed while generating: {error}. Try again."))
            return
        self._fresh.extend(tokens[self._seen :])
        self._seen, self._finished = len(tokens), finished
        self._news.set()

    def fail(self, error: HerdingError) -> None:
        """End the answer with `error`."""
        self._error = self._error or error
        self._news.set()

    async def next(self) -> tuple[list[int], bool]:
        """New tokens, and whether they are the last; raises the error that ended the answer."""
        await self._news.wait()
        self._news.clear()
        if self._error is not None:
            raise self._error
        fresh, self._fresh = self._fresh, []
        return fresh, self._finished
