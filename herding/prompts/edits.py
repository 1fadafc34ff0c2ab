"""Unsaved edits of a prompt: their form, their storage as text, and their application to the prompt."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from herding.errors import UserError, VariableError
from herding.prompts.model import Body, Prompt
from herding.prompts.prompt_file import parse_body, parse_prompt
from herding.prompts.yaml_dump import dump_file
from herding.yaml_files import YamlDocument

BODY = ("messages", "prompt", "templates", "variants")
"""The keys of a prompt that an edited template replaces."""

NUMBERS = ("temperature", "top_p", "top_k", "max_tokens", "seed")
"""Parameters that are numbers."""

MAX_CHARS = 1_000_000
"""Maximum length of stored edits, in characters."""


@dataclass(frozen=True, slots=True)
class Edits:
    """Unsaved changes of a user to a prompt. Missing parts are unchanged.

    `variables` are inputs, `template` is the body as YAML, and `parameters` are numbers by name (`stop` is a list of
    texts). `whole` is the full prompt as YAML and replaces the saved prompt.
    """

    variables: Mapping[str, Any] = field(default_factory=dict)
    template: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    whole: str | None = None

    @property
    def empty(self) -> bool:
        """True if nothing is edited."""
        return not (self.variables or self.changes_prompt)

    @property
    def changes_prompt(self) -> bool:
        """True if more than inputs is edited."""
        return self.template is not None or bool(self.parameters) or self.whole is not None

    @property
    def inputs(self) -> Edits:
        """The edits of inputs only."""
        return replace(self, template=None, parameters={}, whole=None)

    def dump(self) -> str:
        """Return the edits as one line of JSON. Raises UserError if they cannot be stored."""
        _check_parameters(self.parameters)
        try:
            text = json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise UserError("The draft holds a value that JSON does not support.", param="variables") from None
        if len(text) > MAX_CHARS:
            raise UserError(f"The draft is longer than {MAX_CHARS:,} characters. Shorten it.")
        return text


def load_edits(text: str) -> Edits:
    """Return the edits that `Edits.dump` wrote. Raises ValueError."""
    try:
        return Edits(**json.loads(text))
    except TypeError as error:
        raise ValueError(str(error)) from None


def apply_edits(key: str, content: Mapping[str, Any], edits: Edits, *, inputs: bool = False) -> dict[str, Any]:
    """Return the data of a prompt with the edits applied. With `inputs`, they become defaults of their variables.

    Raises UserError with the line and the key of an error.
    """
    if edits.whole is not None:
        data = parse_prompt(key, edits.whole).file_data
    else:
        data = dict(content)
        if edits.template is not None:
            parse_body(edits.template, Prompt.model_validate(data))
            body = YamlDocument(edits.template).build(Body)
            data = _others(data) | body.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    if edits.parameters:
        data["parameters"] = {**data.get("parameters", {}), **edits.parameters}
    return data | ({"variables": _with_defaults(data, edits.variables)} if inputs and edits.variables else {})


def to_full_edits(content: Mapping[str, Any], edits: Edits) -> Edits:
    """Return edits that hold the full prompt as YAML, so that they survive its deletion.

    An invalid template is kept as typed.
    """
    if edits.whole is not None or not edits.changes_prompt:
        return edits
    data = {name: value for name, value in content.items() if name not in BODY or edits.template is None}
    if edits.parameters:
        data["parameters"] = {**data.get("parameters", {}), **edits.parameters}
    return Edits(edits.variables, whole=dump_file(data) + (edits.template or ""))


def _others(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in BODY}


def _with_defaults(data: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables with valid inputs as their defaults."""
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
    """Raise UserError for parameters that a form cannot show. Bounds are checked when they are used."""
    for name, value in given.items():
        if name == "stop" and isinstance(value, list) and all(isinstance(text, str) for text in value):
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if name not in NUMBERS or not number:
            message = f"Parameters of a draft must be numbers ({', '.join(NUMBERS)}), and 'stop' a list of texts."
            raise UserError(message, param=f"parameters.{name}")
