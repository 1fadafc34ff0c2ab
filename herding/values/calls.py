"""Calls of nodes and their responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

FinishReason = Literal["stop", "length", "cancelled", "error"]
"""The reason for the end of a generation: end of turn or stop string, `max_tokens`, stopped by us, node failure."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Parameters:
    """Sampling parameters; None leaves a parameter to the model's own default. Temperature 0 is greedy."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None

    def over(self, base: Parameters) -> Parameters:
        """Return these parameters on top of `base`."""
        if base == _MODEL_DEFAULTS:
            return self
        return replace(base, **self.given())

    def given(self) -> dict[str, Any]:
        """Return the parameters that are set, by name."""
        return {name: value for name in _PARAMETERS if (value := getattr(self, name)) not in (None, ())}


_PARAMETERS = tuple(field.name for field in fields(Parameters))
_MODEL_DEFAULTS = Parameters()


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one request. `source`: `node` exact, from the node; `counted` estimated from the text."""

    input_tokens: int = 0
    output_tokens: int = 0
    source: Literal["node", "counted"] = "counted"


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a node: continue `messages` (a chat) or `text` (a raw prompt) with `model`.

    `response_format` is in OpenAI's format; only nodes with `formats` get one.
    """

    id: str
    model: str
    messages: tuple[Message, ...] | None = None
    text: str | None = None
    parameters: Parameters = Parameters()
    response_format: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a response. The last one has the finish reason; any may have the usage so far, from the node."""

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A vector for each text, in the order of the texts and of equal length, with the usage."""

    vectors: tuple[tuple[float, ...], ...]
    input_tokens: int = 0
    source: Literal["node", "counted"] = "counted"
