"""Bodies of requests to the native API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, StrictBool, StrictInt, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from herding.api.http import examples
from herding.api.openai.prompt_models import AUTO
from herding.prompts.edits import Edits
from herding.prompts.model import Prompt, PromptParameters
from herding.values import MAX_INTERVAL_HOURS, MAX_LIMIT, MAX_LIMITS, Limit, Message, Request, User


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

    prompt: str = Field(
        default="",
        description="`key` (its label prod, else the newest), `key@<version>`, `key@<label>` or `key@newest`",
    )
    variables: dict[str, Any] = Field(default_factory=dict)
    model: str | None = Field(
        default=None, description="null or `auto`: the routing chooses among the prompt's target models"
    )
    parameters: PromptParameters = PromptParameters()
    session_id: str | None = Field(default=None, description="of a chat: its earlier turns are remembered under it")
    turns: list[Turn] = Field(
        default_factory=list, description="earlier turns of a chat, oldest first; instead of those remembered"
    )
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
            model=None if self.model == AUTO else self.model,
            parameters=self.parameters.value(),
            turns=tuple(Message(turn.role, turn.content) for turn in self.turns) or None,
            session_id=self.session_id,
        )


class PromptBody(BaseModel):
    """A prompt in the words of its file. What the file may hold is checked where files are read."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [examples.NEW_PROMPT]})

    message: str | None = Field(default=None, max_length=500, description="what changed and why; not in the file")

    @property
    def content(self) -> dict[str, Any]:
        """All but the message."""
        return dict(self.model_extra or {})

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Shows the keys of a prompt file as well."""
        own = handler.resolve_ref_schema(handler(core))
        prompt = handler.resolve_ref_schema(handler(Prompt.__pydantic_core_schema__))
        properties = prompt["properties"] | own["properties"]
        return own | {"properties": properties, "required": prompt["required"], "additionalProperties": False}


class LabelBody(Body):
    """The version that a label is to stand for."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.SET_LABEL]})

    version: StrictInt
    message: str = Field(default="", max_length=500, description="why")


class ChoiceBody(Body):
    """The version that is the newest from now on."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.CHOICE]})

    version: StrictInt
    message: str = Field(default="", max_length=500, description="why")


class DraftBody(Body):
    """Unsaved edits of a prompt; what is left out is as the prompt has it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{k: v for k, v in examples.DRAFT.items() if k != "base"}]}
    )

    variables: dict[str, Any] = Field(default_factory=dict, description="inputs; they are not checked yet")
    template: str | None = Field(default=None, description="its text (`messages`, `prompt` or `variants`) as YAML")
    parameters: dict[str, Any] = Field(default_factory=dict, description="sampling parameters, not checked yet")
    whole: str | None = Field(default=None, description="all of the prompt as YAML, in the place of the other edits")
    base: StrictInt | None = Field(default=None, ge=0, description="the version they are based on; null: the newest")

    def value(self) -> Edits:
        """The same for the orchestrator."""
        return Edits(self.variables, self.template, self.parameters, self.whole)


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


class PreferenceBody(Body):
    """Which of two answers is better; the verdict `equal` says that neither is, and null takes back what you said."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.PREFERENCE]})

    better: str = Field(min_length=1, max_length=100, description="the id of a request")
    worse: str = Field(min_length=1, max_length=100, description="the id of another request")
    verdict: Literal["better", "equal"] | None = "better"


class ModelBody(Body):
    """A model to switch a node to."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.SWITCH]})

    model: str = Field(min_length=1, max_length=300)
    stream: StrictBool = True


class LimitBody(Body):
    """At most so many requests, or tokens in and out together, in any so many hours."""

    type: Literal["request", "token"]
    interval: float = Field(gt=0, le=MAX_INTERVAL_HOURS, strict=True, description="hours")
    limit: StrictInt = Field(ge=0, le=MAX_LIMIT)

    def value(self) -> Limit:
        """The same for the orchestrator."""
        return Limit(self.type, self.interval, self.limit)


class UserBody(Body):
    """What can be changed of a user; null leaves it as it is. `limits` come on top of the role's."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.CHANGE_OF_USER]})

    name: str | None = None
    role: str | None = None
    limits: list[LimitBody] | None = Field(default=None, max_length=MAX_LIMITS)
    opt_out_history_content: StrictBool | None = None
    disabled: StrictBool | None = None

    def over(self, user: User) -> User:
        """`user` with what is given here."""
        given: dict[str, Any] = {
            "name": self.name,
            "role": self.role,
            "limits": None if self.limits is None else tuple(limit.value() for limit in self.limits),
            "opt_out": self.opt_out_history_content,
            "disabled": self.disabled,
        }
        return replace(user, **{name: value for name, value in given.items() if value is not None})


class NewUserBody(UserBody):
    """A new user."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.NEW_USER]})

    id: str = Field(description="how the user is called in histories and by the API; letters, digits, . _ - @")
    role: str


class TokenBody(Body):
    """A new token."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.NEW_TOKEN]})

    user: str | None = Field(default=None, description="whose token; null: your own")
    name: str = Field(default="token", description="what it is for")
    role: str | None = Field(default=None, description="a role that can do less than the user's")
    expires_in_days: float | None = Field(default=None, gt=0, le=3660)


class MeBody(Body):
    """What you can change about yourself."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"opt_out_history_content": True}]})

    opt_out_history_content: StrictBool


class RolesBody(Body):
    """The text of the roles file, and the digest of the text that was changed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "roles: ...", "digest": "9f86d0..."}]})

    text: str
    digest: str
