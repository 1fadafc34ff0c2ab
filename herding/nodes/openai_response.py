"""Parses the responses of OpenAI-compatible servers: stream events, embeddings and errors."""

from __future__ import annotations

import json
import math
import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from herding.errors import (
    BadResponseError,
    ContextLengthError,
    NodeError,
    StatusError,
    StreamInterruptedError,
    UserError,
)
from herding.nodes import http
from herding.nodes.base import estimate_tokens
from herding.nodes.openai_choices import ChoiceReader, response_fields
from herding.values import Call, Choice, Chunk, Embeddings, FinishReason, Usage

MAX_TOKENS = 10**9
"""A larger token count is invalid."""

MAX_FLOAT32 = 3.4e38

Vector = tuple[float, ...]

_DONE = "[DONE]"
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


class StreamReader:
    """Reads the events of one response."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._choices = ChoiceReader(node)
        self._has_choices = False
        self._finish_reason: FinishReason | None = None
        self._begun = False
        self.usage: Usage | None = None
        self.failure: NodeError | None = None
        self.done = False

    def read(self, events: Sequence[str]) -> list[Chunk]:
        """Return the chunks of events that arrived together; an invalid event sets `failure` and ends them.

        Texts of the first choice that follow each other are one chunk.
        """
        chunks, texts = list[Chunk](), list[str]()
        before_end = events[: events.index(_DONE)] if _DONE in events else events
        try:
            for event in _parse_events(before_end, self._node):
                if chunk := self._read_event(event, texts):
                    _add_texts(chunks, texts)
                    chunks.append(chunk)
        except NodeError as error:
            self.failure = error
        else:
            if before_end is not events:
                self._finish_reason, self.done = self._finish_reason or "stop", True
        _add_texts(chunks, texts)
        return chunks

    def _read_event(self, event: Any, texts: list[str]) -> Chunk | None:
        """Record one event: plain text is added to `texts`, all else is returned."""
        if not isinstance(event, dict) or event.get("error"):
            check_event(event, self._node)  # raises the error
        if "usage" in event:
            self.usage = _usage(event) or self.usage
        choices = event.get("choices")
        extra = {} if self._begun and choices else response_fields(event)
        self._begun = True
        deltas = list[Choice]()
        for position, choice in enumerate(choices if isinstance(choices, list) else ()):
            if not isinstance(choice, dict):
                continue
            self._has_choices = True
            added = self._choices.read(choice, position)
            if isinstance(added, str):
                if added:
                    texts.append(added)
                continue
            if added.finish_reason and (added.index == 0 or self._finish_reason is None):
                self._finish_reason = added.finish_reason
                extra = extra or response_fields(event)
            if added.index == 0 and not added.fields and not added.extra:
                if added.text:
                    texts.append(added.text)
            else:
                deltas.append(added)
        return Chunk(deltas=tuple(deltas), extra=extra) if deltas or extra else None

    def finish(self) -> FinishReason:
        """Return the finish reason; raise NodeError if the response is empty or incomplete."""
        if not self._has_choices:
            raise BadResponseError(f"Node '{self._node}' sent an empty response.")
        if self._finish_reason is None:
            raise StreamInterruptedError(f"Node '{self._node}' stopped before its response was complete.")
        return self._finish_reason


def _add_texts(chunks: list[Chunk], texts: list[str]) -> None:
    """Add the texts as one chunk, and empty them."""
    if texts:
        chunks.append(Chunk("".join(texts)))
        texts.clear()


def _parse_events(events: Sequence[str], node: str) -> Iterable[Any]:
    """Parse events at once, which takes half the time; one by one if one of them is invalid."""
    try:
        found = orjson.loads(f"[{','.join(events)}]")
    except orjson.JSONDecodeError:
        found = []
    return found if len(found) == len(events) else (parse_json(data, node) for data in events)


def check_event(event: Any, node: str) -> dict[str, Any]:
    """Return an event that is an object; raise BadResponseError for another one or a reported error."""
    if not isinstance(event, dict):
        raise BadResponseError(f"Node '{node}' sent an event that is not a JSON object.")
    if event.get("error"):
        raise BadResponseError(f"Node '{node}' reported: {http.error_message(event) or 'an error'}.")
    return event


def parse_json(data: str, node: str) -> Any:
    """Parse JSON that orjson, which is much faster, rejects: lone surrogates or NaN."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BadResponseError(f"Node '{node}' sent an event that is not valid JSON.") from None


