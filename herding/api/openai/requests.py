"""Request bodies of the OpenAI-compatible API. Unknown fields are accepted and have no effect."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from herding.errors import UserError
from herding.values import Message, Parameters

MAX_SCHEMA_BYTES = 40_000
_SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CHAT: JsonDict = {"model": "herding/cria", "messages": [{"role": "user", "content": "Hello! Who are you?"}]}

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "best_of": (None, 1),
    "tools": (None, []),
    "functions": (None, []),
    "logprobs": (None, False),
    "echo": (None, False),
    "suffix": (None, ""),
}
"""The values of unsupported fields that change nothing."""


class TextPart(BaseModel):
    """A part of a message. Only text is supported."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """A message of a chat. `developer` is the newer name of `system`. Only the assistant's may lack content."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None
    tool_calls: Any = None

    def to_message(self, place: str) -> Message:
        """Return the message with its text in one piece. Errors name its `place` in the body."""
        if self.tool_calls:
            raise UserError("Tool calls are not supported. Leave out this message.", param=f"{place}.tool_calls")
        if self.content is None and self.role != "assistant":
            raise UserError(f"A message of the {self.role} needs its text here.", param=f"{place}.content")
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content or ())
        return Message("system" if self.role == "developer" else self.role, text)


class StreamOptions(BaseModel):
    """Options of a stream."""

    include_usage: bool = False


class _CompletionFields(BaseModel):
    """The fields that chats and completions share."""

    model: str = Field(default="auto", description="a model id, `auto`, or `prompt:<key>`")
    variables: dict[str, Any] | None = Field(default=None, description="of the prompt, if `model` names one")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    n: Any = None
    best_of: Any = None
    tools: Any = None
    functions: Any = None
    logprobs: Any = None
    echo: Any = None
    suffix: Any = None

    @property
    def include_usage(self) -> bool:
        """True if the stream ends with the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage

    def to_parameters(self) -> Parameters:
        """Return the sampling parameters. Raises UserError for a field that is not supported."""
        for name, accepted in _NEUTRAL.items():
            if getattr(self, name) not in accepted:
                raise UserError(f"'{name}' is not supported. Leave it out.", param=name)
        return Parameters(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_tokens=self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens,
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
            seed=self.seed,
        )


class ChatRequest(_CompletionFields):
    """A chat."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CHAT]})

    messages: list[ChatMessage] = Field(max_length=1000)
    response_format: Any = Field(default=None, description="`text`, `json_object` or `json_schema`, as in OpenAI's API")
    session_id: str | None = Field(default=None, description="with one new message: the session remembers the others")

    def to_response_format(self) -> dict[str, Any] | None:
        """Return the format of the response, None for plain text."""
        return parse_response_format(self.response_format)

    def to_messages(self) -> tuple[Message, ...]:
        """Return the whole chat."""
        return tuple(message.to_message(f"messages.{number}") for number, message in enumerate(self.messages))


class CompletionRequest(_CompletionFields):
    """A raw text to continue."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "herding/cria", "prompt": "Hello", "max_tokens": 50}]}
    )

    prompt: str | list[str] | None = None
    response_format: Any = None

    def to_parameters(self) -> Parameters:
        """Return the sampling parameters. Raises UserError for a field that is not supported."""
        if self.response_format not in (None, {"type": "text"}):
            message = "A raw text has no response_format. Send messages to /v1/chat/completions."
            raise UserError(message, param="response_format")
        return super().to_parameters()

    def to_text(self) -> str | None:
        """Return the text, None without one. Raises UserError for several."""
        if self.prompt is None or isinstance(self.prompt, str):
            return self.prompt
        if len(self.prompt) != 1:
            raise UserError("'prompt' must be one text.", param="prompt")
        return self.prompt[0]


class LegacyChatRequest(ChatRequest):
    """One `input` for a model, or OpenAI's `messages`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"input": "Hello! Who are you?", "model_name": "herding/cria"}, _CHAT]}
    )

    messages: list[ChatMessage] = Field(default_factory=list, max_length=1000)
    input: str | None = None
    model_name: str | None = None


class EmbeddingsRequest(BaseModel):
    """Texts to embed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "BAAI/bge-m3", "input": ["Hanna likes sushi.", "Food from Japan"]}]}
    )

    model: str = Field(description="a model for embeddings")
    input: str | Annotated[list[Any], WithJsonSchema({"type": "array", "items": {"type": "string"}})] = Field(
        description="a text, or a list of texts"
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(default=None, ge=1, le=100_000)

    def to_texts(self) -> list[str]:
        """Return the texts. Raises UserError for token ids, which are those of one tokenizer only."""
        texts = [self.input] if isinstance(self.input, str) else self.input
        if not all(isinstance(text, str) for text in texts):
            raise UserError("Send text: a string or a list of strings, and no token ids.", param="input")
        return texts


def parse_response_format(given: Any) -> dict[str, Any] | None:
    """Return a `response_format` as nodes take it, None for plain text. Raises UserError for an invalid one."""
    if given is None:
        return None
    kind = given.get("type") if isinstance(given, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise _format_error("The type must be 'text', 'json_object' or 'json_schema'")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": _check_json_schema(given.get("json_schema"))}


def _check_json_schema(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not isinstance(given.get("schema"), dict):
        raise _format_error("A json_schema has a name and, under 'schema', an object")
    if not isinstance(given.get("name"), str) or not _SCHEMA_NAME.fullmatch(given["name"]):
        raise _format_error("The name of a json_schema has 1 to 64 letters, digits, '_' or '-'")
    if given.get("strict") not in (None, True, False) or not isinstance(given.get("description", ""), str | None):
        raise _format_error("Of a json_schema, 'strict' is true or false and 'description' a text")
    try:  # what cannot be sent on is refused here, so that no node is blamed for it
        size = len(json.dumps(given, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError):
        raise _format_error("The schema contains a value that JSON cannot represent, or is nested too deep") from None
    if size > MAX_SCHEMA_BYTES:
        raise _format_error(f"A json_schema has at most {MAX_SCHEMA_BYTES:,} bytes")
    return {key: given[key] for key in ("name", "description", "schema", "strict") if given.get(key) is not None}


def _format_error(message: str) -> UserError:
    return UserError(f"{message}.", param="response_format")
