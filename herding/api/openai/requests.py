"""Request bodies of the OpenAI-compatible API. Fields that Herding does not know go to the node."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from herding.errors import UserError
from herding.prompts.parameters import without_defaults
from herding.values import (
    COMPLETION_TOKENS,
    TEXT_PART_FIELDS,
    TEXT_PARTS,
    EmbeddingInput,
    Message,
    Parameters,
    Role,
    text_of_parts,
)

MAX_PROMPTS = 128
MAX_SCHEMA_BYTES = 40_000
_SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CHAT: JsonDict = {"model": "herding/cria", "messages": [{"role": "user", "content": "Hello! Who are you?"}]}


class ChatMessage(BaseModel):
    """A message of a chat in OpenAI's form: text, or parts such as images; tool calls and their results."""

    model_config = ConfigDict(extra="allow")

    role: Role
    content: str | list[dict[str, Any]] | None = None

    def to_message(self, place: str) -> Message:
        """Return the message. Errors name its `place` in the body."""
        more = {name: value for name, value in (self.model_extra or {}).items() if value is not None}
        if self.content is None:
            if self.role not in ("assistant", "function"):
                raise UserError(f"A message of the {self.role} needs its content here.", param=f"{place}.content")
            return Message(self.role, "", None, {"content": None, **more} if more else {})
        if isinstance(self.content, str):
            return Message(self.role, self.content, None, more)
        for position, part in enumerate(self.content):
            _check_part(part, f"{place}.content.{position}")
        text = text_of_parts(tuple(self.content))
        is_text = len(self.content) < 2 and all(part.keys() == TEXT_PART_FIELDS for part in self.content)
        return Message(self.role, text, None if is_text else tuple(self.content), more)


def _check_part(part: dict[str, Any], place: str) -> None:
    """Raise UserError unless a part has a type, and one of text its text."""
    kind = part.get("type")
    if not isinstance(kind, str) or not kind:
        raise UserError("A part of a message needs a 'type', such as 'text' or 'image_url'.", param=f"{place}.type")
    if kind in TEXT_PARTS and not isinstance(part.get("text"), str):
        raise UserError("A part of the type 'text' needs its 'text'.", param=f"{place}.text")


class StreamOptions(BaseModel):
    """Options of a stream."""

    include_usage: bool = False


class _CompletionFields(BaseModel):
    """The fields that chats and completions share. All others are parameters for the node."""

    model_config = ConfigDict(extra="allow")

    model: str | None = Field(default=None, description="a model id, `auto` or null, or `prompt:<key>`")
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

    @property
    def include_usage(self) -> bool:
        """True if the stream ends with the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage

    def to_parameters(self) -> Parameters:
        """Return the parameters for the node: all fields that are set, and are none of Herding's own."""
        given = {name: getattr(self, name) for name in _PARAMETERS if getattr(self, name) is not None}
        given |= self.model_extra or {}
        if given.get(COMPLETION_TOKENS) is not None:
            given.pop("max_tokens", None)
        return Parameters.of(without_defaults(given))


_PARAMETERS = ("temperature", "top_p", "top_k", "max_tokens", COMPLETION_TOKENS, "stop", "seed")


class ChatRequest(_CompletionFields):
    """A chat."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_CHAT]})

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
    """A raw text to continue, or several; a text may also be a list of token ids."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"model": "herding/cria", "prompt": "Hello", "max_tokens": 50}]},
    )

    prompt: str | list[str] | list[int] | list[list[int]] | None = None
    response_format: Any = None

    def to_parameters(self) -> Parameters:
        """Return the parameters for the node. Raises UserError for a response format."""
        if self.response_format not in (None, {"type": "text"}):
            message = "A raw text has no response_format. Send messages to /v1/chat/completions."
            raise UserError(message, param="response_format")
        return super().to_parameters()

    def to_prompts(self) -> tuple[Any, ...]:
        """Return the texts and lists of token ids to continue; none without one."""
        if self.prompt is None:
            return ()
        if isinstance(self.prompt, str):
            return (self.prompt,)
        if not self.prompt:
            raise UserError("'prompt' has no text.", param="prompt")
        if len(self.prompt) > MAX_PROMPTS:
            raise UserError(f"Send at most {MAX_PROMPTS} prompts in one request.", param="prompt")
        return (self.prompt,) if isinstance(self.prompt[0], int) else tuple(self.prompt)


class LegacyChatRequest(ChatRequest):
    """One `input` for a model, or OpenAI's `messages`."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"input": "Hello! Who are you?", "model_name": "herding/cria"}, _CHAT]},
    )

    messages: list[ChatMessage] = Field(default_factory=list, max_length=1000)
    input: str | None = None
    model_name: str | None = None


_INPUTS = {
    "type": "array",
    "items": {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]},
}
"""The schema of several inputs, which are checked by hand: one by one would be slow for lists of token ids."""


class EmbeddingsRequest(BaseModel):
    """Texts to embed, or their token ids. Fields that are not listed go to the node."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"model": "BAAI/bge-m3", "input": ["Hanna likes sushi.", "Food from Japan"]}]},
    )

    model: str = Field(description="a model for embeddings")
    input: str | Annotated[list[Any], WithJsonSchema(_INPUTS)] = Field(
        description="a text or a list of token ids, or a list of those"
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(default=None, ge=1, le=100_000)

    def to_inputs(self) -> list[EmbeddingInput]:
        """Return the texts and lists of token ids. Raises UserError for anything else."""
        is_one = isinstance(self.input, str) or (bool(self.input) and all(map(_is_token, self.input)))
        return [_embedding_input(item) for item in ([self.input] if is_one else self.input)]

    def to_parameters(self) -> Parameters:
        """Return the further parameters for the node."""
        return Parameters.of(without_defaults(self.model_extra or {}))


class RerankDocument(BaseModel):
    """A document as an object."""

    model_config = ConfigDict(extra="forbid")

    text: str


class RerankRequest(BaseModel):
    """Documents to score by how well they answer a query, in the form of Jina, Cohere and vLLM."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "model": "cross-encoder/ms-marco-MiniLM-L6-v2",
                    "query": "What does Hanna eat?",
                    "documents": ["Hanna likes sushi.", "Trains to Osaka leave at noon."],
                    "top_n": 1,
                }
            ]
        },
    )

    model: str = Field(description="a reranker")
    query: str
    documents: list[str | RerankDocument] = Field(min_length=1, max_length=2048)
    top_n: int | None = Field(default=None, ge=1, le=100_000, description="maximum number of results; default: all")
    return_documents: bool = Field(default=False, description="whether results contain the documents")

    def to_documents(self) -> list[str]:
        """Return the texts of the documents."""
        return [item if isinstance(item, str) else item.text for item in self.documents]


def _embedding_input(item: Any) -> EmbeddingInput:
    if isinstance(item, str):
        return item
    if isinstance(item, list) and item and all(map(_is_token, item)):
        return tuple(item)
    raise UserError("Send a string or a list of token ids, or a list of those.", param="input")


def _is_token(item: Any) -> bool:
    return type(item) is int and 0 <= item < 2**31


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
