"""Reads the choices of OpenAI-compatible responses: text, and what comes besides it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import msgspec

from herding.errors import BadResponseError
from herding.nodes import http
from herding.nodes.redact import FieldRedactor, Secrets, StreamRedactor
from herding.values import Choice, Chunk, Fields, FinishReason, Usage

REASONING_FIELDS = ("reasoning_content", "reasoning")
"""Names of the field with the reasoning; some servers send both, with the same text."""

_RESPONSE_FIELDS = frozenset({"id", "object", "created", "model", "choices", "usage"})
_CHOICE_FIELDS = frozenset({"index", "delta", "message", "text", "finish_reason", "usage"})
_EMPTY: tuple[Any, ...] = (None, "", [], {})
_Nothing = Literal["", None]
_NAMES = frozenset({"id", "type", "name", "role", "format", "signature"})
"""Fields of messages whose texts come whole."""


class ChoiceReader:
    """Reads the choices of the events of one response; `is_whole` choices have a `message` instead of a `delta`."""

    def __init__(self, node: str) -> None:
        self._node = node
        self.begun: set[int] = set()
        self._calls: dict[int, ToolCallNumbers] = {}

    def read(self, choice: Mapping[str, Any], position: int) -> str | Choice:
        """Return what a choice adds: its text if that is all, and it is the first.

        Raises BadResponseError for a choice that ended with an error.
        """
        index = choice.get("index")
        if type(index) is not int or index < 0:
            index = position
        reason = choice.get("finish_reason") or None  # some servers send "" for none
        if reason is not None:
            if reason == "error" or choice.get("error"):
                raise self._failure(choice)
            reason = str(reason)[:100]
        delta = choice.get("delta")
        if not isinstance(delta, Mapping):
            delta = self._whole(choice, index)
        content, fields, reasoning = delta.get("content"), {}, ""
        if len(delta) > 1 or content is None:
            fields = self._fields(delta, index)
            reasoning = _reasoning(fields)
        if content is None or isinstance(content, str):
            text = content or ""
        else:
            text, thought = _read_parts(content)
            if thought:
                reasoning += thought
                fields["reasoning_content"] = f"{fields.get('reasoning_content', '')}{thought}"
        extra = {} if _CHOICE_FIELDS.issuperset(choice) else _extra(choice)
        if text or fields:
            self.begun.add(index)
        if index == 0 and not fields and not extra and reason is None:
            return text
        return Choice(index, text, reasoning, fields, extra, reason)

    def _fields(self, delta: Fields, index: int) -> dict[str, Any]:
        """Return what a delta has besides its text, with tool calls as clients put them together."""
        fields = {k: v for k, v in delta.items() if k not in ("role", "content") and v not in _EMPTY}
        if isinstance(calls := fields.get("tool_calls"), list):
            numbers = self._calls.setdefault(index, ToolCallNumbers())
            fields["tool_calls"] = [numbers.add(call) for call in calls if isinstance(call, Mapping)]
        return fields

    def _whole(self, choice: Mapping[str, Any], index: int) -> Mapping[str, Any]:
        """Return a whole message, or the text of a completion, as a delta; nothing if deltas came before it."""
        text = choice.get("text")
        if isinstance(text, str):
            return {"content": text}
        message = choice.get("message")
        return message if isinstance(message, Mapping) and index not in self.begun else {}

    def _failure(self, choice: Mapping[str, Any]) -> BadResponseError:
        message = http.error_message(choice) or "an error that ended its response"
        return BadResponseError(f"Node '{self._node}' reported: {message.rstrip('.')}.")


class _PlainDelta(msgspec.Struct, forbid_unknown_fields=True):
    content: str
    role: str | None = None
    reasoning: _Nothing = None
    reasoning_content: _Nothing = None
    refusal: _Nothing = None
    tool_calls: tuple[()] | None = None
    function_call: None = None


class _PlainChoice(msgspec.Struct, forbid_unknown_fields=True):
    index: Literal[0]
    delta: _PlainDelta
    finish_reason: _Nothing = None
    native_finish_reason: None = None
    stop_reason: None = None
    matched_stop: None = None
    logprobs: None = None
    token_ids: None = None


class _PlainEvent(msgspec.Struct):
    """A later event of which nothing but the text of the first choice is used; its further fields are the first's."""

    choices: tuple[_PlainChoice]
    usage: None = None
    error: None = None
    x_groq: None = None


