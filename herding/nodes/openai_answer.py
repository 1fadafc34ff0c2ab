"""What servers of the OpenAI protocol answer: events of a stream, embeddings, and refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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
from herding.nodes import http, vectors
from herding.nodes.base import tokens_of
from herding.values import Call, Embeddings, FinishReason, Usage

MAX_TOKENS = 10**9
"""What counts more tokens than this is no count."""

_DONE = "[DONE]"


class Reader:
    """Reads the events of one answer."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._heard = False
        self._finish: FinishReason | None = None
        self.usage: Usage | None = None
        self.failure: NodeError | None = None
        self.done = False

    def read(self, events: Sequence[str]) -> str:
        """The text of events that came together; of a bad one the `failure`, and the text before it."""
        texts = []
        told = events[: events.index(_DONE)] if _DONE in events else events
        try:
            for event in _parsed(told, self._node):
                if "usage" in event:
                    self.usage = _usage(event) or self.usage
                if (choice := _choice(event)) is not None:
                    self._heard = True
                    text, finish = _piece(choice)
                    self._finish = finish or self._finish
                    texts.append(text)
        except NodeError as error:
            self.failure = error
        else:
            if told is not events:
                self._finish, self.done = self._finish or "stop", True
        return "".join(texts)

    def end(self) -> FinishReason:
        """Why the answer is over; a NodeError where it is not whole."""
        if not self._heard:
            raise BadResponseError(f"Node '{self._node}' sent an empty answer.")
        if self._finish is None:
            raise StreamInterruptedError(f"Node '{self._node}' stopped in the middle of its answer.")
        return self._finish


def _parsed(events: Sequence[str], node: str) -> Iterator[dict[str, Any]]:
    """Events that came together, read in one go, which takes half the time; one by one where one of them is bad."""
    try:
        found = orjson.loads(f"[{','.join(events)}]")
    except orjson.JSONDecodeError:
        found = []
    if len(found) != len(events):
        found = (loaded(data, node) for data in events)
    return (good(event, node) for event in found)


def good(event: Any, node: str) -> dict[str, Any]:
    """An event as the protocol has them; BadResponseError for another, or one that reports an error."""
    if not isinstance(event, dict):
        raise BadResponseError(f"Node '{node}' sent an event that is not an object.")
    if event.get("error"):
        raise BadResponseError(f"Node '{node}' reported: {http.message_in(event) or 'an error'}.")
    return event


def loaded(data: str, node: str) -> Any:
    """JSON that may hold what orjson, many times as fast, does not take: half a character, or NaN."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BadResponseError(f"Node '{node}' sent an event that is not JSON.") from None


def embeddings(answer: bytes, texts: Sequence[str]) -> Embeddings:
    """What an answer holds; BadResponseError where it is not a good vector for each text."""
    try:
        data = json.loads(answer)
    except (ValueError, RecursionError):
        raise BadResponseError("The node sent embeddings that are not JSON.") from None
    if isinstance(data, dict) and data.get("error"):
        raise BadResponseError(f"The node reported: {http.message_in(data) or 'an error'}.")
    found = vectors.read(data, len(texts))
    usage = _usage(data)
    if usage is None:
        return Embeddings(found, tokens_of(sum(map(len, texts))))
    return Embeddings(found, usage.input_tokens, "node")


def _choice(event: dict[str, Any]) -> dict[str, Any] | None:
    """An event's first choice; None where it has none, as those that only count tokens."""
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, dict) else None


def _piece(choice: dict[str, Any]) -> tuple[str, FinishReason | None]:
    """The text of a choice, and why the answer ends with it; some servers say "" where it does not."""
    delta, reason = choice.get("delta"), choice.get("finish_reason")
    text = delta.get("content") if isinstance(delta, dict) else choice.get("text")
    if isinstance(text, list):  # of parts, as some servers send it
        text = "".join(part.get("text") or "" for part in text if isinstance(part, dict) and part.get("type") == "text")
    ended: FinishReason | None = None if not reason else "length" if reason == "length" else "stop"
    return text if isinstance(text, str) else "", ended


def _usage(event: dict[str, Any]) -> Usage | None:
    usage = event.get("usage")
    if not isinstance(usage, dict):
        return None
    given, made = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if type(given) is not int or type(made) is not int:
        return None
    if not 0 <= given <= MAX_TOKENS or not 0 <= made <= MAX_TOKENS:
        return None
    return Usage(given, made, "node")


def too_long(error: StatusError) -> ContextLengthError | None:
    """The request's own fault, where a node says that its context is too small for it."""
    words = error.message.lower()
    if error.status in (400, 413, 422) and "context" in words and ("length" in words or "window" in words):
        return ContextLengthError(f"The input is too long. {error.message}")
    return None


def refused_form(error: StatusError, call: Call) -> UserError | None:
    """The request's own fault, where a node says that it cannot keep to the form of the answer."""
    words = error.message.lower()
    if call.response_format is None or error.status not in (400, 422):
        return None
    if "response_format" in words or "schema" in words:
        return UserError(f"The response_format was refused. {error.message}", param="response_format")
    return None
