"""Numbers from outside: as JSON writes them, and nothing else."""

from __future__ import annotations

import contextlib
import math
import re
from typing import Any

from herding.errors import VariableError

MAX_DIGITS = 400
MAX_NUMBERS = 1_000
"""Entries of a number list."""

_NUMBER = re.compile(rf"-?(?:0|[1-9]\d{{0,{MAX_DIGITS}}})(\.\d{{1,{MAX_DIGITS}}})?([eE][+-]?\d{{1,3}})?", re.ASCII)
_BLANK = " \t\r\n"
_WRONG = "must be a number, such as 1200 or 449.5"


def number(value: Any) -> int | float:
    """`value`, a number or its text (blanks around it do not count); VariableError for whatever is none."""
    if isinstance(value, str) and (found := _NUMBER.fullmatch(value.strip(_BLANK))):
        value = float(found[0]) if found[1] or found[2] else int(found[0])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise VariableError(_WRONG)
    return finite(value)


def finite(value: int | float) -> int | float:
    """`value`, unless it is NaN, infinite, or too large for a float."""
    with contextlib.suppress(OverflowError):
        if math.isfinite(value):
            return value
    raise VariableError(_WRONG)


def parts(value: Any) -> list[Any]:
    """The entries of a number list: of a list, of a text such as `900, 700` or `[900, 700]`, or of one number."""
    if isinstance(value, str):
        value = _split(value.strip(_BLANK))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, list | tuple):
        raise VariableError("must be numbers with commas between them, such as 900, 700")
    if len(value) > MAX_NUMBERS:
        raise VariableError(f"must have at most {MAX_NUMBERS:,} numbers")
    return list(value)


def _split(text: str) -> list[str]:
    if text.startswith("[") and text.endswith("]") and len(text) > 1:
        text = text[1:-1]
    entries = text.split(",", MAX_NUMBERS + 1)
    if not entries[-1].strip(_BLANK):  # nothing at all, or a comma at the end
        entries.pop()
    return entries
