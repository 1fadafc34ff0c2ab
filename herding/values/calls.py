"""What nodes are asked and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

FinishReason = Literal["stop", "length", "cancelled", "error"]
"""Why generation ended: end of turn or stop string, `max_tokens` reached, stopped by us, or the node failed."""


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
        """These parameters laid over `base`: what is set here wins."""
        if base == _MODELS_OWN:
            return self
        return replace(base, **self.given())

    def given(self) -> dict[str, Any]:
        """What is set here, by name; the model's own defaults are left out."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) not in (None, ())}


_MODELS_OWN = Parameters()


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one request. `source`: `node` exact, from the node; `counted` estimated from the text."""

    input_tokens: int = 0
    output_tokens: int = 0
    source: Literal["node", "counted"] = "counted"


@dataclass(frozen=True, slots=True)
class Call:
    """What a node is asked to do: continue `messages` (a chat) or `text` (a raw prompt) with `model`.

    `response_format` is the form that the answer must have, in OpenAI's words; only nodes with `formats` get one.
    """

    id: str
    model: str
    messages: tuple[Message, ...] | None = None
    text: str | None = None
    parameters: Parameters = Parameters()
    response_format: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer. The last one carries the finish reason; any may carry the usage so far, from the node."""

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A vector for each text, in the order of the texts and all of one length, and what they took."""

    vectors: tuple[tuple[float, ...], ...]
    input_tokens: int = 0
    source: Literal["node", "counted"] = "counted"
