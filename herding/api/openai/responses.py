"""Response bodies as OpenAI's clients expect them: chats and completions, whole and in chunks, and embeddings."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any, Literal

from pydantic import ConfigDict, Field

from herding.api.http.models import ResponseModel
from herding.api.http.sse import encode_event
from herding.values import Choice, Delta, Done, Event, Fields, FinishReason, Outcome, Started, Usage

END = b"data: [DONE]\n\n"
"""The last event of a stream."""


class CompletionUsage(ResponseModel):
    """Token counts, with the details that the node sent."""

    model_config = ConfigDict(extra="allow")

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def from_counts(cls, counts: Usage) -> CompletionUsage:
        """Return token counts under OpenAI's names."""
        return cls(
            **{name: value for name, value in counts.details.items() if name not in cls.model_fields},
            prompt_tokens=counts.input_tokens,
            completion_tokens=counts.output_tokens,
            total_tokens=counts.input_tokens + counts.output_tokens,
        )


class AssistantMessage(ResponseModel):
    """The message of the model: text, a refusal or tool calls, and the reasoning under the name that the node uses."""

    model_config = ConfigDict(extra="allow")

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None

    @classmethod
    def from_choice(cls, choice: Choice) -> AssistantMessage:
        """Return the message of a choice."""
        fields = {name: value for name, value in choice.fields.items() if name not in ("role", "content")}
        if isinstance(calls := fields.get("tool_calls"), list):
            fields["tool_calls"] = [{k: v for k, v in call.items() if k != "index"} for call in calls]
        text = choice.fields.get("content", "") + choice.text
        return cls(content=text or (None if fields else ""), **fields)


class ChatChoice(ResponseModel):
    """A choice of a chat."""

    model_config = ConfigDict(extra="allow")

    message: AssistantMessage
    index: int = 0
    logprobs: dict[str, Any] | None = None
    finish_reason: str


class TextChoice(ResponseModel):
    """A choice of a completion."""

    model_config = ConfigDict(extra="allow")

    text: str
    index: int = 0
    logprobs: dict[str, Any] | None = None
    finish_reason: str


class ChatCompletion(ResponseModel):
    """The response to a chat. `created` is in Unix seconds."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(examples=["chatcmpl-0b9c5ac1d5e84a5f9e6f2f4f4be4b0f6"])
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str | None = None
    choices: list[ChatChoice]
    usage: CompletionUsage

    @classmethod
    def from_outcome(cls, outcome: Outcome) -> ChatCompletion:
        """Return the response to a chat that ended with `outcome`."""
        return cls(
            **_extra(outcome, cls),
            id=f"chatcmpl-{outcome.request_id}",
            created=outcome.created_at // 1000,
            model=outcome.model or "",
            choices=[
                ChatChoice(
                    **_own(choice.extra, ChatChoice),
                    message=AssistantMessage.from_choice(choice),
                    index=choice.index,
                    logprobs=choice.extra.get("logprobs"),
                    finish_reason=to_finish_reason(choice.finish_reason),
                )
                for choice in outcome.choices or (outcome.first,)
            ],
            usage=CompletionUsage.from_counts(outcome.usage),
        )


class TextCompletion(ResponseModel):
    """The response to a raw text. `created` is in Unix seconds."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(examples=["cmpl-0b9c5ac1d5e84a5f9e6f2f4f4be4b0f6"])
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str | None = None
    choices: list[TextChoice]
    usage: CompletionUsage

    @classmethod
    def from_outcome(cls, outcome: Outcome) -> TextCompletion:
        """Return the response to a text that ended with `outcome`."""
        return cls(
            **_extra(outcome, cls),
            id=f"cmpl-{outcome.request_id}",
            created=outcome.created_at // 1000,
            model=outcome.model or "",
            choices=[
                TextChoice(
                    **_own({**choice.fields, **choice.extra}, TextChoice, "content"),
                    text=choice.fields.get("content", "") + choice.text,
                    index=choice.index,
                    logprobs=choice.extra.get("logprobs"),
                    finish_reason=to_finish_reason(choice.finish_reason),
                )
                for choice in outcome.choices or (outcome.first,)
            ],
            usage=CompletionUsage.from_counts(outcome.usage),
        )


def _extra(outcome: Outcome, kind: type[ResponseModel]) -> dict[str, Any]:
    """Return the further fields of a response as the node sent them."""
    fingerprint = outcome.extra.get("system_fingerprint")
    own = _own(outcome.extra, kind)
    if outcome.references is not None:
        own["references"] = [asdict(reference) for reference in outcome.references]
    return own | {"system_fingerprint": fingerprint} if isinstance(fingerprint, str) else own


def _own(given: Fields, kind: type[ResponseModel], *but: str) -> dict[str, Any]:
    """Return the given fields that `kind` does not have itself."""
    return {name: value for name, value in given.items() if name not in kind.model_fields and name not in but}


class EmbeddingItem(ResponseModel):
    """The vector of one text: numbers, or their base64 encoding as 32-bit floats."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(ResponseModel):
    """Token counts of embeddings."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(ResponseModel):
    """A vector for each text, in the order of the texts."""

    object: Literal["list"]
    data: list[EmbeddingItem]
    model: str
    usage: EmbeddingUsage