def parse_embeddings(content: bytes, texts: Sequence[str]) -> Embeddings:
    """Return the embeddings of a response; raise BadResponseError unless it has a valid vector for each text."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        raise BadResponseError("The node sent embeddings that are not valid JSON.") from None
    if isinstance(data, dict) and data.get("error"):
        raise BadResponseError(f"The node reported: {http.error_message(data) or 'an error'}.")
    vectors = read_vectors(data, len(texts))
    usage = _usage(data)
    if usage is None:
        return Embeddings(vectors, estimate_tokens(sum(map(len, texts))))
    return Embeddings(vectors, usage.input_tokens, "node")


def read_vectors(data: Any, count: int) -> tuple[Vector, ...]:
    """Return the `count` vectors of a response in the order of their texts; raise BadResponseError if invalid."""
    items = data.get("data") if isinstance(data, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadResponseError("The node sent a response without embeddings.")
    if len(items) != count:
        raise BadResponseError(f"The node sent {len(items):,} embeddings for {count:,} texts.")
    by_index = {_vector_index(item, place): _vector(item.get("embedding")) for place, item in enumerate(items)}
    if by_index.keys() != set(range(count)):
        raise BadResponseError("The node sent embeddings with invalid indexes.")
    if len({len(vector) for vector in by_index.values()}) != 1:
        raise BadResponseError("The node sent embeddings of different lengths.")
    return tuple(by_index[index] for index in range(count))


def encode_vector(vector: Sequence[float]) -> str:
    """Encode a vector as base64 of little-endian 32-bit floats."""
    return b64encode(_little_endian(array("f", vector)).tobytes()).decode()


def _vector_index(item: dict[str, Any], place: int) -> int:
    index = item.get("index", place)
    return index if type(index) is int else -1


def _vector(value: Any) -> Vector:
    numbers = _decode_vector(value) if isinstance(value, str) else _number_list(value)
    if not numbers or not all(map(math.isfinite, numbers)) or max(map(abs, numbers)) > MAX_FLOAT32:
        raise BadResponseError("The node sent an embedding with an invalid number.")
    return numbers


def _number_list(value: Any) -> Vector:
    if not isinstance(value, list) or not {*map(type, value)} <= {int, float}:
        return ()
    try:
        return tuple(map(float, value))
    except OverflowError:
        return ()


def _decode_vector(value: str) -> Vector:
    try:
        numbers = array("f", b64decode(value, validate=True))
    except ValueError:
        return ()
    return tuple(_little_endian(numbers))


def _little_endian(numbers: array[float]) -> array[float]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _usage(event: dict[str, Any]) -> Usage | None:
    usage = event.get("usage")
    if not isinstance(usage, dict):
        return None
    input_tokens, output_tokens = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if type(input_tokens) is not int or type(output_tokens) is not int:
        return None
    if not 0 <= input_tokens <= MAX_TOKENS or not 0 <= output_tokens <= MAX_TOKENS:
        return None
    details = {k: v for k, v in usage.items() if k not in _COUNTS and v not in (None, {})} if len(usage) > 3 else {}
    return Usage(input_tokens, output_tokens, "node", details)


def context_length_error(error: StatusError) -> ContextLengthError | None:
    """Return the caller's error if a node reports that the input exceeds its context."""
    message = error.message.lower()
    if error.status in (400, 413, 422) and "context" in message and ("length" in message or "window" in message):
        return ContextLengthError(f"The input is too long. {error.message}")
    return None


def response_format_error(error: StatusError, call: Call) -> UserError | None:
    """Return the caller's error if a node rejects the response format."""
    message = error.message.lower()
    if call.response_format is None or error.status not in (400, 422):
        return None
    if "response_format" in message or "schema" in message:
        return UserError(f"The node rejected the response_format. {error.message}", param="response_format")
    return None
