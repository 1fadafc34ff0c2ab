"""Typed variables of a prompt: what they may hold, and how a value is checked and written into a text."""

from __future__ import annotations

import asyncio
import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, TypeAdapter, field_validator, model_validator

from herding.errors import UserError, VariableError
from herding.prompts import numbers
from herding.prompts.patterns import check_pattern, fits_all
from herding.yaml_files import Strict

MAX_TEXT = 100_000
"""Characters of a text value where its variable sets no `max_chars`."""

MAX_CHOICES = 1_000

Value = str | int | float | bool | list[int | float]
"""A checked value of a variable."""


class _Variable(Strict):
    """What all kinds of variable share. Without a default, and unless `required` is false, a value must be given."""

    description: str = ""
    required: bool | None = None
    default: Any = None

    @model_validator(mode="after")
    def _default_fits(self) -> _Variable:
        if self.default is not None:
            try:
                self.check(self.default)
            except VariableError as error:
                raise ValueError(f"the default does not fit: {error.message}") from None
        return self

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> _Variable:
        low, high = self.bounds
        if low is not None and high is not None and low > high:
            raise ValueError(f"nothing is at least {show(low)} and at most {show(high)}")
        return self

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The least and the greatest number that fits; None where there is no such bound."""
        return None, None

    @property
    def always_given(self) -> bool:
        """Whether there is always a value: the variable must be given, or a default stands in."""
        return self.must_be_given or self.default is not None

    @property
    def must_be_given(self) -> bool:
        return self.default is None if self.required is None else self.required and self.default is None

    @property
    def start(self) -> Value:
        """What a form shows first: the default, else nothing."""
        return self.empty if self.default is None else self.check(self.default)

    @property
    def empty(self) -> Value:
        return ""

    @abstractmethod
    def check(self, value: Any) -> Value:
        """`value` as this variable's type; VariableError says what is wrong with it."""


