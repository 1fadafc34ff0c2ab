"""The request bodies of the engine's API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from herding.errors import UserError
from herding.values import Fields, Message, Parameters

_MAX_INT = 2**63

_Text = Annotated[str, Field(min_length=1)]
_StopText = Annotated[str, Field(min_length=1, max_length=1000)]
_TokenIds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
_Body = TypeVar("_Body", bound=BaseModel)


class _StrictModel(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _MessageBody(_StrictModel):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _has_content(self) -> _MessageBody:
        if self.content is None and not self.tool_calls:
            raise ValueError("a message needs its content")
        return self

    def to_message(self) -> Message:
        """Return the message of the body."""
        names = ("tool_calls", "tool_call_id")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        return Message(self.role, self.content or "", None, given)


class _ParametersBody(_StrictModel):
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0, lt=_MAX_INT)
    max_tokens: int | None = Field(default=None, ge=1, lt=_MAX_INT)
    stop: list[_StopText] | None = Field(default=None, max_length=16)
    seed: int | None = Field(default=None, ge=-_MAX_INT, lt=_MAX_INT)


class _GenerateBody(_StrictModel):
    id: _Text | None = None
    model: _Text | None = None
    messages: list[_MessageBody] | None = Field(default=None, min_length=1)
    text: _Text | None = None
    tokens: list[Annotated[int, Field(ge=0)]] | None = Field(default=None, min_length=1)
    tools: list[dict[str, Any]] | None = None
    template_arguments: dict[str, Any] | None = None
    token_ids: bool = False
    parameters: _ParametersBody | None = None

    @model_validator(mode="after")
    def _one_prompt(self) -> _GenerateBody:
        if [self.messages, self.text, self.tokens].count(None) != 2:
            raise ValueError("send either messages, text or tokens")
        return self


class _LoadBody(_StrictModel):
    model: _Text
    from_hub: bool = False
    path: _Text | None = None


class _EmbedBody(_StrictModel):
    model: _Text
    inputs: list[_Text | _TokenIds] = Field(min_length=1, max_length=2048)
    dimensions: Annotated[int, Field(ge=1)] | None = None
    truncate: bool = False


class _RerankBody(_StrictModel):
    model: _Text
    query: _Text
    documents: list[_Text] = Field(min_length=1, max_length=2048)


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A request to continue a chat (`messages`), a raw `text` or its `tokens`; exactly one of the three is set.

    `tools` and `template_arguments` are for the chat template. With `token_ids` the response has them too.
    """

    model: str | None = None
    messages: tuple[Message, ...] | None = None
    text: str | None = None
    parameters: Parameters = field(default_factory=Parameters)
    tokens: tuple[int, ...] | None = None
    tools: tuple[Fields, ...] = ()
    template_arguments: Fields = field(default_factory=dict)
    token_ids: bool = False


def parse_generation(body: object) -> GenerationRequest:
    """Validate the decoded JSON body of `POST /generate`; raise UserError with the field at fault."""
    request = _validate(_GenerateBody, body)
    chosen = request.parameters or _ParametersBody()
    messages = None if request.messages is None else tuple(item.to_message() for item in request.messages)
    return GenerationRequest(
        model=request.model,
        messages=messages or None,
        text=request.text,
        tokens=None if request.tokens is None else tuple(request.tokens),
        tools=tuple(request.tools or ()),
        template_arguments=request.template_arguments or {},
        token_ids=request.token_ids,
        parameters=Parameters(
            temperature=chosen.temperature,
            top_p=chosen.top_p,
            top_k=chosen.top_k,
            max_tokens=chosen.max_tokens,
            stop=tuple(chosen.stop or ()),
            seed=chosen.seed,
        ),
    )


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts, or their token ids, to embed with `model`.

    `dimensions` is the length of vectors asked for. With `truncate`, the ends of texts that are too long are left out.
    """

    model: str
    inputs: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None
    truncate: bool = False


def parse_embedding(body: object) -> EmbeddingRequest:
    """Validate the decoded JSON body of `POST /embed`; raise UserError with the field at fault."""
    given = _validate(_EmbedBody, body)
    inputs = tuple(item if isinstance(item, str) else tuple(item) for item in given.inputs)
    return EmbeddingRequest(given.model, inputs, given.dimensions, given.truncate)


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """Documents to score with `model` by how well they answer a query."""

    model: str
    query: str
    documents: tuple[str, ...]


def parse_rerank(body: object) -> RerankRequest:
    """Validate the decoded JSON body of `POST /rerank`; raise UserError with the field at fault."""
    given = _validate(_RerankBody, body)
    return RerankRequest(given.model, given.query, tuple(given.documents))


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """A model to load: one that is available, any one of the hub (`from_hub`), or the one in a directory or file."""

    model: str
    from_hub: bool = False
    path: str | None = None


def parse_load(body: object) -> LoadRequest:
    """Validate the decoded JSON body of `POST /load`."""
    given = _validate(_LoadBody, body)
    return LoadRequest(given.model, given.from_hub, given.path)


def _validate(kind: type[_Body], body: object) -> _Body:
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = _field_name(first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{name or 'The body'}: {message}.", param=name) from None


def _field_name(location: tuple[int | str, ...]) -> str | None:
    """Return the field of a validation error as `messages[0].role`; parameters are named by themselves."""
    parts = location[1:2] if location[:1] == ("parameters",) and len(location) > 1 else location
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return name.removeprefix(".") or None
