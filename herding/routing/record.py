"""What is known of how models did: for each prompt a window of its last requests and of the stars on them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from herding.errors import UserError
from herding.routing.quality import Sample
from herding.routing.window import Count, Window

WINDOW = 1_000
"""Samples kept of a prompt."""

MOST = 100_000
"""Samples kept of all prompts together; beyond them, the prompts that were idle longest are forgotten."""


class Rating(NamedTuple):
    """The stars (1-5) of a principal on a request; None where they were taken back."""

    request_id: str
    principal: str
    stars: int | None


class Record:
    """Takes in samples and ratings, in any order of samples; the same facts give the same state.

    `forgotten` counts the prompts that had to make room for others.
    """

    def __init__(self, *, window: int = WINDOW, most: int = MOST) -> None:
        self._window, self._most = window, most
        self._windows: OrderedDict[str, Window] = OrderedDict()
        self._prompts: dict[str, str] = {}
        self._totals: dict[str, Count] = {}
        self._held = 0
        self.forgotten = 0
        self._empty = Window({}, 0)

    def add(self, sample: Sample) -> None:
        """Takes in what one request showed of one model, also one that is known already (the later word counts)."""
        window = self._windows.get(sample.prompt)
        if window is None:
            window = self._windows[sample.prompt] = Window(self._totals, self._window)
        self._windows.move_to_end(sample.prompt)
        held = len(window.samples)
        self._prompts[sample.request_id] = sample.prompt
        gone = window.add(sample)
        self._held += len(window.samples) - held
        self._forget(window, [*gone, sample.request_id])
        while self._held > self._most and len(self._windows) > 1:
            self._forget_idle()

    def rate(self, request_id: str, principal: str, stars: int | None) -> bool:
        """Notes the stars (1-5) of a principal on a request, or takes them back; False where that is not known.

        Raises UserError where there are not 1 to 5 stars.
        """
        if stars is not None and stars not in (1, 2, 3, 4, 5):
            raise UserError("give a whole number of stars from 1 to 5", param="score")
        prompt = self._prompts.get(request_id)
        if prompt is None:
            return False
        self._windows[prompt].rate(request_id, principal, stars)
        return True

    def load(self, samples: Iterable[Sample], ratings: Iterable[Rating] = ()) -> None:
        """Takes in many at once; of the ratings of one principal on one request, the last counts."""
        for sample in samples:
            self.add(sample)
        for rating in ratings:
            self.rate(*rating)

    def reset(self, prompt: str, at: int) -> None:
        """Evidence on `prompt` from before `at` (ms) counts no more, nor does any that is added later."""
        window = self._windows.setdefault(prompt, Window(self._totals, self._window))
        held = len(window.samples)
        self._forget(window, window.reset(at))
        self._held += len(window.samples) - held

    def window(self, prompt: str) -> Window:
        """The window of a prompt, to be read only; an empty one where nothing is known."""
        return self._windows.get(prompt, self._empty)

    def elsewhere(self, prompt: str, model: str) -> Count:
        """What a model did on all other prompts."""
        here = self.window(prompt).counts.get(model, Count())
        total = self._totals.get(model, Count())
        return Count(
            total.requests - here.requests,
            total.failed - here.failed,
            total.checks_passed - here.checks_passed,
            total.checks_failed - here.checks_failed,
            total.rated - here.rated,
            total.stars - here.stars,
            total.squares - here.squares,
        )

    def _forget(self, window: Window, requests: Iterable[str]) -> None:
        for request_id in requests:
            if not window.holds(request_id):
                self._prompts.pop(request_id, None)

    def _forget_idle(self) -> None:
        _, window = self._windows.popitem(last=False)
        self.forgotten += 1
        self._held -= len(window.samples)
        self._forget(window, window.reset(_END))


_END = 2**63 - 1
