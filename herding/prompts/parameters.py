"""The parameters of a prompt or a request, as files and the API spell them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from herding.errors import UserError
from herding.prompts.variables import clean_parameter
from herding.values import Fields, Parameters
from herding.yaml_files import StrictModel

_DEFAULTS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "top_k", "seed"), (-1,)),
    "top_p": (0,),
    "n": (0,),
    **dict.fromkeys(("tools", "functions", "stop"), ("", [], [""])),
    **dict.fromkeys(("logit_bias", "metadata", "chat_template_kwargs", "extra_body"), ({},)),
}
"""Values that clients send for the default."""

_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode

_RESERVED = frozenset({"model", "messages", "prompt", "input", "stream", "stream_options"})

Objects = list[dict[str, Any]]


class PromptParameters(StrictModel):
    """Parameters of a call. The model decides those that are not set.

    The names are those of OpenAI's API and of the servers that extend it. `extra_body` holds any others that a node
    takes. A value that clients send for the default, such as a `max_tokens` of -1, counts as not set.
    """

    temperature: float | None = Field(default=None, ge=0, le=2, description="0 = most deterministic, 2 = most random")
    top_p: float | None = Field(default=None, gt=0, le=1, description="Nucleus sampling, 0-1")
    top_k: int | None = Field(default=None, ge=0, le=10_000, description="Sample from the top K tokens")
    max_tokens: int | None = Field(default=None, ge=1, le=100_000, description="Maximum output tokens")
    stop: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        default_factory=list, max_length=16, description="Stop sequences"
    )
    seed: int | None = Field(default=None, ge=0, le=2**63 - 1, description="Fixed seed for repeatable output")
    max_completion_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    min_p: float | None = Field(
        default=None, ge=0, le=1, description="Minimum probability relative to the top token, 0-1"
    )
    presence_penalty: float | None = Field(default=None, ge=-2, le=2, description="-2 to 2; more = new topics")
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2, description="-2 to 2; more = less repetition")
    repetition_penalty: float | None = Field(default=None, gt=0, le=10, description="1 = none, more = less repetition")
    logit_bias: dict[str, float] | None = None
    n: int | None = Field(default=None, ge=1, le=128, description="Number of responses")
    best_of: int | None = Field(default=None, ge=1, le=128)
    logprobs: bool | int | None = None
    top_logprobs: int | None = Field(default=None, ge=0)
    return_token_ids: bool | None = None
    tools: Objects | None = Field(default=None, max_length=1000)
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: Objects | None = Field(default=None, max_length=1000)
    function_call: str | dict[str, Any] | None = None
    reasoning_effort: str | None = None
    reasoning: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    include_reasoning: bool | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    echo: bool | None = None
    suffix: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    min_tokens: int | None = Field(default=None, ge=0)
    ignore_eos: bool | None = None
    extra_body: dict[str, Any] | None = Field(
        default=None, max_length=100, description="Other parameters of the server, as JSON"
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_are_not_set(cls, data: Any) -> Any:
        return without_defaults(data) if isinstance(data, Mapping) else data

    @field_validator("extra_body")
    @classmethod
    def _names_are_free(cls, given: dict[str, Any] | None) -> dict[str, Any] | None:
        for name in given or {}:
            if name in cls.model_fields:
                raise ValueError(f"write '{name}' beside extra_body, not in it")
            if name in _RESERVED:
                raise ValueError(f"'{name}' can't be set here")
        return given

    @cached_property
    def value(self) -> Parameters:
        """The parameters as a call takes them."""
        own = Parameters(self.temperature, self.top_p, self.top_k, self.max_tokens, tuple(self.stop), self.seed)
        names = self.model_fields_set - _OWN
        if not names:
            return own
        more = {name: value for name in _MORE if name in names and (value := getattr(self, name)) is not None}
        return Parameters.of({**own.given(), **more, **(self.extra_body or {})})


_OWN = frozenset({"temperature", "top_p", "top_k", "max_tokens", "stop", "seed"})
_MORE = tuple(name for name in PromptParameters.model_fields if name not in _OWN and name != "extra_body")


def without_defaults(given: Fields) -> dict[str, Any]:
    """Return parameters without those whose value stands for the default, and with `stop` as a list."""
    found = {name: value for name, value in given.items() if value is not None and not _is_default(name, value)}
    stop = found.get("stop")
    if isinstance(stop, str):
        found["stop"] = [stop]
    elif isinstance(stop, list | tuple) and "" in stop:
        found["stop"] = [text for text in stop if text != ""]
    return found


def _is_default(name: str, value: Any) -> bool:
    return any(value == other for other in _DEFAULTS.get(name, ())) and not isinstance(value, bool)


def check_parameters(parameters: Parameters) -> Parameters:
    """Return `parameters` if they are within the bounds of the schema. UserError names the first that is not."""
    return _checked(parameters) if parameters.more else _checked_and_cached(parameters)


def _checked(parameters: Parameters) -> Parameters:
    given = parameters.given() | {"stop": [clean_parameter(stop, "stop") for stop in parameters.stop]}
    known = {name: value for name, value in given.items() if name in PromptParameters.model_fields}
    extra = {name: value for name, value in given.items() if name not in PromptParameters.model_fields}
    for name, value in parameters.more.items():
        if name in _RESERVED:
            raise UserError(f"'{name}' can't be set here. Leave it out.", param=name)
        try:  # what cannot be sent on is refused here, so that no node is blamed for it
            _to_json(value).encode()
        except (TypeError, ValueError, RecursionError):
            message = f"Parameter '{name}' contains a value that JSON cannot represent, or is nested too deep."
            raise UserError(message, param=name) from None
    try:
        return PromptParameters.model_validate({**known, **({"extra_body": extra} if extra else {})}).value
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "parameters"
        raise UserError(f"Parameter '{name}': {first['msg']}.", param=name) from None


_checked_and_cached = lru_cache(maxsize=1024)(_checked)
