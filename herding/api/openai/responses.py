"""Response bodies as OpenAI's clients expect them: chats and completions, whole and in chunks, and embeddings."""

from __future__ import annotations

import time
from typing import Any, Literal

from pydantic import Field

from herding.api.http.models import ResponseModel
from herding.values import FinishReason, Outcome, Usage

FinishedBy = Literal["stop", "length"]


class CompletionUsage(ResponseModel):
    """Token counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def from_counts(cls, counts: Usage) -> CompletionUsage:
        """Return token counts under OpenAI's names."""
        return cls(
            prompt_tokens=counts.input_tokens,
            completion_tokens=counts.output_tokens,
            total_tokens=counts.input_tokens + counts.output_tokens,
        )


class AssistantMessage(ResponseModel):
    """The message of the model."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(ResponseModel):
    """The only choice of a chat."""

    message: AssistantMessage
    index: Literal[0] = 0
    logprobs: None = None
    finish_reason: FinishedBy


class TextChoice(ResponseModel):
    """The only choice of a completion."""

    text: str
    index: Literal[0] = 0
    logprobs: None = None
    finish_reason: FinishedBy


class ChatCompletion(ResponseModel):
    """The response to a chat. `created` is in Unix seconds."""

    id: str = Field(examples=["chatcmpl-0b9c5ac1d5e84a5f9e6f2f4f4be4b0f6"])
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: None = None
    choices: list[ChatChoice]
    usage: CompletionUsage

    @classmethod
    def from_outcome(cls, outcome: Outcome) -> ChatCompletion:
        """Return the response to a chat that ended with `outcome`."""
        message = AssistantMessage(content=outcome.answer)
        return cls(
            id=f"chatcmpl-{outcome.request_id}",
            created=outcome.created_at // 1000,
            model=outcome.model or "",
            choices=[ChatChoice(message=message, finish_reason=to_finish_reason(outcome.finish_reason))],
            usage=CompletionUsage.from_counts(outcome.usage),
        )


class TextCompletion(ResponseModel):
    """The response to a raw text. `created` is in Unix seconds."""

    id: str = Field(examples=["cmpl-0b9c5ac1d5e84a5f9e6f2f4f4be4b0f6"])
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: None = None
    choices: list[TextChoice]
    usage: CompletionUsage

    @classmethod
    def from_outcome(cls, outcome: Outcome) -> TextCompletion:
        """Return the response to a text that ended with `outcome`."""
        return cls(
            id=f"cmpl-{outcome.request_id}",
            created=outcome.created_at // 1000,
            model=outcome.model or "",
            choices=[TextChoice(text=outcome.answer, finish_reason=to_finish_reason(outcome.finish_reason))],
            usage=CompletionUsage.from_counts(outcome.usage),
        )


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


class Model(ResponseModel):
    """A model, or a prompt that is called like one."""

    id: str = Field(examples=["herding/cria"])
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str


class OpenAIModelList(ResponseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[Model]


def to_finish_reason(reason: FinishReason | None) -> FinishedBy:
    """Return why generation ended, in OpenAI's words; these have none for a request that was stopped."""
    return "length" if reason == "length" else "stop"


class ChunkWriter:
    """Writes the chunks of one streamed response to a chat, or with `is_chat` false to a raw text.

    With `include_usage` every chunk has a usage, which only the last one fills.
    """

    def __init__(self, *, is_chat: bool, include_usage: bool) -> None:
        self._is_chat, self._include_usage = is_chat, include_usage
        self._head: dict[str, Any] = {}
        self._is_first = True

    def start(self, request_id: str, model: str) -> None:
        """Set what all chunks begin with."""
        self._head = {
            "id": f"{'chatcmpl' if self._is_chat else 'cmpl'}-{request_id}",
            "object": "chat.completion.chunk" if self._is_chat else "text_completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": None,
        } | ({"usage": None} if self._include_usage else {})

    def text(self, text: str) -> dict[str, Any]:
        """Return a chunk with text; the first one of a chat names the role."""
        delta = {"role": "assistant", "content": text} if self._is_first else {"content": text}
        self._is_first = False
        return self._chunk({"delta": delta} if self._is_chat else {"text": text}, None)

    def end(self, outcome: Outcome) -> list[dict[str, Any]]:
        """Return the last chunks: those with the finish reason and the usage, after an empty one without any text."""
        chunks = []
        if self._is_first:
            self.start(outcome.request_id, outcome.model or "")
            chunks.append(self.text(""))
        reason = to_finish_reason(outcome.finish_reason)
        chunks.append(self._chunk({"delta": {}} if self._is_chat else {"text": ""}, reason))
        if self._include_usage:
            usage = CompletionUsage.from_counts(outcome.usage).model_dump()
            chunks.append(self._head | {"choices": [], "usage": usage})
        return chunks

    def _chunk(self, content: dict[str, Any], finish_reason: FinishedBy | None) -> dict[str, Any]:
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": finish_reason}
        return self._head | {"choices": [choice]}
