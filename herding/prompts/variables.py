"""Typed variables of a prompt: their schema, the validation of values, and their form in a text."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, TypeAdapter, field_validator, model_validator

from herding.errors import UserError, VariableError
from herding.prompts.patterns import check_pattern, matches_fully
from herding.yaml_files import StrictModel

MAX_TEXT = 100_000
"""Maximum length of a text value whose variable sets no `max_chars`, in characters."""

MAX_CHOICES = 1_000
MAX_DIGITS = 400
MAX_NUMBERS = 1_000
"""Maximum length of a number list."""

_NUMBER = re.compile(rf"-?(?:0|[1-9]\d{{0,{MAX_DIGITS}}})(\.\d{{1,{MAX_DIGITS}}})?([eE][+-]?\d{{1,3}})?", re.ASCII)
_BLANK = " \t\r\n"
_NOT_A_NUMBER = "must be a number, such as 1200 or 449.5"

Value = str | int | float | bool | list[int | float]
"""A checked value of a variable."""


class _Variable(StrictModel):
    """The base of all types. A variable without a default is required unless `required` is false.

    One that the caller leaves empty is filled by the variable source `source`, if there is one, with `arguments`.
    """

    description: str = ""
    required: bool | None = None
    default: Any = None
    source: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,99}$")] | None = None
    arguments: dict[str, Any] | None = Field(default=None, max_length=50)

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
            raise ValueError(f"min ({show(low)}) is more than max ({show(high)})")
        return self

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The minimum and the maximum; None for no bound."""
        return None, None

    @property
    def always_given(self) -> bool:
        """True if there is always a value: the variable is required or has a default."""
        return self.must_be_given or self.default is not None

    @property
    def must_be_given(self) -> bool:
        missing = self.default is None and self.source is None
        return missing if self.required is None else self.required and missing

    @property
    def start(self) -> Value:
        """The initial value of a form field: the default, or an empty value."""
        return self.empty if self.default is None else self.check(self.default)

    @property
    def empty(self) -> Value:
        return ""

    @abstractmethod
    def check(self, value: Any) -> Value:
        """Return `value` as this variable's type. Raises VariableError."""