_plain_event = msgspec.json.Decoder(_PlainEvent).decode


def plain_text(event: bytes) -> str | None:
    """Return the text of a later event that adds nothing but text to the first choice; None for any other event.

    Almost all events are of this form. They are checked while they are parsed, which takes a tenth of the time of
    `ChoiceReader.read`.
    """
    try:
        return _plain_event(event).choices[0].delta.content
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


class ToolCallNumbers:
    """Numbers the tool calls of one choice in the order in which they begin.

    Clients put the deltas of a call together by its `index`, and join its texts. Some servers send no index, or the
    same for all calls, and some repeat the id in every delta.
    """

    def __init__(self) -> None:
        self._begun: list[dict[str, Any]] = []
        self._numbers: dict[int | None, int] = {}

    def add(self, call: Fields) -> dict[str, Any]:
        """Return a delta of a call with its number, and without the names that an earlier delta had."""
        function = call.get("function") if isinstance(call.get("function"), Mapping) else {}
        names = {"id": call.get("id"), "type": call.get("type"), "name": (function or {}).get("name")}
        given = index if type(index := call.get("index")) is int else None
        number = self._numbers.get(given)
        if number is None or self._is_new(names, self._begun[number], numbered=given is not None):
            number = self._numbers[given] = len(self._begun)
            self._begun.append({})
        known = self._begun[number]
        repeated = {name for name, value in names.items() if not value or known.get(name) == value}
        known |= {name: value for name, value in names.items() if value}
        delta = {name: value for name, value in call.items() if name not in repeated}
        if function and "name" in repeated:
            delta["function"] = {name: value for name, value in function.items() if name != "name"}
        return {**delta, "index": number}

    def _is_new(self, names: Fields, known: Fields, *, numbered: bool) -> bool:
        """Return whether a delta begins another call than the latest with its number."""
        if names["id"]:
            return known.get("id") not in (None, names["id"])
        return not numbered and bool(names["name"])


class ChunkRedactor:
    """Removes secrets from the chunks of one response, also where one is split between them."""

    def __init__(self, secrets: Secrets) -> None:
        self._text = StreamRedactor(secrets)
        self._fields = FieldRedactor(secrets) if secrets.forms else None

    def feed(self, chunk: Chunk) -> Chunk:
        """Return a chunk without secrets; its last characters may come with a later one."""
        if self._fields is None:
            return chunk
        text = self._text.feed(chunk.text)
        if not chunk.deltas and not chunk.extra:
            return Chunk(text)
        deltas = tuple(self._redacted(choice) for choice in chunk.deltas)
        return Chunk(text, deltas=deltas, extra=self._fields.feed(chunk.extra))

    def end(self, chunk: Chunk, finish_reason: FinishReason, usage: Usage | None) -> Chunk:
        """Return the last chunk of the response, with what was held back."""
        text, deltas, extra = chunk.text, chunk.deltas, chunk.extra
        if self._fields is not None:
            chunk = self.feed(chunk)
            text, deltas, extra = (
                chunk.text + self._text.flush(),
                (*chunk.deltas, *self._held(self._fields)),
                chunk.extra,
            )
        return Chunk(text, finish_reason, usage, deltas, extra)

    def _held(self, redactor: FieldRedactor) -> Iterator[Choice]:
        """Yield what was held back of fields."""
        held: dict[int, dict[str, Any]] = {}
        for (index, *path), rest in redactor.flush():
            merge(held.setdefault(int(index), {}), _nested(path, rest))
        for index, fields in held.items():
            yield Choice(index, fields.pop("text", ""), _reasoning(fields), fields)

    def _redacted(self, choice: Choice) -> Choice:
        feed, index = self._fields.feed if self._fields else _same, choice.index
        text = self._text.feed(choice.text) if index == 0 else feed(choice.text, (index, "text"))
        fields = feed(choice.fields, (index,))
        reasoning = _reasoning(fields) if choice.reasoning else ""
        return replace(choice, text=text, reasoning=reasoning, fields=fields, extra=feed(choice.extra, (index,)))


