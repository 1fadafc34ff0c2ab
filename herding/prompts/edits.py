"""Unsaved edits of a prompt: what they are, as text that is kept, and the prompt that they make."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from herding.errors import UserError, VariableError
from herding.prompts.model import Prompt
from herding.prompts.reading import parse_body, parse_prompt
from herding.prompts.yaml_dump import dump_file
from herding.yaml_files import Source

BODY = ("messages", "prompt", "templates", "variants")
"""The keys of a prompt that an edited template takes the place of."""

NUMBERS = ("temperature", "top_p", "top_k", "max_tokens", "seed")
WHOLE_NUMBERS = ("top_k", "max_tokens", "seed")
"""The parameters that are numbers, and those of them that are whole ones."""

MAX_CHARS = 1_000_000
"""Characters of edits as they are kept."""


@dataclass(frozen=True, slots=True)
class Edits:
    """What somebody wrote and did not save; what is missing is as the prompt has it.

    `variables` are inputs; `template` is the text as YAML; `parameters` are numbers by name, and `stop` a list of
    texts. `whole` is all of the prompt as YAML, in the place of its saved form.
    """

    variables: Mapping[str, Any] = field(default_factory=dict)
    template: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    whole: str | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is edited."""
        return not (self.variables or self.changes_prompt)

    @property
    def changes_prompt(self) -> bool:
        """Whether there is more to save than inputs."""
        return self.template is not None or bool(self.parameters) or self.whole is not None

    @property
    def inputs(self) -> Edits:
        """The inputs alone."""
        return replace(self, template=None, parameters={}, whole=None)

    def dump(self) -> str:
        """The edits as one line of JSON; UserError for what cannot be kept."""
        _check_parameters(self.parameters)
        try:
            text = json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise UserError("The draft holds a value that JSON does not know.", param="variables") from None
        if len(text) > MAX_CHARS:
            raise UserError(f"A draft has at most {MAX_CHARS:,} characters. Make it shorter.")
        return text


def load(text: str) -> Edits:
    """The edits that `dump` wrote; ValueError where it did not."""
    try:
        return Edits(**json.loads(text))
    except TypeError as error:
        raise ValueError(str(error)) from None


def applied(key: str, content: Mapping[str, Any], edits: Edits, *, inputs: bool = False) -> dict[str, Any]:
    """The prompt that the edits make of `content`, both in the words of a prompt file.

    With `inputs`, these become the defaults of their variables. UserError names the line and the key of what is wrong.
    """
    if edits.whole is not None:
        data = parse_prompt(key, edits.whole).worded
    else:
        data = dict(content)
        if edits.template is not None:
            parse_body(edits.template, Prompt.model_validate(data))
            data = _others(data) | dict(Source(edits.template).data)
    if edits.parameters:
        data["parameters"] = {**data.get("parameters", {}), **edits.parameters}
    return data | ({"variables": _with_defaults(data, edits.variables)} if inputs and edits.variables else {})


def detached(content: Mapping[str, Any], edits: Edits) -> Edits:
    """Edits of a prompt that is not there any more: with all of it as YAML, as `content` says it, however they stand.

    A template that is none yet goes along as it is typed.
    """
    if edits.whole is not None or not edits.changes_prompt:
        return edits
    data = {name: value for name, value in content.items() if name not in BODY or edits.template is None}
    if edits.parameters:
        data["parameters"] = {**data.get("parameters", {}), **edits.parameters}
    return Edits(edits.variables, whole=dump_file(data) + (edits.template or ""))


def template_of(key: str, content: Mapping[str, Any], whole: str) -> str | None:
    """The template of `whole` as YAML, if all else in it is as in `content`; None where there are more edits."""
    found = parse_prompt(key, whole)
    if found.said_label or _others(found.content) != _others(content):
        return None
    return dump_file({name: value for name, value in found.content.items() if name in BODY})


def _others(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in BODY}


def _with_defaults(data: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The variables with their inputs as defaults, where those are given and fit."""
    variables = dict(data.get("variables") or {})
    known = Prompt.model_validate(data).variables
    for name, value in inputs.items():
        if name in known and value not in (None, ""):
            try:
                variables[name] = {**variables[name], "default": known[name].check(value)}
            except VariableError as error:
                raise VariableError(f"Variable '{name}' {error.message}.", param=name) from None
    return variables


def _check_parameters(given: Mapping[str, Any]) -> None:
    """Only what a form can show is kept; whether it is in bounds is asked when it is used."""
    for name, value in given.items():
        if name == "stop" and isinstance(value, list) and all(isinstance(text, str) for text in value):
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if name not in NUMBERS or not number:
            message = f"A draft's parameters are numbers ({', '.join(NUMBERS)}), and 'stop' is a list of texts."
            raise UserError(message, param=f"parameters.{name}")