class TextVariable(_Variable):
    """Free text of at most `max_chars` characters that fully matches `pattern`."""

    type: Literal["text"] = "text"
    max_chars: int = Field(default=MAX_TEXT, ge=1, le=MAX_TEXT)
    pattern: str | None = None

    @field_validator("default")
    @classmethod
    def _default_is_a_text(cls, default: Any) -> Any:
        is_number = isinstance(default, int | float) and not isinstance(default, bool)
        return str(default) if is_number and math.isfinite(default) else default

    @field_validator("pattern")
    @classmethod
    def _pattern_is_valid(cls, pattern: str | None) -> str | None:
        return pattern if pattern is None else check_pattern(pattern)

    def check(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise VariableError("must be a text")
        text = clean(value if isinstance(value, str) else str(require_finite(value)))
        if len(text) > self.max_chars:
            raise VariableError(f"must have at most {self.max_chars:,} characters, it has {len(text):,}")
        if self.pattern is not None and (text or self.always_given):
            self._check_pattern(self.pattern, text)
        return text

    def _check_pattern(self, pattern: str, text: str) -> None:
        try:
            fits = matches_fully(pattern, text)
        except TimeoutError:
            raise VariableError("takes too long to check against its pattern. Shorten it") from None
        if not fits:
            raise VariableError(f"must match the pattern {pattern}")


class NumberVariable(_Variable):
    """A decimal number. Anything else is refused, so that no text can smuggle instructions into a prompt."""

    type: Literal["number"]
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        return self.min, self.max

    def check(self, value: Any) -> int | float | str:
        if value == "" and self.required is False:
            return ""
        number = parse_number(value)
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
    """A list of numbers, or a text of comma-separated numbers."""

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
        checked = (one.check(part) for part in split_numbers(value))
        return [number for number in checked if not isinstance(number, str)]


class ChoiceVariable(_Variable):
    """One of the texts in `choices`."""

    type: Literal["choice"]
    choices: list[str] = Field(min_length=1, max_length=MAX_CHOICES)

    def check(self, value: Any) -> str:
        if value == "" and not self.must_be_given and self.default is None:
            return ""
        if value not in self.choices:
            raise VariableError(f"must be one of: {', '.join(self.choices)}")
        return str(value)


class BooleanVariable(_Variable):
    """True or false."""

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


_VARIABLES: TypeAdapter[dict[str, Variable]] = TypeAdapter(dict[str, Variable])


def fill(variables: Mapping[str, Variable], given: Mapping[str, Any]) -> dict[str, Value]:
    """Return a validated value for each declared variable. Raises VariableError, which names the variable."""
    for name in given:
        if name not in variables:
            known = ", ".join(variables) or "none"
            raise VariableError(f"This prompt has no variable '{name}'. Its variables: {known}.", param=name)
    return {name: _value(name, variable, given.get(name)) for name, variable in variables.items()}


async def fill_async(variables: Mapping[str, Variable], given: Mapping[str, Any]) -> dict[str, Value]:
    """Do the same as `fill`, in a thread if a pattern may take long."""
    if any(isinstance(variable, TextVariable) and variable.pattern for variable in variables.values()):
        return await asyncio.to_thread(fill, variables, given)
    return fill(variables, given)


async def find_errors_async(variables: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, str]:
    """Do the same as `find_errors`, in a thread if a pattern may take long."""
    if any(variable.get("pattern") for variable in variables.values()):
        return await asyncio.to_thread(find_errors, variables, given)
    return find_errors(variables, given)


def find_errors(variables: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, str]:
    """Return the error of each invalid value by variable. A required value that is still missing is not an error."""
    found = {}
    for name, variable in _VARIABLES.validate_python(dict(variables)).items():
        value = given.get(name)
        if value is None or (value in ("", []) and (variable.must_be_given or variable.source)):
            continue
        try:
            variable.check(value)
        except VariableError as error:
            found[name] = error.message
    return found


def _value(name: str, variable: Variable, given: Any) -> Value:
    if variable.source and given in (None, "", []):
        return variable.start
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
    """Return a value as it is written into a prompt: `1200`, `449.5`, `900, 700`, `none` for an empty list.

    A list of texts, which steps of a chain fill, has one a line.
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, list):
        between = "\n" if any(isinstance(item, str) for item in value) else ", "
        return between.join(show(item) for item in value) or "none"
    return str(value)


def clean(text: str) -> str:
    """Return `text`. Raises VariableError unless it can be stored and sent (valid Unicode without NUL)."""
    if "\x00" in text:
        raise VariableError("contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise VariableError("contains an invalid character (a lone surrogate)") from None
    return text


def clean_parameter(text: str, param: str, *, subject: str = "") -> str:
    """Return `text`. Raises UserError for the parameter `param`, called `subject`, if it cannot be stored or sent."""
    try:
        return clean(text)
    except VariableError as error:
        what = subject or f"Parameter '{param}'"
        raise UserError(f"{what} {error.message}.", param=param) from None


def parse_number(value: Any) -> int | float:
    """Return a number from a number or a text as JSON writes it. Raises VariableError."""
    if isinstance(value, str) and (found := _NUMBER.fullmatch(value.strip(_BLANK))):
        value = float(found[0]) if found[1] or found[2] else int(found[0])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise VariableError(_NOT_A_NUMBER)
    return require_finite(value)


def require_finite(value: int | float) -> int | float:
    """Return `value`. Raises VariableError if it is NaN, infinite or too large for a float."""
    with contextlib.suppress(OverflowError):
        if math.isfinite(value):
            return value
    raise VariableError(_NOT_A_NUMBER)


def split_numbers(value: Any) -> list[Any]:
    """Return the entries of a list, of a text such as `900, 700` or `[900, 700]`, or of one number."""
    if isinstance(value, str):
        value = _split_text(value.strip(_BLANK))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, list | tuple):
        raise VariableError("must be comma-separated numbers, such as 900, 700")
    if len(value) > MAX_NUMBERS:
        raise VariableError(f"must have at most {MAX_NUMBERS:,} numbers")
    return list(value)


def _split_text(text: str) -> list[str]:
    if text.startswith("[") and text.endswith("]") and len(text) > 1:
        text = text[1:-1]
    entries = text.split(",", MAX_NUMBERS + 1)
    if not entries[-1].strip(_BLANK):  # nothing at all, or a comma at the end
        entries.pop()
    return entries
