"""Steps of a chain: prompts that run one after the other or side by side, and the variables that they fill."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_serializer, model_validator

from herding.errors import UserError
from herding.prompts.conditions import Condition
from herding.prompts.render import insert, placeholders, split
from herding.prompts.variables import BooleanVariable, NumberListVariable, NumberVariable, TextVariable, Variable, show
from herding.yaml_files import FieldError, StrictModel

MAX_STEPS = 20
MAX_ITEMS = 50
"""Maximum number of items of a repeated step."""

MAX_DEPTH = 3
"""Levels of chains: a chain, the chains that are its steps, and those that are theirs."""

ITEM = "item"
"""The variable with the current item of a repeated step."""

RESPONSE = "response"
"""The name of the step that is the chain's own text."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Scalar = str | int | float | bool
OutputType = Literal["text", "number", "boolean", "list"]

_FENCED = re.compile(r"```[^\n`]*\n(?P<inside>.*?)```", re.DOTALL)
_PATH = re.compile(r"(?<!\\)\{\{[ \t]*[A-Za-z_][A-Za-z0-9_]*[.\[][^{}\n]{0,200}\}\}")
_BLANKS: Mapping[OutputType, Any] = {"text": "", "number": 0, "boolean": False, "list": []}
_VARIABLES: Mapping[OutputType, Variable] = {
    "text": TextVariable(type="text"),
    "number": NumberVariable(type="number"),
    "boolean": BooleanVariable(type="boolean"),
    "list": NumberListVariable(type="number_list"),
}
"""The variables that stand for outputs in conditions: a list has a length."""


class OutputField(StrictModel):
    """A field of a JSON response by its path (`author.name`, `topics.0`), and the type that it must have."""

    path: Annotated[str, Field(min_length=1, max_length=300)]
    type: OutputType = "text"

    @model_serializer
    def _as_written(self) -> str | dict[str, str]:
        return self.path if self.type == "text" else {"path": self.path, "type": self.type}

    def value(self, data: Any) -> Any:
        """Return the field of a parsed response. Raises UserError if it is missing or of another type."""
        for part in self.path.split("."):
            if isinstance(data, dict) and part in data:
                data = data[part]
            elif isinstance(data, list) and part.isascii() and part.isdecimal() and int(part) < len(data):
                data = data[int(part)]
            else:
                raise UserError(f"The response has no field '{self.path}'.")
        fits = {
            "text": True,
            "number": isinstance(data, int | float) and not isinstance(data, bool),
            "boolean": isinstance(data, bool),
            "list": isinstance(data, list),
        }
        if not fits[self.type]:
            raise UserError(f"The field '{self.path}' of the response is not a {self.type}.")
        if self.type == "text":
            return "" if data is None else as_text(data)
        return [_as_item(item) for item in data] if self.type == "list" else data


