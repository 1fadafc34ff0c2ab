"""What the engine needs of a loaded model; keeps torch out of everything that answers HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from herding.engine.answer import Answer
from herding.engine.body import Generation
from herding.engine.offers import Offer
from herding.engine.progress import Report
from herding.values import Parameters

OnTokens = Callable[[Sequence[int], bool, str | None], None]
"""Told all tokens so far, whether they are all, and the error that ended them, if any."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to know about a loaded model. `context_length` counts tokens of prompt and answer."""

    context_length: int
    chat: bool
    device: str
    dtype: str
    parameters: int


class Served(Protocol):
    """A loaded model that answers. `encode`, `restart` and `close` block: call them in a thread."""

    facts: Facts
    defaults: Parameters

    @property
    def alive(self) -> bool:
        """Whether its worker runs."""

    @property
    def failure(self) -> str | None:
        """What its worker died of."""

    def encode(self, wanted: Generation) -> list[int]:
        """The tokens of a prompt."""

    def count(self, wanted: Generation) -> int:
        """How many tokens a prompt has, whether or not it fits; blocks like `encode`."""

    def answer(self, *, stops: Sequence[str], input_tokens: int) -> Answer:
        """An empty answer of this model."""

    def submit(self, key: str, tokens: Sequence[int], parameters: Parameters, on_tokens: OnTokens) -> None:
        """Start generating; `on_tokens` is called on the event loop."""

    def cancel(self, key: str) -> None:
        """Stop generating within one token; nothing is called any more."""

    def restart(self) -> None:
        """Replace a worker that died."""

    def close(self) -> None:
        """Stop, and give the memory back."""


class Opener(Protocol):
    """Where models come from. Both methods block: call them in a thread."""

    def fetch(self, offer: Offer, report: Report) -> Path:
        """The checked directory of an offered model, downloaded where it must be; LoadError where it cannot be."""

    def open(self, path: Path, report: Report, loop: asyncio.AbstractEventLoop) -> Served:
        """Load the model in a checked directory, to answer on `loop`; LoadError where it cannot be."""
