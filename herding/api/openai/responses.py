"""Answers as OpenAI's clients expect them: chats and completions, whole and in chunks."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from herding.values import FinishReason, Outcome, Usage

Json = dict[str, Any]
_FINISH: dict[FinishReason | None, str] = {"length": "length"}
"""OpenAI knows no end by the caller; whatever is not `length` is `stop`."""


def usage(counts: Usage) -> Json:
    """Token counts under OpenAI's names."""
    total = counts.input_tokens + counts.output_tokens
    return {
        "prompt_tokens": counts.input_tokens,
        "completion_tokens": counts.output_tokens,
        "total_tokens": total,
    }


def finish(reason: FinishReason | None) -> str:
    """Why generation ended, in OpenAI's words."""
    return _FINISH.get(reason, "stop")


class Style(ABC):
    """How one of the two kinds of answer is written."""

    prefix: str
    whole: str
    chunk: str

    @abstractmethod
    def choice(self, text: str) -> Json:
        """The text of a whole answer."""

    @abstractmethod
    def piece(self, text: str, *, first: bool = False) -> Json:
        """A piece of the text."""

    @abstractmethod
    def end(self) -> Json:
        """In the place of a piece, at the end."""

    def answer(self, outcome: Outcome) -> Json:
        """A whole answer."""
        head = self.head(self.whole, outcome.request_id, outcome.model, outcome.created_at // 1000)
        end = {"index": 0, "logprobs": None, "finish_reason": finish(outcome.finish_reason)}
        return head | {"choices": [self.choice(outcome.answer) | end], "usage": usage(outcome.usage)}

    def head(self, kind: str, request_id: str, model: str | None, created: int) -> Json:
        """What all answers begin with; `created` is in Unix seconds."""
        id = f"{self.prefix}{request_id}"
        return {"id": id, "object": kind, "created": created, "model": model or "", "system_fingerprint": None}


class _Chat(Style):
    prefix, whole, chunk = "chatcmpl-", "chat.completion", "chat.completion.chunk"

    def choice(self, text: str) -> Json:
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def piece(self, text: str, *, first: bool = False) -> Json:
        return {"delta": {"role": "assistant", "content": text} if first else {"content": text}}

    def end(self) -> Json:
        return {"delta": {}}


class _Text(Style):
    prefix, whole, chunk = "cmpl-", "text_completion", "text_completion"

    def choice(self, text: str) -> Json:
        return {"text": text}

    def piece(self, text: str, *, first: bool = False) -> Json:  # noqa: ARG002 (a chat's first piece has a role)
        return {"text": text}

    def end(self) -> Json:
        return {"text": ""}


CHAT, TEXT = _Chat(), _Text()


@dataclass(frozen=True, slots=True)
class Chunks:
    """Writes the chunks of one streamed answer."""

    style: Style
    head: Json

    @classmethod
    def of(cls, style: Style, request_id: str, model: str, *, include_usage: bool) -> Chunks:
        """The writer for an answer that begins now; with usage, every chunk has that field, the last one filled."""
        head = style.head(style.chunk, request_id, model, int(time.time()))
        return cls(style, head | {"usage": None} if include_usage else head)

    def piece(self, text: str, *, first: bool = False) -> Json:
        """A chunk with text; the first one names the role."""
        return self._chunk(self.style.piece(text, first=first), None)

    def last(self, outcome: Outcome) -> Json:
        """The chunk that says why the answer ends."""
        return self._chunk(self.style.end(), finish(outcome.finish_reason))

    def usage(self, outcome: Outcome) -> Json:
        """The chunk with the token counts."""
        return self.head | {"choices": [], "usage": usage(outcome.usage)}

    def _chunk(self, piece: Json, reason: str | None) -> Json:
        return self.head | {"choices": [{"index": 0, **piece, "logprobs": None, "finish_reason": reason}]}