class Step(StrictModel):
    """One step: a prompt, the values of its variables, and the variables that its response fills.

    `fields` fills further variables with fields of a JSON response. A step with `when` runs only if that condition
    holds; else `into` is `otherwise`, and all else it fills is empty. A step with `each` runs once for each item of a
    list, and fills lists. Neighbors with the same `group` run side by side.
    """

    prompt: Annotated[str, Field(min_length=1, max_length=300)]
    name: Name | None = None
    variables: dict[Name, Scalar | list[Scalar]] = Field(default_factory=dict)
    into: Name | None = None
    fields: dict[Name, OutputField] = Field(default_factory=dict)
    when: str | None = None
    otherwise: str | None = None
    each: Name | None = None
    max_items: Annotated[int, Field(ge=1, le=MAX_ITEMS)] = 10
    group: Name | None = None

    @field_validator("fields", mode="before")
    @classmethod
    def _path_is_enough(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {name: {"path": field} if isinstance(field, str) else field for name, field in fields.items()}

    @field_validator("when")
    @classmethod
    def _is_a_condition(cls, when: str | None) -> str | None:
        if when is not None:
            Condition(when)
        return when

    @model_validator(mode="after")
    def _parts_fit(self) -> Step:
        if self.otherwise is not None and (self.when is None or self.into is None):
            raise FieldError("this needs 'when' and 'into'", "otherwise")
        if self.otherwise is not None and self.each:
            raise FieldError("a step with 'each' fills a list. Remove it", "otherwise")
        if "max_items" in self.model_fields_set and self.each is None:
            raise FieldError("this needs 'each'", "max_items")
        if self.into in self.fields:
            raise FieldError(f"'{self.into}' is filled twice", "fields", self.into or "")
        for name, text in self._texts():
            if found := _PATH.search(text):
                raise FieldError(f"{found[0]}: name the field under 'fields' of its step, and use that name", *name)
        return self

    @cached_property
    def condition(self) -> Condition | None:
        """The condition under which the step runs."""
        return None if self.when is None else Condition(self.when)

    @property
    def title(self) -> str:
        """The name by which people and errors call the step."""
        return self.name or self.into or re.sub(r"[^A-Za-z0-9_]", "_", self.key.rpartition("/")[2])

    @property
    def key(self) -> str:
        """The prompt without its version or label."""
        return self.prompt.partition("@")[0]

    @cached_property
    def outputs(self) -> Mapping[str, OutputType]:
        """The variables that the step fills, with their types."""
        types: dict[str, OutputType] = {} if self.into is None else {self.into: "text"}
        types |= {name: field.type for name, field in self.fields.items()}
        return types if self.each is None else dict.fromkeys(types, "list")

    def used(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield each variable that the values of the step use, with the place in the step."""
        for place, text in self._texts():
            for name in placeholders(text):
                yield name, place

    def _texts(self) -> Iterator[tuple[tuple[str, ...], str]]:
        for name, value in self.variables.items():
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str):
                    yield ("variables", name), text
        if self.otherwise is not None:
            yield ("otherwise",), self.otherwise

    def given(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the prompt's variables. A value that is one placeholder keeps its type."""
        return {name: _inserted(value, values) for name, value in self.variables.items()}

    def filled(self, response: str) -> dict[str, Any]:
        """Return the outputs of one response. Raises UserError for a missing field."""
        found: dict[str, Any] = {} if self.into is None else {self.into: response}
        if self.fields:
            data = parse_json(response)
            found |= {name: field.value(data) for name, field in self.fields.items()}
        return found

    def gathered(self, responses: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the outputs of a repeated step: a list of those of each response."""
        return {name: [response[name] for response in responses] for name in self.outputs}

    def skipped(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs of a step that does not run."""
        found = {name: _BLANKS[kind] for name, kind in self.outputs.items()}
        if self.into and self.otherwise is not None:
            found[self.into] = insert(self.otherwise, values)
        return found

    def items(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the items of `each`: of a list, of a JSON list, or the lines of a text. Raises UserError for too many.

        Items that are no texts, numbers or booleans are given as JSON.
        """
        value = values[self.each] if self.each else []
        found = value if isinstance(value, list) else _listed(show(value))
        if len(found) > self.max_items:
            raise UserError(
                f"'{self.each}' has {len(found):,} items (max {self.max_items}). Raise max_items of the step."
            )
        return [_as_item(item) for item in found]


def check_steps(steps: Sequence[Step], variables: Mapping[str, Variable], *, has_text: bool) -> None:
    """Raise FieldError for steps that do not fit together, with the path in the prompt."""
    known: dict[str, Variable] = dict(variables)
    places = {id(step): place for place, step in enumerate(steps)}
    _check_names(steps)
    for group in groups(steps):
        for step in group:
            place = places[id(step)]
            _check_use(step, place, known, last=place == len(steps) - 1 and not has_text)
        for step in group:
            _fill(known, step, places[id(step)])
    last = [*groups(steps)][-1]
    if not has_text and (len(last) > 1 or last[0].each):
        what = "side by side with others" if len(last) > 1 else "for each item"
        message = f"the last step gives the response, so it can't run {what}. Add a step or messages that combine them"
        raise FieldError(message, "steps", len(steps) - 1)


def _check_names(steps: Sequence[Step]) -> None:
    """Raise FieldError for two steps with the same name, and for a group with other steps in between."""
    titles: set[str] = set()
    named: list[str | None] = []
    for place, step in enumerate(steps):
        if step.title in titles or step.title == RESPONSE:
            taken = "the prompt's own text" if step.title == RESPONSE else "another step"
            message = f"{taken} has the name '{step.title}'. Give this step another 'name'"
            raise FieldError(message, "steps", place, "name")
        titles.add(step.title)
        if step.group and step.group in named and named[-1] != step.group:
            raise FieldError("the steps of a group must follow one another", "steps", place, "group")
        named.append(step.group)


def _fill(known: dict[str, Variable], step: Step, place: int) -> None:
    """Add what a step fills. Raises FieldError for a name that is taken."""
    for name, kind in step.outputs.items():
        if name == ITEM:
            raise FieldError("'item' is the item of a repeated step. Use another name", "steps", place)
        if name in known:
            message = f"'{name}' is filled by another step, or declared under variables. Use another name"
            raise FieldError(message, "steps", place)
        known[name] = _VARIABLES[kind]


def _check_use(step: Step, place: int, known: Mapping[str, Variable], *, last: bool) -> None:
    """Raise FieldError for a step that uses what is not filled before it, or fills nothing."""
    where = ("steps", place)
    advice = "declare it under variables, or fill it by an earlier step"
    for name, at in step.used():
        if name not in known and not (name == ITEM and step.each):
            raise FieldError(f"step '{step.title}' uses '{name}', which is unknown here; {advice}", *where, *at)
    if step.each and step.each not in known:
        raise FieldError(f"'{step.each}' is unknown here; {advice}", *where, "each")
    if step.each and ITEM in known:
        raise FieldError("a chain with repeated steps can't have a variable 'item'", "variables", ITEM)
    if not step.outputs and not last:
        raise FieldError(f"step '{step.title}' fills no variable; add 'into' or 'fields'", *where)
    if step.condition:
        try:
            step.condition.check_types(known)
        except ValueError as error:
            raise FieldError(f"step '{step.title}': {error}", *where, "when") from None


def output_variables(steps: Sequence[Step]) -> dict[str, Variable]:
    """Return the variables that steps fill, with what conditions may do with them."""
    return {name: _VARIABLES[kind] for step in steps for name, kind in step.outputs.items()}


def groups(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Yield the steps in the order in which they run; those of one list run side by side."""
    group: list[Step] = []
    for step in steps:
        if group and (step.group is None or step.group != group[-1].group):
            yield group
            group = []
        group.append(step)
    if group:
        yield group


StepsOf = Mapping[str, Sequence[Step]]
"""The steps of prompts by key; none for a prompt that is no chain."""


def find_fault(key: str, steps_of: StepsOf, path: tuple[str, ...] = ()) -> str | None:
    """Return why the chain `key` can't run: it runs itself, is too deep, or lacks a prompt. None if it can."""
    if key in path:
        return f"the chain runs itself: {' -> '.join((*path[path.index(key) :], key))}"
    if steps_of.get(key) and len(path) >= MAX_DEPTH:
        return f"the chain has more than {MAX_DEPTH} levels: {' -> '.join((*path, key))}"
    for step in steps_of.get(key, ()):
        if step.key not in steps_of:
            return f"step '{step.title}' of '{key}': there is no prompt '{step.key}'"
        if fault := find_fault(step.key, steps_of, (*path, key)):
            return fault
    return None


def as_given(variables: Mapping[str, Variable], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as the variables of a prompt take them: a list or a truth value as a text for a text."""
    return {
        name: show(value) if isinstance(value, list | bool) and isinstance(variables.get(name), TextVariable) else value
        for name, value in values.items()
    }


def parse_json(response: str) -> Any:
    """Return the JSON of a response, also of one that has it in a fenced block. Raises UserError."""
    fenced = _FENCED.search(response)
    for text in (response, fenced["inside"] if fenced else None):
        if text is not None:
            try:
                return json.loads(text, parse_float=_finite, parse_constant=_finite)
            except (ValueError, RecursionError):
                continue
    raise UserError("The response is not JSON, so it has no fields.")


def _finite(number: str) -> float:
    """Return a number. Raises ValueError for `NaN`, infinity and what is too large: they are no JSON."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number[:40]} is not a number of JSON")
    return value


def _listed(text: str) -> list[Any]:
    try:
        data = parse_json(text)
    except UserError:
        data = None
    return data if isinstance(data, list) else [line.strip() for line in text.splitlines() if line.strip()]


def _inserted(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_inserted(part, values) for part in value]
    if not isinstance(value, str):
        return value
    pieces = split(value)
    if len(pieces) == 3 and not pieces[0].strip() and not pieces[2].strip():
        return values[pieces[1]]
    return insert(value, values)


def as_text(value: Any) -> str:
    """Return a value as text: a text as it is, others as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _as_item(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) else "" if value is None else as_text(value)
