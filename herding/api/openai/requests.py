"""Bodies of requests to the OpenAI-compatible API. Fields that they do not know are let through and have no effect."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from herding.api.http import examples
from herding.api.openai.response_format import Json, checked_form
from herding.errors import UserError
from herding.values import Message, Parameters

_ACCEPTED: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "best_of": (None, 1),
    "tools": (None, []),
    "functions": (None, []),
    "logprobs": (None, False),
    "echo": (None, False),
    "suffix": (None, ""),
}
"""Values with which a field that is not supported does no harm."""


class _Part(BaseModel):
    """A part of a message; only text is understood."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """A message of a chat; `developer` is the newer name of `system`. An answer without text has no content."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Part] | None = None
    tool_calls: Any = None

    def value(self, place: str) -> Message:
        """The message with its text in one piece; UserError, at its `place`, where it has none and should."""
        if self.tool_calls:
            raise UserError("Calls of tools are not supported. Leave out this message.", param=f"{place}.tool_calls")
        if self.content is None and self.role != "assistant":
            raise UserError(f"A message of the {self.role} needs its text here.", param=f"{place}.content")
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content or ())
        return Message("system" if self.role == "developer" else self.role, text)


class _StreamOptions(BaseModel):
    include_usage: bool = False


class _Body(BaseModel):
    """What both kinds of completion share."""

    model: str = Field(default="auto", description="a model id, `auto`, or `prompt:<key>`")
    variables: dict[str, Any] | None = Field(default=None, description="of the prompt, where `model` names one")
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
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
        """Whether the stream ends with the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage

    def parameters(self) -> Parameters:
        """The sampling parameters; UserError names a field that is not supported."""
        for name, accepted in _ACCEPTED.items():
            if getattr(self, name) not in accepted:
                raise UserError(f"'{name}' is not supported. Leave it out.", param=name)
        stops = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        most = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        return Parameters(self.temperature, self.top_p, self.top_k, most, stops, self.seed)


class ChatBody(_Body):
    """A chat."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.CHAT]})

    messages: list[ChatMessage] = Field(max_length=1000)
    response_format: Any = Field(default=None, description="`text`, `json_object` or `json_schema`, as OpenAI has it")
    session_id: str | None = Field(default=None, description="with one new message: the session remembers the others")

    def form(self) -> Json | None:
        """The form that the answer must have, None for plain text."""
        return checked_form(self.response_format)

    def turns(self) -> tuple[Message, ...]:
        """The whole chat."""
        return tuple(message.value(f"messages.{number}") for number, message in enumerate(self.messages))


class CompletionBody(_Body):
    """A raw text to continue."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.COMPLETION]})

    prompt: str | list[str] | None = None
    response_format: Any = None

    def parameters(self) -> Parameters:
        if self.response_format not in (None, {"type": "text"}):
            message = "A raw text has no response_format. Send messages to /v1/chat/completions."
            raise UserError(message, param="response_format")
        return super().parameters()

    def text(self) -> str | None:
        """The one text, None where there is none; UserError where there are more."""
        if self.prompt is None or isinstance(self.prompt, str):
            return self.prompt
        if len(self.prompt) != 1:
            raise UserError("'prompt' must be one text.", param="prompt")
        return self.prompt[0]


class EitherChatBody(ChatBody):
    """A chat, or the older form with one `input`."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.SEED_CHAT, examples.CHAT]})

    messages: list[ChatMessage] = Field(default_factory=list, max_length=1000)
    input: str | None = None
    model_name: str | None = None


class EmbeddingsBody(BaseModel):
    """Texts to embed."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.EMBEDDINGS]})

    model: str = Field(description="a model that makes embeddings")
    input: str | list[Any] = Field(description="a text, or a list of texts")
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(default=None, ge=1, le=100_000)

    def texts(self) -> list[str]:
        """The texts; UserError for tokens, which mean something to one tokenizer only."""
        texts = [self.input] if isinstance(self.input, str) else self.input
        if not all(isinstance(text, str) for text in texts):
            raise UserError("Send text: a string or a list of strings, and no token ids.", param="input")
        return texts
