"""The schema of a prompt, as its file spells it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from herding.errors import NotFoundError, UserError
from herding.prompts.checks import Checks
from herding.prompts.conditions import Condition
from herding.prompts.foreign_syntax import find_foreign_syntax
from herding.prompts.parameters import PromptParameters
from herding.prompts.render import check_families, placeholders
from herding.prompts.retrieval import Retrieval, with_filled_variable
from herding.prompts.sources import check_source
from herding.prompts.steps import MAX_STEPS, Step, check_steps, output_variables
from herding.prompts.variables import Variable
from herding.prompts.web_access import ANY, Alias, Origin
from herding.prompts.yaml_dump import dump
from herding.yaml_files import FieldError, StrictModel

MAX_TEMPLATE = 200_000
MAX_VARIANTS = 100
MAX_FAMILIES = 20
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
RoleName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
Text = Annotated[str, Field(max_length=MAX_TEMPLATE)]


_TEXTS = ("messages", "prompt", "variants")
"""The fields of a prompt that are its text."""


class PromptMessage(StrictModel):
    """One message of a template."""

    role: Literal["system", "user", "assistant"]
    content: Text


class Template(StrictModel):
    """The text of a prompt: `messages` for the model's chat template, or a raw `prompt` that is sent unchanged.

    `families`, called `templates` in files, are raw texts that replace it for some families of models.
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

    @cached_property
    def texts(self) -> list[str]:
        """Every text of the template that may contain placeholders."""
        raw = [] if self.prompt is None else [self.prompt]
        return [*raw, *[message.content for message in self.messages or ()], *(self.families or {}).values()]


class Variant(Template):
    """A template for the inputs that meet the condition `when`."""

    name: Name
    when: str

    @field_validator("when")
    @classmethod
    def _is_a_condition(cls, when: str) -> str:
        Condition(when)
        return when

    @model_validator(mode="after")
    def _has_one_text(self) -> Variant:
        if (self.messages is None) == (self.prompt is None):
            raise ValueError("a variant has either messages or prompt")
        return self

    @cached_property
    def condition(self) -> Condition:
        return Condition(self.when)


class Body(Template):
    """The editable text of a prompt: a template, variants (the first whose condition holds is used), or both."""

    variants: list[Variant] | None = Field(default=None, min_length=1, max_length=MAX_VARIANTS)

    @model_validator(mode="after")
    def _has_one_text(self) -> Body:
        if self.messages is not None and self.prompt is not None:
            raise ValueError("give either messages or prompt, not both")
        if not self.has_text and self.needs_text:
            raise ValueError("a prompt needs messages, prompt or variants")
        if self.families and self.messages is None and self.prompt is None:
            raise FieldError("add messages or prompt for all other models", "templates")
        return self

    @property
    def has_text(self) -> bool:
        """True if there is a template: only a chain may have none."""
        return self.messages is not None or self.prompt is not None or bool(self.variants)

    @property
    def needs_text(self) -> bool:
        """True unless other prompts give the response."""
        return True

    def templates(self) -> Iterator[Template]:
        """Yield the default template, if there is one, and the variants."""
        if self.messages is not None or self.prompt is not None:
            yield Template(messages=self.messages, prompt=self.prompt, templates=self.families)
        yield from self.variants or ()


PluginName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,99}$")]
"""The name of what a plugin adds."""

Seconds = Annotated[float, Field(gt=0, le=3600)]


class Routing(StrictModel):
    """The policy that chooses one of the target models, unless one is `pinned`.

    Without `explore`, the policy always chooses the best model so far. Responses within `fast_seconds` score a little
    higher, those that take longer than `slow_seconds` lower.
    """

    policy: PluginName = "stars"
    pinned: Annotated[str, Field(min_length=1)] | None = None
    explore: bool = True
    fast_seconds: Seconds = 0.9
    slow_seconds: Seconds = 2.5

    @model_validator(mode="after")
    def _fast_before_slow(self) -> Routing:
        if self.fast_seconds > self.slow_seconds:
            raise ValueError("fast_seconds must not be more than slow_seconds")
        return self


class FilterUse(StrictModel):
    """A response filter with its argument; the name alone is enough."""

    name: PluginName
    argument: Any = None

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data


