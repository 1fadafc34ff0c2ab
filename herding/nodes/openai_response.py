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
from herding.values import Call, Embeddings, FinishReason, Usage

MAX_TOKENS = 10**9
"""A larger token count is invalid."""

MAX_FLOAT32 = 3.4e38

Vector = tuple[float, ...]

_DONE = "[DONE]"


class StreamReader:
    """Reads the events of one response."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._has_choices = False
        self._finish_reason: FinishReason | None = None
        self.usage: Usage | None = None
        self.failure: NodeError | None = None
        self.done = False

    def read(self, events: Sequence[str]) -> str:
        """Return the text of events that arrived together; an invalid event sets `failure` and ends the text."""
        texts = []
        before_end = events[: events.index(_DONE)] if _DONE in events else events
        try:
            for event in _parse_events(before_end, self._node):
                texts.append(self._read_event(event))
        except NodeError as error:
            self.failure = error
        else:
            if before_end is not events:
                self._finish_reason, self.done = self._finish_reason or "stop", True
        return "".join(texts)

    def _read_event(self, event: Any) -> str:
        """Record one event and return its text; events that only count tokens have none."""
        if not isinstance(event, dict) or event.get("error"):
            check_event(event, self._node)  # raises the error
        if "usage" in event:
            self.usage = _usage(event) or self.usage
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return ""
        self._has_choices = True
        if reason := choice.get("finish_reason"):  # some servers send "" for none
            self._finish_reason = "length" if reason == "length" else "stop"
        delta = choice.get("delta")
        text = delta.get("content") if isinstance(delta, dict) else choice.get("text")
        return text if isinstance(text, str) else _join_parts(text)

    def finish(self) -> FinishReason:
        """Return the finish reason; raise NodeError if the response is empty or incomplete."""
        if not self._has_choices:
            raise BadResponseError(f"Node '{self._node}' sent an empty response.")
        if self._finish_reason is None:
            raise StreamInterruptedError(f"Node '{self._node}' stopped before its response was complete.")
        return self._finish_reason


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


def _join_parts(content: Any) -> str:
    """Return the text of a list of parts, which some servers send; anything else has none."""
    if not isinstance(content, list):
        return ""
    return "".join(part.get("text") or "" for part in content if isinstance(part, dict) and part.get("type") == "text")


def _usage(event: dict[str, Any]) -> Usage | None:
    usage = event.get("usage")
    if not isinstance(usage, dict):
        return None
    input_tokens, output_tokens = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if type(input_tokens) is not int or type(output_tokens) is not int:
        return None
    if not 0 <= input_tokens <= MAX_TOKENS or not 0 <= output_tokens <= MAX_TOKENS:
        return None
    return Usage(input_tokens, output_tokens, "node")


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
