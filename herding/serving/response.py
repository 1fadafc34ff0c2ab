"""The response of a run as its chunks arrive: text, reasoning, tool calls, and further choices."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from herding.nodes.responses.openai_choices import merge
from herding.prompts.checks import Checks, Trimmer, overlap
from herding.prompts.compose import utf8_size
from herding.values import Choice, Chunk, Delta, FinishReason, Usage

_TAGS = {"<think>": "</think>", "[THINK]": "[/THINK]"}
"""The beginning and the end of reasoning, as models are trained to write them."""

_FOUND = "\0"
"""The end of reasoning was found, and white space may follow."""


class ResponseRecord:
    """Collects the chunks of one response, and returns what its caller gets of each.

    The text of the first choice ends at the stop marker or a stop string; reasoning is never cut. `trimmed` is true
    once one of them was received, `marked` if it was the marker. `size` counts the bytes of all that the model wrote;
    it began to write at `began_at`, in seconds of `time.perf_counter`. `usage` and `finish_reason` are the node's.
    """

    def __init__(self, checks: Checks, stops: Sequence[str]) -> None:
        self._trimmer = Trimmer(checks, stops) if checks.stop_marker or stops else None
        self._first = _ChoiceRecord(0)
        self._others: dict[int, _ChoiceRecord] = {}
        self.trimmed = self.marked = False
        self.extra: dict[str, Any] = {}
        self.size = 0
        self.began_at: float | None = None
        self.usage: Usage | None = None
        self.finish_reason: FinishReason | None = None

    @property
    def complete(self) -> bool:
        """True once the stop marker or a stop string was received, and no other choice is under way."""
        return self.trimmed and not self._others

    @property
    def text(self) -> str:
        """The text of the first choice so far."""
        return "".join(self._first.texts)

    @property
    def has_calls(self) -> bool:
        """True if the first choice calls tools."""
        return bool(self._first.fields.get("tool_calls") or self._first.fields.get("function_call"))

    @property
    def refused(self) -> bool:
        """True if the model refused."""
        return bool(self._first.fields.get("refusal"))

    @property
    def has_reasoning(self) -> bool:
        """True if the first choice has reasoning."""
        return bool(self._first.reasoning)

    def add(self, chunk: Chunk) -> Delta | None:
        """Record a chunk; return what is certain after it, None if nothing is."""
        if self.began_at is None and (chunk.text or chunk.deltas):
            self.began_at = time.perf_counter()
        self.usage = chunk.usage or self.usage
        self.finish_reason = chunk.finish_reason or self.finish_reason
        if chunk.deltas or chunk.extra:
            return self._add_all(chunk)
        self.size += len(chunk.text) if chunk.text.isascii() else utf8_size(chunk.text)
        raw, thought, text = self._first.split(chunk.text) if chunk.text else ("", "", "")
        if self._trimmer or chunk.finish_reason:
            text = self._trim(text, ended=bool(chunk.finish_reason))
        self._first.texts.append(text)
        if raw or thought:
            choice = Choice(0, text, thought, {"content": raw} if raw else {})
            self._first.record(choice)
            return Delta(text, (choice,))
        return Delta(text) if text else None

    def choices(self, finish_reason: FinishReason | None) -> tuple[Choice, ...]:
        """Return the whole choices; none for a response that has nothing but one text."""
        first = self._first
        if not self._others and first.plain:
            return ()
        others = (self._others[index].choice(None) for index in sorted(self._others))
        return (first.choice(finish_reason), *others)

    def _add_all(self, chunk: Chunk) -> Delta | None:
        self.extra |= chunk.extra
        given = (Choice(0, chunk.text), *chunk.deltas) if chunk.text else chunk.deltas
        choices = [added for choice in given if (added := self._add_choice(choice))]
        if chunk.finish_reason and (rest := self._trim("", ended=True)):
            self._first.texts.append(rest)
            choices.append(Choice(0, rest))
        text = "".join(choice.text for choice in choices if choice.index == 0)
        return Delta(text, tuple(choices), chunk.extra or None) if choices or chunk.extra else None

    def _add_choice(self, given: Choice) -> Choice | None:
        if isinstance(refusal := given.fields.get("refusal"), str):
            self.size += utf8_size(refusal)
        self.size += utf8_size(given.text) + utf8_size(given.reasoning) + _size(given.fields.get("tool_calls"))
        record = self._first if given.index == 0 else self._others.get(given.index)
        if record is None:
            record = self._others[given.index] = _ChoiceRecord(given.index)
        raw, thought, text = record.split(given.text) if given.text else ("", "", "")
        extra = given.extra
        if given.index == 0:
            extra = {} if self.trimmed else extra
            text = self._trim(text, ended=False)
        fields = {**given.fields, "content": raw} if raw else given.fields
        added = Choice(given.index, text, given.reasoning + thought, fields, extra, given.finish_reason)
        record.texts.append(text)
        record.record(added)
        return added if text or added.reasoning or fields or extra or added.finish_reason else None

    def _trim(self, text: str, *, ended: bool) -> str:
        """Return the text of the first choice that is certain; all that is left at the end."""
        if ended:
            text += self._first.rest()
        if self._trimmer is None:
            return text
        text = self._trimmer.feed(text)
        self.trimmed, self.marked = self._trimmer.done, self._trimmer.marked
        return text + self._trimmer.end() if ended and not self.trimmed else text


class _ChoiceRecord:
    """One choice as it grows."""

    __slots__ = ("_index", "_splitter", "extra", "fields", "finish_reason", "reasoning", "texts")

    def __init__(self, index: int) -> None:
        self._index = index
        self._splitter = ReasoningSplitter()
        self.texts: list[str] = []
        self.reasoning: list[str] = []
        self.fields: dict[str, Any] = {}
        self.extra: dict[str, Any] = {}
        self.finish_reason: FinishReason | None = None

    @property
    def plain(self) -> bool:
        return not self.fields and not self.extra and not self.reasoning

    def split(self, text: str) -> tuple[str, str, str]:
        """Return the part of a text that holds reasoning, as it came, that reasoning, and the rest."""
        return ("", "", text) if self._splitter.done else self._splitter.feed(text)

    def rest(self) -> str:
        """Return the text that was held back at the end; reasoning that was held back is recorded."""
        if self._splitter.done:
            return ""
        raw, thought, text = self._splitter.end()
        if raw or thought:
            self.record(Choice(self._index, "", thought, {"content": raw}))
        return text

    def record(self, added: Choice) -> None:
        """Add all but the text."""
        merge(self.fields, added.fields)
        merge(self.extra, added.extra, texts_grow=False)
        if added.reasoning:
            self.reasoning.append(added.reasoning)
        self.finish_reason = added.finish_reason or self.finish_reason

    def choice(self, finish_reason: FinishReason | None) -> Choice:
        """Return the whole choice."""
        if self._index:
            self.texts.append(self.rest())
        text = "".join(self.texts)
        reason = finish_reason or self.finish_reason
        return Choice(self._index, text, "".join(self.reasoning), self.fields, self.extra, reason)


class ReasoningSplitter:
    """Splits a streamed text into the reasoning at its start and the answer.

    Only a block at the very start counts, after white space at most. `done` is true once the answer has begun: then
    all further text belongs to it.
    """

    __slots__ = ("_end", "_held", "done")

    def __init__(self) -> None:
        self._end = ""
        self._held = ""
        self.done = False

    def feed(self, piece: str) -> tuple[str, str, str]:
        """Take the next piece; return the part with reasoning as it came, the reasoning itself, and the answer."""
        if self.done:
            return "", "", piece
        self._held += piece
        raw = thought = ""
        if not self._end:
            start = self._held.lstrip()
            tag = next((tag for tag in _TAGS if start.startswith(tag)), None)
            if tag is None:
                if not start or any(tag.startswith(start) for tag in _TAGS):
                    return "", "", ""
                return "", "", self._release()
            raw = self._held[: len(self._held) - len(start) + len(tag)]
            self._held, self._end = start[len(tag) :], _TAGS[tag]
        if self._end != _FOUND:
            inside, found, rest = self._held.partition(self._end)
            if not found:
                kept = len(inside) - overlap(inside, self._end)
                self._held = inside[kept:]
                return raw + inside[:kept], inside[:kept], ""
            raw, thought = raw + inside + self._end, inside
            self._held, self._end = rest, _FOUND
        answer = self._held.lstrip()
        raw += self._held[: len(self._held) - len(answer)]
        self._held = answer
        return raw, thought, self._release() if answer else ""

    def end(self) -> tuple[str, str, str]:
        """Return what was held back, in the form of `feed`."""
        if self.done:
            return "", "", ""
        held, inside = self._release(), bool(self._end) and self._end != _FOUND
        return (held, held, "") if inside else ("", "", held)

    def _release(self) -> str:
        held, self._held, self.done = self._held, "", True
        return held


def _size(calls: Any) -> int:
    """Return the number of characters in tool calls."""
    found = (call.get("function") for call in calls if isinstance(call, Mapping)) if isinstance(calls, list) else ()
    texts = (
        function.get(name) for function in found if isinstance(function, Mapping) for name in ("name", "arguments")
    )
    return sum(len(text) for text in texts if isinstance(text, str))