class Prompt(Body):
    """A named template with typed variables, target models, parameters and checks.

    `filters` change or refuse responses, one after the other. Only `roles`, if given, may see and run it. Web pages
    of the origins `cors` may call it, `alias` gives it a short path, and `routing` sets how a target model is chosen
    (by default by the stars of its responses).

    A prompt with `steps` is a chain: they run first and fill variables of its text. Without a text, the last step gives
    the response, and the models are those of the steps' prompts.
    """

    name: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=5_000)
    tags: list[str] = Field(default_factory=list)
    label: Literal["dev", "test", "prod"] = "dev"
    chat: bool = False
    roles: list[RoleName] | None = Field(default=None, min_length=1, max_length=100)
    cors: list[Origin] | None = Field(default=None, max_length=100)
    target_models: list[Annotated[str, Field(min_length=1)]]
    variables: dict[Name, Variable] = Field(default_factory=dict)
    parameters: PromptParameters = PromptParameters()
    checks: Checks = Field(default=Checks(), validation_alias=AliasChoices("checks", "contract"))
    routing: Routing | None = None
    alias: Alias | None = None
    retrieval: Retrieval | None = None
    filters: list[FilterUse] | None = Field(default=None, min_length=1, max_length=20)
    steps: list[Step] | None = Field(default=None, min_length=1, max_length=MAX_STEPS)

    @property
    def needs_text(self) -> bool:
        """True unless steps give the response."""
        return not self.steps

    @model_validator(mode="before")
    @classmethod
    def _steps_have_models(cls, data: Any) -> Any:
        without_text = isinstance(data, dict) and data.get("steps") and not any(data.get(name) for name in _TEXTS)
        return {"target_models": [], **data} if without_text else data

    @model_validator(mode="before")
    @classmethod
    def _retrieval_declares_its_variable(cls, data: Any) -> Any:
        return with_filled_variable(data)

    @model_validator(mode="before")
    @classmethod
    def _checks_are_given_once(cls, data: Any) -> Any:
        if isinstance(data, dict) and "checks" in data and "contract" in data:
            raise FieldError("this is the old name of 'checks'. Remove it", "contract")
        return data

    @field_validator("cors")
    @classmethod
    def _all_origins_stand_alone(cls, origins: list[str] | None) -> list[str] | None:
        if origins and ANY in origins and len(origins) > 1:
            raise ValueError("'*' includes all origins. Remove the others, or remove '*'")
        return origins

    @field_validator("variables", mode="before")
    @classmethod
    def _text_is_the_default_type(cls, variables: Any) -> Any:
        if not isinstance(variables, dict):
            return variables
        return {
            key: {"type": "text", **value} if isinstance(value, dict) else value for key, value in variables.items()
        }

    @field_validator("target_models")
    @classmethod
    def _one_model_at_least(cls, models: list[str], info: ValidationInfo) -> list[str]:
        if not models and any(info.data.get(name) for name in _TEXTS):
            raise ValueError("name at least 1 model")
        return models

    @model_validator(mode="after")
    def _steps_fit(self) -> Prompt:
        if not self.steps:
            return self
        if self.chat:
            raise FieldError("a prompt with steps can't be a chat. Remove it", "chat")
        if not self.has_text:
            for name in ("parameters", "checks", "filters", "routing", "retrieval"):
                if name in self.model_fields_set:
                    message = "this belongs to a text of the prompt's own. Move it to the prompt of the last step"
                    raise FieldError(message, name)
        check_steps(self.steps, self.variables, has_text=self.has_text)
        return self

    @model_validator(mode="after")
    def _placeholders_are_declared(self) -> Prompt:
        for name in (name for template in self.templates() for text in template.texts for name in placeholders(text)):
            if name not in self.all_variables:
                advice = f"For literal braces, write \\{{{{{name}}}}}"
                raise ValueError(f"the text uses {{{{{name}}}}}, which is not declared under variables. {advice}")
        if self.chat and any(not t.messages or t.messages[-1].role != "user" for t in self.templates()):
            raise ValueError("chat: true needs messages, and the last one must have the role user")
        if self.chat and any(template.families for template in self.templates()):
            raise ValueError("chat: true can't be used with templates: a raw text has no earlier turns")
        return self

    @model_validator(mode="after")
    def _routing_and_alias_fit(self) -> Prompt:
        if self.routing and self.routing.pinned and self.routing.pinned not in self.target_models:
            raise FieldError("this is not one of the target_models", "routing", "pinned")
        if self.retrieval:
            self.retrieval.check(self.all_variables)
        for name, variable in self.variables.items():
            check_source(name, variable, self.variables)
        for name in (self.alias.variables if self.alias else {}).values():
            if name not in self.variables:
                raise FieldError(f"'{name}' is not declared under variables", "alias", "variables")
        return self

    @model_validator(mode="after")
    def _variants_fit(self) -> Prompt:
        variants = self.variants or []
        for number, variant in enumerate(variants):
            try:
                variant.condition.check_types(self.all_variables)
            except ValueError as error:
                raise FieldError(f"variant '{variant.name}': {error}", "variants", number, "when") from None
            if variant.name in (other.name for other in variants[:number]):
                raise FieldError(f"another variant has the name '{variant.name}'", "variants", number, "name")
        return self

    def extensions(self) -> Iterator[tuple[str, str, tuple[str | int, ...]]]:
        """Yield what the prompt takes from plugins: what it is, its name, and its place in the file.

        Checks of plugins are left out: without them, a response has no verdict.
        """
        for name, variable in self.variables.items():
            if variable.source:
                yield "variable source", variable.source, ("variables", name, "source")
        for number, used in enumerate(self.filters or ()):
            yield "response filter", used.name, ("filters", number)
        if self.routing:
            yield "routing policy", self.routing.policy, ("routing", "policy")

    @cached_property
    def all_variables(self) -> Mapping[str, Variable]:
        """The variables, with those that steps fill."""
        return {**self.variables, **output_variables(self.steps)} if self.steps else self.variables

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Parts of the text that do not do what their author may expect: the syntax of other template languages."""
        texts = (text for template in self.templates() for text in template.texts)
        found = tuple(find_foreign_syntax(texts, self.all_variables.keys()))
        if self.target_models and not self.has_text:
            found = (*found, "target_models has no effect: each step uses the models of its own prompt.")
        return found

    @cached_property
    def content(self) -> dict[str, Any]:
        """The data of the prompt as its file spells it, without defaults and without its label."""
        return self._plain(exclude_unset=True)

    @property
    def file_label(self) -> str | None:
        """The label that the file sets, or None. It belongs to a version, not to the prompt."""
        return self.label if "label" in self.model_fields_set else None

    @property
    def file_data(self) -> dict[str, Any]:
        """The content, with the label if the file sets one."""
        return self.content | ({"label": self.file_label} if self.file_label else {})

    @cached_property
    def content_json(self) -> str:
        """The content as one line of JSON, with its keys in the order of the file."""
        return json.dumps(self.content, ensure_ascii=False)

    @cached_property
    def canonical(self) -> str:
        """The content with all defaults as one line of JSON. Equal prompts give equal text."""
        return json.dumps(self._plain(), ensure_ascii=False, sort_keys=True)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the canonical content, in hex."""
        return sha256(self.canonical.encode()).hexdigest()

    def _plain(self, *, exclude_unset: bool = False) -> dict[str, Any]:
        data = self.model_dump(mode="json", exclude={"label"}, exclude_none=True, exclude_unset=exclude_unset)
        if not self.target_models:
            data.pop("target_models", None)
        if self.checks.json_schema is not None:  # null means something in a schema
            data["checks"]["json_schema"] = self.checks.json_schema
        return data

    def with_body(self, body: Body) -> Prompt:
        """Return this prompt with another text. Raises ValueError if it uses variables that are not declared."""
        data = self.model_dump(exclude={"messages", "prompt", "families", "variants"})
        return Prompt.model_validate(data | body.model_dump(exclude_none=True))