class TextVariable(_Variable):
    """Free text of at most `max_chars` characters, which `pattern` fits as a whole."""

    type: Literal["text"] = "text"
    max_chars: int = Field(default=MAX_TEXT, ge=1, le=MAX_TEXT)
    pattern: str | None = None

    @field_validator("pattern")
    @classmethod
    def _pattern_is_valid(cls, pattern: str | None) -> str | None:
        return pattern if pattern is None else check_pattern(pattern)

    def check(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise VariableError("must be a text")
        text = clean(value if isinstance(value, str) else str(numbers.finite(value)))
        if len(text) > self.max_chars:
            raise VariableError(f"must have at most {self.max_chars:,} characters, it has {len(text):,}")
        if self.pattern is not None and (text or self.always_given):
            self._check_pattern(self.pattern, text)
        return text

    def _check_pattern(self, pattern: str, text: str) -> None:
        try:
            fits = fits_all(pattern, text)
        except TimeoutError:
            raise VariableError("takes too long to check against its pattern; make it shorter") from None
        if not fits:
            raise VariableError(f"must fit the pattern {pattern}")


class NumberVariable(_Variable):
    """A decimal number; anything else, and so any text that could carry instructions, is refused."""

    type: Literal["number"]
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        return self.min, self.max

    def check(self, value: Any) -> int | float | str:
        if value == "" and self.required is False:
            return ""
        number = numbers.number(value)
        if self.min is not None and number < self.min:
            raise VariableError(f"must be at least {show(self.min)}, it is {show(number)}")
        if self.max is not None and number > self.max:
            raise VariableError(f"must be at most {show(self.max)}, it is {show(number)}")
        return number


class IntegerVariable(NumberVariable):
    """A whole number."""

    type: Literal["integer"]  # type: ignore[assignment]

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        low, high = self.min, self.max
        return None if low is None else math.ceil(low), None if high is None else math.floor(high)

    def check(self, value: Any) -> int | str:
        number = super().check(value)
        if isinstance(number, str):
            return number
        if number != int(number):
            raise VariableError(f"must be a whole number, it is {show(number)}")
        return int(number)


class NumberListVariable(_Variable):
    """Numbers, as a list or as text with commas between them."""

    type: Literal["number_list"]
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        return self.min, self.max

    @property
    def empty(self) -> Value:
        return []

    def check(self, value: Any) -> list[int | float]:
        one = NumberVariable(type="number", min=self.min, max=self.max)
        checked = (one.check(part) for part in numbers.parts(value))
        return [number for number in checked if not isinstance(number, str)]


class ChoiceVariable(_Variable):
    """One of some given texts."""

    type: Literal["choice"]
    choices: list[str] = Field(min_length=1, max_length=MAX_CHOICES)

    def check(self, value: Any) -> str:
        if value == "" and not self.must_be_given and self.default is None:
            return ""
        if value not in self.choices:
            raise VariableError(f"must be one of: {', '.join(self.choices)}")
        return str(value)


class BooleanVariable(_Variable):
    """Yes or no."""

    type: Literal["boolean"]

    @property
    def empty(self) -> Value:
        return False

    def check(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise VariableError("must be true or false")


Variable = Annotated[
    TextVariable | NumberVariable | IntegerVariable | NumberListVariable | ChoiceVariable | BooleanVariable,
    Field(discriminator="type"),
]


_KNOWN: TypeAdapter[dict[str, Variable]] = TypeAdapter(dict[str, Variable])


def fill(variables: Mapping[str, Variable], given: Mapping[str, Any]) -> dict[str, Value]:
    """A checked value for each declared variable; VariableError names the one at fault and says what to do."""
    for name in given:
        if name not in variables:
            known = ", ".join(variables) or "none"
            raise VariableError(f"This prompt has no variable '{name}'. Its variables: {known}.", param=name)
    return {name: _value(name, variable, given.get(name)) for name, variable in variables.items()}


async def filled(variables: Mapping[str, Variable], given: Mapping[str, Any]) -> dict[str, Value]:
    """As `fill`; where a pattern may take long, others go on meanwhile."""
    if any(isinstance(variable, TextVariable) and variable.pattern for variable in variables.values()):
        return await asyncio.to_thread(fill, variables, given)
    return fill(variables, given)


async def found_faults(variables: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, str]:
    """As `faults`; where a pattern may take long, others go on meanwhile."""
    if any(variable.get("pattern") for variable in variables.values()):
        return await asyncio.to_thread(faults, variables, given)
    return faults(variables, given)


def faults(variables: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with given values, by variable; what must be given and is not yet is not wrong."""
    found = {}
    for name, variable in _KNOWN.validate_python(dict(variables)).items():
        value = given.get(name)
        if value is None or (value in ("", []) and variable.must_be_given):
            continue
        try:
            variable.check(value)
        except VariableError as error:
            found[name] = error.message
    return found


def _value(name: str, variable: Variable, given: Any) -> Value:
    if given is None or (given in ("", []) and variable.must_be_given):
        if variable.must_be_given:
            raise VariableError(f"Variable '{name}' needs a value.", param=name)
        return variable.start
    try:
        checked = variable.check(given)
    except VariableError as error:
        raise VariableError(f"Variable '{name}' {error.message}.", param=name) from None
    if checked == [] and variable.must_be_given:
        raise VariableError(f"Variable '{name}' needs a value.", param=name)
    return checked


def show(value: Value) -> str:
    """A value as it is written into a prompt: `1200`, `449.5`, `900, 700`, `none` for an empty list."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, list):
        return ", ".join(show(number) for number in value) or "none"
    return str(value)


def clean(text: str) -> str:
    """`text`, if it can be stored and sent: valid Unicode without NUL."""
    if "\x00" in text:
        raise VariableError("contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise VariableError("contains half a character (a lone surrogate)") from None
    return text


def clean_parameter(text: str, param: str, *, subject: str = "") -> str:
    """`text`, if it can be stored and sent; UserError for `param` where not, which `subject` is called in words."""
    try:
        return clean(text)
    except VariableError as error:
        what = subject or f"Parameter '{param}'"
        raise UserError(f"{what} {error.message}.", param=param) from None
