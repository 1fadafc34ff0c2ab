"""Parses the responses of OpenAI-compatible servers: stream events, embeddings and errors."""

from __future__ import annotations

import json
import math
import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from herding.errors import (
    BadResponseError,
    ContextLengthError,
    NodeError,
    ReportedError,
    StatusError,
    StreamInterruptedError,
)
from herding.nodes import http
from herding.nodes.base import estimate_tokens
from herding.nodes.responses.openai_choices import ChoiceReader, plain_text, response_fields
from herding.nodes.responses.reported_error import is_error, read_error, shorten
from herding.nodes.responses.sse import MAX_LINE
from herding.nodes.responses.usage import USAGE_PLACES, larger, plain_usage, read_usage
from herding.values import Choice, Chunk, EmbeddingInput, Embeddings, FinishReason, Usage

MAX_FLOAT32 = 3.4e38

MAX_EVENT_LINES = 2_000
"""Lines of an event that is written in several; each may be its last, and is tried."""

MAX_DEPTH = 100
"""Levels of objects and lists in an event; what is deeper could not be read, stored or sent on."""

Vector = tuple[float, ...]

_DONE = b"[DONE]"
_NOTHING = object()


class StreamReader:
    """Reads the events of one response."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._choices = ChoiceReader(node)
        self._has_choices = False
        self._finish_reason: FinishReason | None = None
        self._held = self._words = ""
        self._held_lines = 0
        self._begun = False
        self.usage: Usage | None = None
        self.failure: NodeError | None = None
        self.done = False

    def read(self, events: Sequence[bytes]) -> list[Chunk]:
        """Return the chunks of events that arrived together; an invalid event sets `failure` and ends them.

        Texts of the first choice that follow each other are one chunk.
        """
        chunks, texts = list[Chunk](), list[str]()
        try:
            for place, data in enumerate(events):
                if data == _DONE:
                    self._check_held()
                    self._finish_reason, self.done = self._finish_reason or "stop", True
                    self.read_late(events[place + 1 :])
                    break
                if self._begun and not self._held and (text := plain_text(data)) is not None:
                    self._has_choices = True
                    if text:
                        self._choices.begun.add(0)
                        texts.append(text)
                elif (event := self._parse(data)) is not _NOTHING:
                    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
                        self._check_depth(event)
                    if (chunk := self._read_event(event, texts)) is None:
                        continue
                    if chunk.deltas:
                        _add_texts(chunks, texts)
                    chunks.append(chunk)  # fields of the response come before its text
        except NodeError as error:
            self.failure = error
        _add_texts(chunks, texts)
        return chunks

    def read_late(self, events: Sequence[bytes]) -> None:
        """Take the usage from events after the end, where some servers send it."""
        for data in events:
            try:
                event = orjson.loads(data)
            except orjson.JSONDecodeError:
                continue
            if isinstance(event, dict):
                self.usage = larger(self.usage, read_usage(event))

    def _parse(self, data: bytes) -> Any:
        """Return a parsed event; `_NOTHING` for words, and for an object that goes on in the next event."""
        if not self._held:
            try:
                return orjson.loads(data)
            except orjson.JSONDecodeError:
                pass
        text = self._decoded(data)
        found = _parse_loosely(text)
        if self._held:
            if (isinstance(found, dict) and "choices" in found) or self._held_lines == MAX_EVENT_LINES:
                parse_json(self._held, self._node)  # raises the error
            text = f"{self._held}\n{text}"
            found = _parse_loosely(text) if text.endswith("}") else _NOTHING
        self._held = ""
        self._check_depth(found)
        if found is _NOTHING and text.startswith("{") and len(text) < MAX_LINE:
            self._held, self._held_lines = text, self._held_lines + 1
        elif found is _NOTHING:
            self._words = self._words or shorten(text)
        else:
            self._held_lines = 0
        return found

    def _check_depth(self, event: Any) -> None:
        if _is_deep(event, MAX_DEPTH):
            raise BadResponseError(f"Node '{self._node}' sent an event that is nested too deeply.", node=self._node)

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            message = f"Node '{self._node}' sent a response that is not valid UTF-8."
            raise BadResponseError(message, node=self._node) from None

    def _check_held(self) -> None:
        """Raise BadResponseError for an event that is still incomplete at the end of a response."""
        if self._held and self._finish_reason is None:
            parse_json(self._held, self._node)

    def _read_event(self, event: Any, texts: list[str]) -> Chunk | None:
        """Record one event: plain text is added to `texts`, all else is returned."""
        usage = plain_usage(event)
        if usage is None and (not isinstance(event, dict) or not event.get("choices") or event.get("error")):
            event = self._checked(event)
        choices = event.get("choices")
        if usage is None and (event.get("usage") or not choices or _has_usage(event, choices)):
            usage = read_usage(event)
        self.usage = larger(self.usage, usage)
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

    def _checked(self, event: Any) -> dict[str, Any]:
        """Return an event without choices in OpenAI's form, an empty one for a ping.

        Raises NodeError for one that reports an error.
        """
        if not isinstance(event, dict | list):
            return {}
        found = check_event(event, self._node)
        found = from_ollama(found) or found
        if {"choices", *USAGE_PLACES} & found.keys():
            return found
        self._words = self._words or read_error(found).message
        return {}

    def finish(self) -> FinishReason:
        """Return the finish reason; raise NodeError if the response is empty or incomplete."""
        self._check_held()
        if not self._has_choices:
            only = f": only '{self._words.rstrip('.')}'" if self._words else ""
            raise BadResponseError(f"Node '{self._node}' sent an empty response{only}.")
        if self._finish_reason is None:
            raise StreamInterruptedError(f"Node '{self._node}' stopped before its response was complete.")
        return self._finish_reason


def _add_texts(chunks: list[Chunk], texts: list[str]) -> None:
    """Add the texts as one chunk, and empty them."""
    if texts:
        chunks.append(Chunk("".join(texts)))
        texts.clear()


def check_event(event: Any, node: str) -> dict[str, Any]:
    """Return an event that is an object; raise NodeError for another one or a reported error."""
    if is_error(event):
        raise http.error_of(read_error(event), node)
    if not isinstance(event, dict):
        raise BadResponseError(f"Node '{node}' sent an event that is not a JSON object.")
    return event


def from_ollama(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a part of a response in Ollama's own form as one of OpenAI's; None if it is something else."""
    message, done = event.get("message"), event.get("done")
    if type(done) is not bool:
        return None
    delta = dict(message) if isinstance(message, Mapping) else {"content": event.get("response") or ""}
    if thinking := delta.pop("thinking", None):
        delta["reasoning_content"] = thinking
    choice = {"index": 0, "delta": delta, "finish_reason": (event.get("done_reason") or "stop") if done else None}
    counts = {name: event[name] for name in ("prompt_eval_count", "eval_count") if name in event}
    return {"choices": [choice], "usage": counts} if counts else {"choices": [choice]}