def dump_body(body: Body) -> str:
    """Return the body of a prompt as YAML for an editor. `parse_body` reads it back."""
    fields = {"messages", "prompt", "families", "variants"}
    data: dict[str, Any] = body.model_dump(include=fields, exclude_none=True)
    if "variants" in data:
        data["variants"] = [{"name": v["name"], "when": v["when"], **v} for v in data["variants"]]
    return dump(data) if data else ""


KEY = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)*", re.IGNORECASE | re.ASCII)
MAX_KEY = 200
"""Maximum length of a new key, in characters."""

RESERVED = frozenset({"versions", "diff", "labels", "yaml", "resolve", "draft"})
"""Names that the API uses for paths below a key; a new key has none of them after a slash."""


def is_key(text: str) -> bool:
    """Return whether `text` is a valid key: letters, digits, `_`, `-` and `.` in segments separated by `/`."""
    return KEY.fullmatch(text) is not None and len(text) <= MAX_KEY


def check_key(key: str) -> None:
    """Raise UserError unless `key` is valid for a new prompt."""
    if not is_key(key):
        message = f"Use letters, digits, '_', '-', '.' and '/' in a prompt ID, at most {MAX_KEY} characters."
        raise UserError(message, param="key")
    if reserved := RESERVED.intersection(key.split("/")[1:]):
        raise UserError(f"'{min(reserved)}' is reserved by the API. Choose another prompt ID.", param="key")


def prompt_not_found(key: str) -> NotFoundError:
    """Return the error for a prompt that does not exist, or that the caller may not see."""
    return NotFoundError(f"There is no prompt '{key}'.", param="prompt")
