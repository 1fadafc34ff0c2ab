"""What a prompt is: the strict schema of a prompt file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, ConfigDict, Field, field_validator, model_validator

from herding.prompts.alias import Alias
from herding.prompts.condition import Condition
from herding.prompts.coverage import cover
from herding.prompts.families import check_families
from herding.prompts.json_schema import check_schema
from herding.prompts.origins import ANY, Origin
from herding.prompts.patterns import check_pattern
from herding.prompts.render import placeholders
from herding.prompts.routing import Routing
from herding.prompts.type_check import check_kinds
from herding.prompts.variables import Variable
from herding.values import Parameters
from herding.yaml_files import PlacedError, Strict

MAX_TEMPLATE = 200_000
MAX_VARIANTS = 100
MAX_FAMILIES = 20
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
RoleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Text = Annotated[str, Field(max_length=MAX_TEMPLATE)]


class PromptMessage(Strict):
    """One message of a template."""

    role: Literal["system", "user", "assistant"]
    content: Text


class Template(Strict):
    """The text of a prompt: `messages` for a model's own chat template, or a raw `prompt` that is sent as it is.

    `families`, called `templates` in files, are raw texts for models of some families, in its place.
    """

    model_config = ConfigDict(serialize_by_alias=True, populate_by_name=True)

    messages: list[PromptMessage] | None = Field(default=None, min_length=1, max_length=200)
    prompt: Text | None = None
    families: dict[str, Text] | None = Field(default=None, alias="templates", min_length=1, max_length=MAX_FAMILIES)

    @field_validator("families")
    @classmethod
    def _families_differ(cls, families: dict[str, str] | None) -> dict[str, str] | None:
        check_families(families or {})
        return families

    def texts(self) -> Iterator[str]:
        """All texts of the template that may hold placeholders."""
        if self.prompt is not None:
            yield self.prompt
        for message in self.messages or ():
            yield message.content
        yield from (self.families or {}).values()


class Variant(Template):
    """A template for the inputs for which `when` holds."""

    name: Name
    when: str

    @field_validator("when")
    @classmethod
    def _is_a_condition(cls, when: str) -> str:
        Condition(when)
        return when

    @model_validator(mode="after")
    def _complete(self) -> Variant:
        if (self.messages is None) == (self.prompt is None):
            raise ValueError("a variant has either messages or prompt")
        return self

    @cached_property
    def condition(self) -> Condition:
        return Condition(self.when)


class Body(Template):
    """The editable text of a prompt: one template, or variants of it (the first whose condition holds is used)."""

    variants: list[Variant] | None = Field(default=None, min_length=1, max_length=MAX_VARIANTS)

    @model_validator(mode="after")
    def _one_kind(self) -> Body:
        if self.messages is not None and self.prompt is not None:
            raise ValueError("give either messages or prompt, not both")
        if self.messages is None and self.prompt is None and not self.variants:
            raise ValueError("a prompt needs messages, prompt or variants")
        if self.families and self.messages is None and self.prompt is None:
            raise PlacedError("all other models need messages or prompt beside it", "templates")
        return self

    def templates(self) -> Iterator[Template]:
        """Every template that may be used."""
        if self.messages is not None or self.prompt is not None:
            yield Template(messages=self.messages, prompt=self.prompt, templates=self.families)
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
        return Parameters(self.temperature, self.top_p, self.top_k, self.max_tokens, tuple(self.stop), self.seed)


class Checks(Strict):
    """What a good answer looks like; see `herding.prompts.checks` for how it is judged."""

    stop_marker: str | None = Field(default=None, min_length=1, max_length=100)
    max_words: int | None = Field(default=None, ge=1)
    max_chars: int | None = Field(default=None, ge=1)
    json_schema: dict[str, Any] | None = None
    regex: str | None = None
    choices: list[Annotated[str, Field(min_length=1, max_length=1_000)]] | None = Field(
        default=None, min_length=1, max_length=1_000
    )
    ignore_case: bool | None = None

    @field_validator("json_schema")
    @classmethod
    def _schema_is_valid(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            check_schema(schema)
        return schema

    @field_validator("regex")
    @classmethod
    def _pattern_is_valid(cls, pattern: str | None) -> str | None:
        return pattern if pattern is None else check_pattern(pattern)

    @model_validator(mode="after")
    def _case_is_of_choices(self) -> Checks:
        if self.ignore_case is not None and self.choices is None:
            raise PlacedError("this goes with choices only", "ignore_case")
        return self


class Prompt(Body):
    """A named template with typed variables, target models, parameters and checks.

    `roles` are the only ones that may see and run it; web pages of the origins `cors` may run it by a link, which
    `alias` makes shorter. `routing` says how a target model is chosen; left out, by the stars that answers got.
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
    checks: Checks = Field(default=Checks(), validation_alias=AliasChoices("checks", "contract"))
    routing: Routing | None = None
    alias: Alias | None = None

    @model_validator(mode="before")
    @classmethod
    def _checks_are_given_once(cls, data: Any) -> Any:
        if isinstance(data, dict) and "checks" in data and "contract" in data:
            raise PlacedError("'contract' is the old name of 'checks'; give only 'checks'", "contract")
        return data

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
        if self.chat and any(not t.messages or t.messages[-1].role != "user" for t in self.templates()):
            raise ValueError("chat: true needs messages, and the last one has role user")
        if self.chat and any(template.families for template in self.templates()):
            raise ValueError("chat: true goes without templates: a raw text has no earlier turns")
        return self

    @model_validator(mode="after")
    def _models_and_variables_are_named(self) -> Prompt:
        if self.routing and self.routing.pinned and self.routing.pinned not in self.target_models:
            raise PlacedError("this is not one of the target_models", "routing", "pinned")
        for name in (self.alias.variables if self.alias else {}).values():
            if name not in self.variables:
                raise PlacedError(f"'{name}' is not declared under variables", "alias", "variables")
        return self

    @model_validator(mode="after")
    def _variants_fit(self) -> Prompt:
        variants = self.variants or []
        for number, variant in enumerate(variants):
            try:
                check_kinds(variant.condition, self.variables)
            except ValueError as error:
                raise PlacedError(f"variant '{variant.name}': {error}", "variants", number, "when") from None
            if variant.name in (other.name for other in variants[:number]):
                raise PlacedError(f"another variant is called '{variant.name}'", "variants", number, "name")
        self._refuse_gaps(variants)
        return self

    def _refuse_gaps(self, variants: list[Variant]) -> None:
        """Refuse inputs without a text, and variants that are never used, where that can be proven."""
        found = cover([variant.condition for variant in variants], self.variables) if variants else None
        if found is None:
            return
        for number in found.idle:
            message = f"variant '{variants[number].name}' is never used: nothing fits that fits none before it"
            raise PlacedError(message, "variants", number, "when")
        if found.gap is not None and self.messages is None and self.prompt is None:
            message = f"no variant fits {found.gap}. Add one that does, or messages for all other cases"
            raise PlacedError(message, "variants")

    @cached_property
    def content(self) -> dict[str, Any]:
        """The prompt in the words of its file, without what was left out there, and without its label."""
        return self._plain(exclude_unset=True)

    @property
    def said_label(self) -> str | None:
        """The label that the file names, None where it names none. It belongs to a version, not to the prompt."""
        return self.label if "label" in self.model_fields_set else None

    @property
    def worded(self) -> dict[str, Any]:
        """The content with the label, where the file names one."""
        return self.content | ({"label": self.said_label} if self.said_label else {})

    @cached_property
    def stored(self) -> str:
        """The content as one line of JSON, with its keys in the order of the file."""
        return json.dumps(self.content, ensure_ascii=False)

    @cached_property
    def canonical(self) -> str:
        """The content as one line of JSON, with what was left out: equal prompts give equal text."""
        return json.dumps(self._plain(), ensure_ascii=False, sort_keys=True)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, in hex."""
        return sha256(self.canonical.encode()).hexdigest()

    def _plain(self, *, exclude_unset: bool = False) -> dict[str, Any]:
        data = self.model_dump(mode="json", exclude={"label"}, exclude_none=True, exclude_unset=exclude_unset)
        if self.checks.json_schema is not None:  # there a null says something
            data["checks"]["json_schema"] = self.checks.json_schema
        return data

    def with_body(self, body: Body) -> Prompt:
        """This prompt with another text; ValueError if the text uses variables that the prompt does not declare."""
        data = self.model_dump(exclude={"messages", "prompt", "families", "variants"})
        return Prompt.model_validate(data | body.model_dump(exclude_none=True))