class RankedText(ResponseModel):
    """The text of a document."""

    text: str


class RankedDocument(ResponseModel):
    """A document by its place in the request, from 0, with its score and, if wanted, its text."""

    index: int
    relevance_score: float
    document: RankedText | None = None


class RankedList(ResponseModel):
    """The best documents first."""

    id: str
    object: Literal["list"] = "list"
    model: str
    results: list[RankedDocument]
    usage: EmbeddingUsage


class Model(ResponseModel):
    """A model, or a prompt that is called like one."""

    id: str = Field(examples=["herding/cria"])
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class OpenAIModelList(ResponseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[Model]


def to_finish_reason(reason: FinishReason | None) -> str:
    """Return why generation ended, in OpenAI's words; these have none for a request that was stopped."""
    return "stop" if reason in (None, "cancelled") else reason


class ChunkWriter:
    """Writes the chunks of one streamed response to a chat, or with `is_chat` false to a raw text.

    With `include_usage` every chunk has a usage, which only the last one fills.
    """

    def __init__(self, *, is_chat: bool, include_usage: bool) -> None:
        self._is_chat, self._include_usage = is_chat, include_usage
        self._head: dict[str, Any] = {}
        self._around_text: tuple[bytes, bytes] | None = None
        self._begun: set[int] = set()
        self._ended: set[int] = set()

    def encode(self, event: Event) -> bytes:
        """Return the chunks that an event of a run adds, as events of the stream."""
        match event:
            case Delta(text, (), None):
                return self.text_event(text)
            case Delta(_, choices, extra):
                self.extend(extra or {})
                return b"".join([encode_event(self.choice(choice)) for choice in choices])
            case Started():
                self.start(event.request_id, event.model)
            case Done(outcome):
                return b"".join([*map(encode_event, self.end(outcome)), END])
        return b""

    def start(self, request_id: str, model: str) -> None:
        """Set what all chunks begin with."""
        self._head = {
            "id": f"{'chatcmpl' if self._is_chat else 'cmpl'}-{request_id}",
            "object": "chat.completion.chunk" if self._is_chat else "text_completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": None,
        } | ({"usage": None} if self._include_usage else {})
        self._around_text = None

    def extend(self, extra: Fields) -> None:
        """Add further fields of the response to the chunks that follow."""
        self._around_text = None
        self._head |= {name: value for name, value in extra.items() if name not in _HEAD}

    def text_event(self, text: str) -> bytes:
        """Return the event of a chunk with text of the first choice.

        Most events of a response differ in their text only, so what is around it is encoded once.
        """
        if 0 not in self._begun:
            return encode_event(self.text(text))
        if self._around_text is None:
            before, _, after = encode_event(self.text(_MARK)).rpartition(json.dumps(_MARK).encode())
            self._around_text = before, after
        before, after = self._around_text
        return before + json.dumps(text).encode() + after

    def text(self, text: str) -> dict[str, Any]:
        """Return a chunk with text of the first choice; the first one of a chat names the role."""
        delta = {"content": text} if 0 in self._begun else {"role": "assistant", "content": text}
        self._begun.add(0)
        return self._chunk({"delta": delta} if self._is_chat else {"text": text}, None)

    def choice(self, choice: Choice) -> dict[str, Any]:
        """Return a chunk with what one choice adds."""
        fields, reason = dict(choice.fields), choice.finish_reason
        text = fields.pop("content", "") + choice.text
        extra = {name: value for name, value in choice.extra.items() if name not in ("index", "delta", "text")}
        if reason:
            self._ended.add(choice.index)
        if not self._is_chat:
            return self._chunk({"text": text, **fields, **extra}, reason, choice.index)
        first = {} if choice.index in self._begun else {"role": "assistant", "content": None if fields else ""}
        self._begun.add(choice.index)
        delta = {**first, **({"content": text} if text else {}), **fields}
        return self._chunk({"delta": delta, **extra}, reason, choice.index)

    def end(self, outcome: Outcome) -> list[dict[str, Any]]:
        """Return the last chunks: those with the finish reasons and the usage, after an empty one without any text."""
        chunks = []
        if not self._begun:
            self.start(outcome.request_id, outcome.model or "")
            chunks.append(self.text(""))
        self.extend(outcome.extra)
        for choice in outcome.choices or (outcome.first,):
            if choice.index not in self._ended:
                reason = to_finish_reason(choice.finish_reason)
                chunks.append(self._chunk({"delta": {}} if self._is_chat else {"text": ""}, reason, choice.index))
        if outcome.references is not None:
            last = chunks[-1] if chunks else self._head | {"choices": []}
            chunks[-1:] = [last | {"references": [asdict(reference) for reference in outcome.references]}]
        if self._include_usage:
            usage = CompletionUsage.from_counts(outcome.usage).model_dump()
            chunks.append(self._head | {"choices": [], "usage": usage})
        return chunks

    def _chunk(self, content: dict[str, Any], finish_reason: str | None, index: int = 0) -> dict[str, Any]:
        choice = {"index": index, "logprobs": None, **content, "finish_reason": finish_reason}
        return self._head | {"choices": [choice]}


_MARK = "[text]"
_HEAD = frozenset({"id", "object", "created", "model", "choices", "usage"})