def _same(value: Any, _path: Any) -> Any:
    return value


def _nested(path: Sequence[str | int], text: str) -> Any:
    """Return the JSON fields with a text at a path; numbers are the indexes of list entries."""
    if not path:
        return text
    inner = _nested(path[1:], text)
    if isinstance(path[0], str):
        return {path[0]: inner}
    return [{"index": path[0], **inner}] if isinstance(inner, Mapping) else [inner]


def response_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the further fields of a response, such as `system_fingerprint` and `service_tier`."""
    return {name: value for name, value in event.items() if name not in _RESPONSE_FIELDS and value not in _EMPTY}


def merge(whole: dict[str, Any], more: Fields, *, texts_grow: bool = True) -> None:
    """Add the fields of a delta to those of a message: texts and lists grow, the entries of lists by their index.

    What is of another kind than before replaces it; so does each text with `texts_grow` false, as beside the message.
    """
    for name, value in more.items():
        before = whole.get(name)
        if texts_grow and isinstance(before, str) and isinstance(value, str) and name not in _NAMES:
            whole[name] = before + value
        elif isinstance(before, dict) and isinstance(value, Mapping):
            merge(before, value, texts_grow=texts_grow)
        elif isinstance(value, list):
            whole[name] = _merged_list(before if isinstance(before, list) else [], value)
        elif isinstance(value, Mapping):
            whole[name] = fresh = dict[str, Any]()
            merge(fresh, value)
        elif value is not None:
            whole[name] = value


def _merged_list(before: list[Any], more: list[Any]) -> list[Any]:
    entries = before if isinstance(before, _Entries) else _Entries(before)
    for entry in more:
        entries.add(entry)
    return entries


class _Entries(list[Any]):
    """The entries of a list that grows, and where those with an index are: a response may have many thousands."""

    def __init__(self, entries: list[Any]) -> None:
        super().__init__()
        self._places: dict[int, dict[str, Any]] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: Any) -> None:
        """Add an entry, or what it adds to the earlier one with its index."""
        if not isinstance(entry, Mapping):
            self.append(entry)
            return
        index = entry.get("index")
        found = self._places.get(index) if type(index) is int else None
        if found is None:
            found = dict[str, Any]()
            self.append(found)
            if type(index) is int:
                self._places[index] = found
        merge(found, entry)


def _extra(choice: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in choice.items() if name not in _CHOICE_FIELDS and value is not None}


def _reasoning(fields: Mapping[str, Any]) -> str:
    for name in REASONING_FIELDS:
        if isinstance(value := fields.get(name), str):
            return value
    return ""


def _read_parts(content: Any) -> tuple[str, str]:
    """Return the text and the reasoning of a list of parts, which some servers send."""
    texts, thoughts = [], []
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, Mapping):
            continue
        if part.get("type") in ("thinking", "reasoning"):
            thoughts.append(_thought(part.get("thinking") or part.get("text") or part.get("reasoning")))
        elif isinstance(text := part.get("text"), str) and part.get("type") in (None, "text", "output_text"):
            texts.append(text)
    return "".join(texts), "".join(thoughts)


def _thought(found: Any) -> str:
    return found if isinstance(found, str) else _read_parts(found)[0]