def _has_usage(event: Mapping[str, Any], choices: Any) -> bool:
    """True for an event that has its usage in a choice, or in an extension."""
    first = choices[0] if isinstance(choices, list) else None
    return bool(event.get("x_groq")) or (isinstance(first, dict) and bool(first.get("usage")))


def _is_deep(value: Any, levels: int) -> bool:
    """Return whether a JSON value has more than `levels` of objects and lists."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inner is not None and (levels == 0 or any(_is_deep(item, levels - 1) for item in inner))


def _parse_loosely(data: str) -> Any:
    """Parse JSON with all that Python accepts, `_NOTHING` if it is none; what is not a finite number becomes None."""
    try:
        return json.loads(data, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        return _NOTHING


def _no_number(_: str) -> None:
    return None


def _finite(digits: str) -> float | None:
    return number if math.isfinite(number := float(digits)) else None


def parse_json(data: str, node: str) -> Any:
    """Parse JSON that orjson, which is much faster, rejects: lone surrogates or NaN."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BadResponseError(f"Node '{node}' sent an event that is not valid JSON.") from None


def parse_embeddings(content: bytes, texts: Sequence[EmbeddingInput], *, node: str = "") -> Embeddings:
    """Return the embeddings of a response; raise NodeError unless it has a valid vector for each text."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        raise BadResponseError("The node sent embeddings that are not valid JSON.") from None
    if is_error(data):
        raise http.error_of(read_error(data), node)
    try:
        vectors = read_vectors(data, len(texts))
    except BadResponseError as error:
        words = "" if isinstance(data, dict) and "data" in data else read_error(data).message
        if words:
            raise http.error_of(ReportedError(message=words), node) from None
        raise error
    usage = read_usage(data)
    if usage is None:
        chars = sum(len(text) for text in texts if isinstance(text, str))
        return Embeddings(vectors, estimate_tokens(chars) + sum(len(ids) for ids in texts if isinstance(ids, tuple)))
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


def context_length_error(error: StatusError) -> ContextLengthError | None:
    """Return the caller's error if a node reports that the input exceeds its context."""
    message = error.message.lower()
    if error.status in (400, 413, 422) and "context" in message and ("length" in message or "window" in message):
        return ContextLengthError(f"The input is too long. {error.message}", param=error.param)
    return None
