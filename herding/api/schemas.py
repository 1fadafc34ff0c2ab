"""Bodies of requests to the native API."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from herding.api import examples
from herding.prompts.model import PromptParameters
from herding.values import Message, Request


class Body(BaseModel):
    """A body that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid")


class Turn(Body):
    """An earlier turn of a chat."""

    role: Literal["user", "assistant"]
    content: str


class InferBody(Body):
    """A run of a prompt. The older form has `prompt_key` and `raw_inputs` in the place of `prompt` and `variables`."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.INFER]})

    prompt: str = Field(default="", description="`key`, `key@<current version>` or `key@<its label>`")
    variables: dict[str, Any] = Field(default_factory=dict)
    model: str | None = Field(default=None, description="null: the routing chooses among the prompt's target models")
    parameters: PromptParameters = PromptParameters()
    session_id: str | None = None
    turns: list[Turn] = Field(default_factory=list, description="earlier turns of a chat, oldest first")
    stream: StrictBool = False
    prompt_key: str | None = Field(default=None, description="older name of `prompt`")
    raw_inputs: dict[str, Any] | None = Field(default=None, description="older name of `variables`")

    @model_validator(mode="after")
    def _one_form(self) -> InferBody:
        if bool(self.prompt) == bool(self.prompt_key):
            raise ValueError("name a prompt under `prompt`")
        if self.raw_inputs is not None and self.variables:
            raise ValueError("give either `variables` or `raw_inputs`")
        return self

    @property
    def older(self) -> bool:
        """Whether the caller expects the older form of the answer."""
        return self.prompt_key is not None

    def request(self) -> Request:
        """The same for the orchestrator."""
        return Request(
            prompt=self.prompt or self.prompt_key or "",
            variables=self.variables if self.raw_inputs is None else self.raw_inputs,
            model=self.model,
            parameters=self.parameters.value(),
            turns=tuple(Message(turn.role, turn.content) for turn in self.turns),
            session_id=self.session_id,
        )


class _OfRequest(Body):
    """Names a request, by its newer or its older name."""

    request_id: str = ""
    inference_id: str = Field(default="", description="older name of `request_id`")

    @model_validator(mode="after")
    def _one_name(self) -> _OfRequest:
        if bool(self.request_id) == bool(self.inference_id):
            raise ValueError("name a request under `request_id`")
        return self

    @property
    def id(self) -> str:
        """The id of the request."""
        return self.request_id or self.inference_id


class ScoreBody(_OfRequest):
    """Stars for a request; null takes them back."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.SCORE]})

    score: StrictInt | None = Field(description="1 to 5, or null")


class FeedbackBody(_OfRequest):
    """Words about a request; an empty text takes them back. `feedback` is the older name of `comment`."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.FEEDBACK]})

    comment: str | None = None
    feedback: str | None = None

    @model_validator(mode="after")
    def _one_text(self) -> FeedbackBody:
        if (self.comment is None) == (self.feedback is None):
            raise ValueError("say something under `comment`")
        return self

    @property
    def text(self) -> str:
        """What is said."""
        return self.comment or self.feedback or ""


class ModelBody(Body):
    """A model to switch a node to."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.SWITCH]})

    model: str = Field(min_length=1, max_length=300)
    stream: StrictBool = True
