"""Typed variables of a prompt: what they may hold, and how a value is checked and written into a text."""

from __future__ import annotations

import contextlib
import math
import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from herding.errors import VariableError
from herding.files import Strict

MAX_TEXT = 100_000
"""Characters of a text value where its variable sets no `max_chars`."""

MAX_NUMBERS = 1_000
"""Entries of a number list."""

Value = str | int | float | bool | list[int | float]
"""A checked value of a variable."""

_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?", re.ASCII)


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
    """Free text of at most `max_chars` characters."""

    type: Literal["text"] = "text"
    max_chars: int = Field(default=MAX_TEXT, ge=1, le=MAX_TEXT)

    def check(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise VariableError("must be a text")
        text = clean(value if isinstance(value, str) else str(_finite(value)))
        if len(text) > self.max_chars:
            raise VariableError(f"must have at most {self.max_chars:,} characters, it has {len(text):,}")
        return text


class NumberVariable(_Variable):
    """A decimal number; anything else, and so any text that could carry instructions, is refused."""

    type: Literal["number"]
    min: float | None = None
    max: float | None = None

    def check(self, value: Any) -> int | float | str:
        if value == "" and self.required is False:
            return ""
        number = _number(value)
        if self.min is not None and number < self.min:
            raise VariableError(f"must be at least {show(self.min)}, it is {show(number)}")
        if self.max is not None and number > self.max:
            raise VariableError(f"must be at most {show(self.max)}, it is {show(number)}")
        return number


class IntegerVariable(NumberVariable):
    """A whole number."""

    type: Literal["integer"]  # type: ignore[assignment]

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
    min: float | None = None
    max: float | None = None

    @property
    def empty(self) -> Value:
        return []

    def check(self, value: Any) -> list[int | float]:
        if isinstance(value, str):
            value = [part for part in value.strip().strip("[]").split(",") if part.strip()]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            value = [value]
        if not isinstance(value, list | tuple):
            raise VariableError("must be numbers with commas between them, such as 900, 700")
        if len(value) > MAX_NUMBERS:
            raise VariableError(f"must have at most {MAX_NUMBERS:,} numbers")
        one = NumberVariable(type="number", min=self.min, max=self.max)
        numbers = [one.check(part) for part in value]
        return [number for number in numbers if not isinstance(number, str)]


class ChoiceVariable(_Variable):
    """One of some given texts."""

    type: Literal["choice"]
    choices: list[str] = Field(min_length=1)

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


def fill(variables: Mapping[str, Variable], given: Mapping[str, Any]) -> dict[str, Value]:
    """A checked value for each declared variable; VariableError names the one at fault and says what to do."""
    for name in given:
        if name not in variables:
            known = ", ".join(variables) or "none"
            raise VariableError(f"This prompt has no variable '{name}'. Its variables: {known}.", param=name)
    return {name: _value(name, variable, given.get(name)) for name, variable in variables.items()}


def _value(name: str, variable: Variable, given: Any) -> Value:
    if given is None or (given in ("", []) and variable.must_be_given):
        if variable.must_be_given:
            raise VariableError(f"Variable '{name}' needs a value.", param=name)
        return variable.start
    try:
        return variable.check(given)
    except VariableError as error:
        raise VariableError(f"Variable '{name}' {error.message}.", param=name) from None


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


def _number(value: Any) -> int | float:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        text = value.strip()
        value = int(text) if text.lstrip("+-").isdigit() else float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise VariableError("must be a number, such as 1200 or 449.5")
    return _finite(value)


def _finite(number: int | float) -> int | float:
    """`number`, unless it is NaN, infinite, or too large for a float."""
    with contextlib.suppress(OverflowError):
        if math.isfinite(number):
            return number
    raise VariableError("must be a number, such as 1200 or 449.5")
