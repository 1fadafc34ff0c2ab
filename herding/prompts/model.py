"""What a prompt is: the strict schema of a prompt file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal

import jsonschema.validators
import regex
from pydantic import Field, field_validator, model_validator
from referencing import Registry

from herding.files import Strict
from herding.prompts.condition import Condition
from herding.prompts.origins import ANY, Origin
from herding.prompts.render import placeholders
from herding.prompts.variables import Variable
from herding.values import Message, Parameters

MAX_TEMPLATE = 200_000
MAX_DEPTH = 100
REGEX_SECONDS = 0.5
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
RoleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Text = Annotated[str, Field(max_length=MAX_TEMPLATE)]


def _pattern(checker: Any, pattern: str, text: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    """The keyword `pattern`, with a deadline for patterns that never end."""
    if checker.is_type(text, "string") and not regex.search(pattern, text, timeout=REGEX_SECONDS):
        yield jsonschema.ValidationError(f"{text!r} does not match {pattern!r}")


_Validator = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator, {"pattern": _pattern}
)


def validator(schema: dict[str, Any]) -> Any:
    """A validator of `schema` that never fetches a remote reference; TimeoutError for a pattern that never ends."""
    return _Validator(schema, registry=Registry())


def _refuse_depth(value: Any) -> None:
    """Whoever walks through a value later walks by recursion, and must come to its end."""
    level, depth = [value], 0
    while level := [inner for item in level for inner in _inside(item)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"at most {MAX_DEPTH} levels stand inside one another here")


def _inside(item: Any) -> Iterable[Any]:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list) else ()


class PromptMessage(Strict):
    """One message of a template."""

    role: Literal["system", "user", "assistant"]
    content: Text

    def value(self) -> Message:
        return Message(self.role, self.content)


class Template(Strict):
    """The text of a prompt: `messages` for a model's own chat template, or a raw `prompt` that is sent as it is."""

    messages: list[PromptMessage] | None = Field(default=None, min_length=1, max_length=200)
    prompt: Text | None = None

    def texts(self) -> Iterator[str]:
        """All texts of the template that may hold placeholders."""
        if self.prompt is not None:
            yield self.prompt
        for message in self.messages or ():
            yield message.content


class Variant(Template):
    """A template for the inputs for which `when` holds."""

    name: Name
    when: str

    @model_validator(mode="after")
    def _complete(self) -> Variant:
        Condition(self.when)
        if (self.messages is None) == (self.prompt is None):
            raise ValueError("a variant has either messages or prompt")
        return self

    @cached_property
    def condition(self) -> Condition:
        return Condition(self.when)


class Body(Template):
    """The editable text of a prompt: one template, or variants of it (the first whose condition holds is used)."""

    variants: list[Variant] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_kind(self) -> Body:
        if self.messages is not None and self.prompt is not None:
            raise ValueError("give either messages or prompt, not both")
        if self.messages is None and self.prompt is None and not self.variants:
            raise ValueError("a prompt needs messages, prompt or variants")
        return self

    def templates(self) -> Iterator[Template]:
        """Every template that may be used."""
        if self.messages is not None or self.prompt is not None:
            yield Template(messages=self.messages, prompt=self.prompt)
        yield from self.variants or ()


class PromptParameters(Strict):
    """Sampling parameters; what is left out is left to the model."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0, le=10_000)
    max_tokens: int | None = Field(default=None, ge=1, le=100_000)
    stop: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default_factory=list, max_length=16)
    seed: int | None = Field(default=None, ge=0, le=2**63 - 1)

    def value(self) -> Parameters:
        return Parameters(**{**self.model_dump(), "stop": tuple(self.stop)})


class Contract(Strict):
    """What a good answer looks like; see `herding.prompts.contract` for how it is judged."""

    stop_marker: str | None = Field(default=None, min_length=1, max_length=100)
    max_words: int | None = Field(default=None, ge=1)
    max_chars: int | None = Field(default=None, ge=1)
    json_schema: dict[str, Any] | None = None
    regex: str | None = None

    @field_validator("json_schema")
    @classmethod
    def _schema_is_valid(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            _refuse_depth(schema)
            try:
                jsonschema.Draft202012Validator.check_schema(schema)
                json.dumps(schema, allow_nan=False, sort_keys=True)
            except jsonschema.SchemaError as error:
                raise ValueError(f"not a JSON schema: {error.message}") from None
            except (TypeError, ValueError):
                raise ValueError("not a JSON schema: it holds a value that JSON does not know") from None
        return schema

    @field_validator("regex")
    @classmethod
    def _pattern_is_valid(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                regex.compile(pattern)
            except regex.error as error:
                raise ValueError(f"not a regular expression: {error}") from None
        return pattern


class Prompt(Body):
    """A named template with typed variables, target models, parameters and a contract.

    `roles` are the only ones that may see and run it; web pages of the origins `cors` may run it by a link.
    """

    name: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=5_000)
    tags: list[str] = Field(default_factory=list)
    label: Literal["dev", "test", "prod"] = "dev"
    chat: bool = False
    roles: list[RoleName] | None = Field(default=None, min_length=1, max_length=100)
    cors: list[Origin] | None = Field(default=None, max_length=100)
    target_models: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    variables: dict[Name, Variable] = Field(default_factory=dict)
    parameters: PromptParameters = PromptParameters()
    contract: Contract = Contract()

    @field_validator("cors")
    @classmethod
    def _all_stands_alone(cls, origins: list[str] | None) -> list[str] | None:
        if origins and ANY in origins and len(origins) > 1:
            raise ValueError("'*' stands for all origins; leave out the others, or the '*'")
        return origins

    @field_validator("variables", mode="before")
    @classmethod
    def _text_is_the_default_type(cls, variables: Any) -> Any:
        if not isinstance(variables, dict):
            return variables
        return {
            key: {"type": "text", **value} if isinstance(value, dict) else value for key, value in variables.items()
        }

    @model_validator(mode="after")
    def _names_are_declared(self) -> Prompt:
        for name in (name for template in self.templates() for text in template.texts() for name in placeholders(text)):
            if name not in self.variables:
                raise ValueError(f"the text uses {{{{{name}}}}}, which is not declared under variables")
        for variant in self.variants or ():
            for name in variant.condition.names - self.variables.keys():
                raise ValueError(f"variant '{variant.name}' asks for '{name}', which is not declared under variables")
        if self.chat and any(not t.messages or t.messages[-1].role != "user" for t in self.templates()):
            raise ValueError("chat: true needs messages, and the last one has role user")
        return self

    @cached_property
    def content(self) -> dict[str, Any]:
        """The prompt in the words of its file, without what was left out there."""
        return self._plain(exclude_unset=True)

    @cached_property
    def canonical(self) -> str:
        """The prompt as one line of JSON: equal prompts give equal text."""
        return json.dumps(self._plain(), ensure_ascii=False, sort_keys=True)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, in hex."""
        return sha256(self.canonical.encode()).hexdigest()

    def _plain(self, *, exclude_unset: bool = False) -> dict[str, Any]:
        data = self.model_dump(mode="json", exclude_none=True, exclude_unset=exclude_unset)
        if self.contract.json_schema is not None:  # there a null says something
            data["contract"]["json_schema"] = self.contract.json_schema
        return data

    def with_body(self, body: Body) -> Prompt:
        """This prompt with another text; ValueError if the text uses variables that the prompt does not declare."""
        data = self.model_dump(exclude={"messages", "prompt", "variants"})
        return Prompt.model_validate(data | body.model_dump(exclude_none=True))
