"""Responses that are open: they end early when their caller is logged out, or when the app stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from herding.people.authenticator import Authenticator
from herding.values import Principal

RECHECK_SECONDS = 0.5
"""Seconds between two checks of the sessions and tokens of open responses."""


@dataclass(slots=True, eq=False)
class OpenResponse:
    """A response that is not complete. `state` is that of its request, with the principal once it is known.

    `is_stream` is true for server-sent events, which may stay open without any work. `ended` is why it was ended early.
    """

    task: asyncio.Task[Any]
    state: MutableMapping[str, Any]
    is_stream: bool = False
    is_invalid: bool = False
    ended: str | None = None

    @property
    def principal(self) -> Principal | None:
        """The principal of the request."""
        found = self.state.get("principal")
        return found if isinstance(found, Principal) else None

    def end(self, why: str) -> None:
        """Cancel the work for this response; the code that added it completes the response."""
        if self.ended is None:
            self.ended = why
            self.task.cancel()


class OpenResponses:
    """A registry of open responses. `stopping` is true once the app stops and takes no further requests."""

    LOGGED_OUT = "logged out"
    STOPPING = "stopping"

    def __init__(self) -> None:
        self._open: set[OpenResponse] = set()
        self.stopping = False

    def __len__(self) -> int:
        return len(self._open)

    @property
    def working(self) -> int:
        """The number of open responses that are no streams of events."""
        return sum(not response.is_stream for response in self._open)

    def add(self, state: MutableMapping[str, Any]) -> OpenResponse:
        """Register the response of the current task."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a response is sent by a task")
        response = OpenResponse(task, state)
        self._open.add(response)
        return response

    def remove(self, response: OpenResponse) -> None:
        """Forget a response that is complete."""
        self._open.discard(response)

    def end_all(self) -> None:
        """End all responses because the app stops."""
        for response in list(self._open):
            response.end(self.STOPPING)

    async def wait_until(self, holds: Callable[[], bool], *, seconds: float) -> None:
        """Wait until a condition holds, at most for some seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not holds() and loop.time() < deadline:  # noqa: ASYNC110 (a condition of several parts has no event)
            await asyncio.sleep(0.02)

    async def watch(self, authenticator: Authenticator) -> None:
        """End, within about a second, the responses of principals who are no longer logged in; never returns.

        Not at the first check that fails but at the next: by then a run of a prompt has ended with an error that says
        why.
        """
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            await self.check(authenticator)

    async def check(self, authenticator: Authenticator) -> None:
        """Check the principals of all open responses once."""
        for response in list(self._open):
            who = response.principal
            if who is None or who.token is None or response.ended or await authenticator.still_valid(who):
                continue
            if response.is_invalid:
                response.end(self.LOGGED_OUT)
            response.is_invalid = True
