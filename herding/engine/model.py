"""The interface between the engine and a loaded model, free of torch, and one job for such a model."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from herding.engine.errors import WorkerError
from herding.engine.fetching.hub_cache import Download
from herding.engine.model_files import ModelSource
from herding.engine.progress import Report
from herding.engine.requests import GenerationRequest
from herding.engine.text import ResponseText
from herding.engine.tool_calls import ToolCallReader
from herding.errors import HerdingError
from herding.values import Parameters

OnTokens = Callable[[Sequence[int], bool, str | None], None]
"""Called with all tokens so far, whether generation has finished, and the error that ended it, if any."""


@dataclass(frozen=True, slots=True)
class ModelProperties:
    """Properties of a loaded model. `context_length` is the maximum of prompt and response tokens together.

    `size` is the bytes of its weights and of its full cache.

    `tools` is true if its chat template knows tools, in a format that can be read.
    """

    context_length: int
    chat: bool
    device: str
    dtype: str
    parameters: int
    tools: bool = False
    size: int = 0


class ServedModel(Protocol):
    """A loaded model with its worker. `encode`, `count_tokens`, `restart` and `close` block: call them in a thread."""

    properties: ModelProperties
    defaults: Parameters

    @property
    def alive(self) -> bool:
        """True while the worker runs."""

    @property
    def failure(self) -> str | None:
        """The error that ended the worker."""

    def encode(self, request: GenerationRequest) -> list[int]:
        """Return the prompt tokens; raise ContextLengthError if they leave no room for a response."""

    def count_tokens(self, request: GenerationRequest) -> int:
        """Return the number of prompt tokens, even if they exceed the context."""

    def new_response(self, *, stop: Sequence[str], input_tokens: int, tools: bool = False) -> ResponseText:
        """Return an empty response of this model; with `tools`, its text has the markup of tool calls."""

    def tool_reader(self, request: GenerationRequest) -> ToolCallReader | None:
        """Return a reader for the tool calls in the response; None if there are no tools."""

    def opened(self, tokens: Sequence[int]) -> str:
        """Return the tag of reasoning that a prompt already opened for the response; empty without one."""

    def submit(self, key: str, tokens: Sequence[int], parameters: Parameters, on_tokens: OnTokens) -> None:
        """Start generating; `on_tokens` is called on the event loop."""

    def cancel(self, key: str) -> None:
        """Stop generating before the next token; `on_tokens` is not called again."""

    def restart(self) -> None:
        """Replace a worker that died."""

    def close(self) -> None:
        """Stop the worker and free the memory."""


class ModelLoader(Protocol):
    """Fetches and loads models. `measure` and `open` block: call them in a thread."""

    budget: int
    """The bytes that all models together may take."""

    def on_disk(self, source: ModelSource) -> bool:
        """Return whether a model needs no download."""

    def unfinished(self, source: ModelSource) -> Download | None:
        """Return how far the download of a model came; None without one."""

    def deletable(self, source: ModelSource) -> int:
        """Return the bytes of a model's files that belong to Herding alone and that can be made again."""

    def delete(self, source: ModelSource) -> None:
        """Remove the files of a model that belong to Herding alone. Blocks."""

    async def fetch(self, source: ModelSource, report: Report) -> Path:
        """Return the checked directory of a model, downloaded or converted if necessary; raise LoadError on failure.

        A caller that is cancelled ends the download, which the next one continues.
        """

    def measure(self, path: Path, report: Report) -> int:
        """Return the bytes that the model in a checked directory will take; raise LoadError if it cannot be loaded."""

    def open(self, path: Path, report: Report, loop: asyncio.AbstractEventLoop) -> ServedModel:
        """Load the model in a checked directory; its tokens arrive on `loop`. Raise LoadError on failure."""


@dataclass(slots=True, eq=False)
class Job:
    """One admitted request: its prompt tokens, its parameters, and the tokens generated for it."""

    model: ServedModel
    tokens: list[int]
    parameters: Parameters
    request: GenerationRequest = field(default_factory=GenerationRequest)
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    running: bool = False
    _new_tokens: list[int] = field(default_factory=list)
    _received: int = 0
    _finished: bool = False
    _error: HerdingError | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def push(self, tokens: Sequence[int], finished: bool, error: str | None) -> None:
        """Add the worker's output; `tokens` are all tokens of the response so far."""
        if error is not None:
            self.fail(WorkerError(f"The model failed while generating: {error}. Try again."))
            return
        self._new_tokens.extend(tokens[self._received :])
        self._received, self._finished = len(tokens), finished
        self._changed.set()

    def fail(self, error: HerdingError) -> None:
        """End the response with `error`."""
        self._error = self._error or error
        self._changed.set()

    async def next(self) -> tuple[list[int], bool]:
        """Wait for new tokens; return them and whether they are the last. Raise the error that ended the response."""
        await self._changed.wait()
        self._changed.clear()
        if self._error is not None:
            raise self._error
        tokens, self._new_tokens = self._new_tokens, []
        return tokens, self._finished
