"""Calls of nodes and their responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

FinishReason = str
"""The reason for the end of a generation, in the words of the server: `stop`, `length`, `tool_calls`, `content_filter`.

`cancelled` (stopped by us) and `error` (node failure) are our own.
"""

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]

Fields = Mapping[str, Any]
"""Fields of a JSON object in OpenAI's form."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat. `content` is its text.

    `parts` is the content of a message with more than text, in OpenAI's form, `fields` what else the message has:
    `name`, `tool_calls`, `tool_call_id`, `reasoning_content`.
    """

    role: Role
    content: str
    parts: tuple[Fields, ...] | None = None
    fields: Fields = field(default_factory=dict, hash=False)

    @property
    def plain(self) -> bool:
        """True if the message has text only, and is no result of a tool."""
        is_text = self.parts is None or all(part.keys() == TEXT_PART_FIELDS for part in self.parts)
        return is_text and not self.fields and self.role not in ("tool", "function")

    def body(self) -> dict[str, Any]:
        """Return the message in OpenAI's form."""
        if self.parts is None and not self.fields:
            return {"role": self.role, "content": self.content}
        content = self.content if self.parts is None else list(self.parts)
        return {"role": self.role, "content": content, **self.fields}

    def text_body(self) -> dict[str, str]:
        """Return the text of the message for nodes that know only the roles of the first chat models."""
        return {"role": "system" if self.role == "developer" else self.role, "content": self.content}

    @classmethod
    def from_body(cls, body: Fields) -> Message:
        """Return the message of a JSON object. Raises KeyError, TypeError or ValueError for an invalid one."""
        content, more = body.get("content"), {k: v for k, v in body.items() if k not in ("role", "content")}
        if isinstance(content, str):
            return cls(body["role"], content, None, more)
        if content is None:
            return cls(body["role"], "", None, {"content": None, **more})
        parts = tuple(content)
        return cls(body["role"], text_of_parts(parts), parts, more)


def text_of_parts(parts: tuple[Fields, ...]) -> str:
    """Return the texts among the parts of a message, joined. Raises TypeError or ValueError for invalid parts."""
    return "".join(part["text"] for part in parts if part.get("type") in TEXT_PARTS)


COMPLETION_TOKENS = "max_completion_tokens"
"""The newer name of `max_tokens`."""

TEXT_PARTS = ("text", "input_text", "output_text")
"""The types of parts that are text."""

TEXT_PART_FIELDS = frozenset({"type", "text"})
"""The fields of a part that has nothing but text."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of a call; None leaves one to the model's own default. Temperature 0 is greedy.

    `more` are all others by OpenAI's or the server's name, tools included.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    more: Fields = field(default_factory=dict, hash=False)

    def over(self, base: Parameters) -> Parameters:
        """Return these parameters on top of `base`."""
        if base == _MODEL_DEFAULTS:
            return self
        given = self.given()
        own = {name: given.pop(name) for name in _PARAMETERS if name in given}
        if not given and not base.more:
            return replace(base, **own)
        more = {**base.more, **given}
        if self.max_tokens is not None and COMPLETION_TOKENS not in given:
            more.pop(COMPLETION_TOKENS, None)
        elif COMPLETION_TOKENS in given:
            own["max_tokens"] = None
        return replace(base, **own, more=more)

    def given(self) -> dict[str, Any]:
        """Return the parameters that are set, by name."""
        given = {name: value for name in _PARAMETERS if (value := getattr(self, name)) not in (None, ())}
        return {**given, **self.more} if self.more else given

    @classmethod
    def of(cls, given: Fields) -> Parameters:
        """Return the parameters of `given`, by name."""
        own = {name: given[name] for name in _PARAMETERS if given.get(name) is not None}
        if "stop" in own:
            own["stop"] = tuple(own["stop"])
        return cls(**own, more={name: value for name, value in given.items() if name not in _PARAMETERS})

    def without(self, names: frozenset[str]) -> Parameters:
        """Return these parameters without `names`."""
        return Parameters.of({name: value for name, value in self.given().items() if name not in names})

    @property
    def output_limit(self) -> int | None:
        """The maximum of output tokens, under either name."""
        newer = self.more.get(COMPLETION_TOKENS)
        return newer if type(newer) is int else self.max_tokens

    @property
    def responses(self) -> int:
        """The number of responses asked for."""
        found = [count for name in ("n", "best_of") if type(count := self.more.get(name)) is int]
        return max([1, *found])


_PARAMETERS = tuple(field.name for field in fields(Parameters) if field.name != "more")
_MODEL_DEFAULTS = Parameters()


@dataclass(frozen=True, slots=True)
class InputSize:
    """The tokens of an input: counted by the tokenizer of `model`, whose `context` they share, or estimated (None)."""

    tokens: int
    model: str | None = None
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one request.

    `source`: `node` exact, from the node; `counted` estimated from the text; `bounded` where the node reported what
    cannot be, so that a count of our own stands for it.

    `details` are further counts as the node sends them, such as `completion_tokens_details`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    source: Literal["node", "counted", "bounded"] = "counted"
    details: Fields = field(default_factory=dict, hash=False)

    @property
    def total(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    @property
    def cached_tokens(self) -> int:
        """The input tokens that the node had in its cache."""
        return self._detail("prompt_tokens_details", "cached_tokens")

    @property
    def reasoning_tokens(self) -> int:
        """The output tokens that were reasoning."""
        return self._detail("completion_tokens_details", "reasoning_tokens")

    def _detail(self, group: str, name: str) -> int:
        found = self.details.get(group)
        count = found.get(name) if isinstance(found, Mapping) else None
        return count if type(count) is int and count > 0 else 0


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a node: continue `messages` (a chat) or `text` (a raw prompt) with `model`.

    `response_format` is in OpenAI's format; only nodes with `formats` get one. `prompts` replaces the raw text where it
    is token ids, or several texts.
    """

    id: str
    model: str
    messages: tuple[Message, ...] | None = None
    text: str | None = None
    parameters: Parameters = Parameters()
    response_format: Mapping[str, Any] | None = None
    prompts: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a response, or what a chunk adds to one.

    `fields` are those of its message as the server sent them (`tool_calls`, `refusal`, `reasoning_content`), `extra`
    those of the choice (`logprobs`, `token_ids`). `reasoning` is the text of the reasoning. Where it came inside the
    text, as `<think>`, the field `content` holds that part; the text of the message is `content` and then `text`.
    """

    index: int = 0
    text: str = ""
    reasoning: str = ""
    fields: Fields = field(default_factory=dict)
    extra: Fields = field(default_factory=dict)
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a response. The last one has the finish reason; any may have the usage so far, from the node.

    `text` is of the first choice; `deltas` are all else. `extra` are fields of the whole response, such as
    `system_fingerprint`.
    """

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    deltas: tuple[Choice, ...] = ()
    extra: Fields = field(default_factory=dict)


EmbeddingInput = str | tuple[int, ...]
"""A text to embed, or its token ids."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """A score for each document, in the order of the documents, higher for a better one, with the usage.

    Whether scores are from 0 to 1 depends on the server.
    """

    scores: tuple[float, ...]
    input_tokens: int = 0
    source: Literal["node", "counted"] = "counted"


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A vector for each text, in the order of the texts and of equal length, with the usage."""

    vectors: tuple[tuple[float, ...], ...]
    input_tokens: int = 0
    source: Literal["node", "counted"] = "counted"
