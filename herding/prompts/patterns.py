"""Regular expressions that an author writes and strangers' texts are held against: checked early, ended in time."""

from __future__ import annotations

import math
import re

import regex

MAX_CHARS = 1_000
MAX_REPEATS = 100_000
"""What the fixed repeats of a pattern may come to; they are written out when it is compiled, one inside the other."""

SECONDS = 0.5
"""How long the judging of an answer may take."""

VALUE_SECONDS = 0.1
"""How long the check of a variable's value may take."""

_REPEAT = re.compile(r"\{(\d+)(?:,\d*)?\}", re.ASCII)
_CALL = re.compile(r"\(\?(?:R|[+-]?\d|&|P>)")


def check_pattern(pattern: str) -> str:
    """`pattern`, if it is one that can be used; ValueError says what is wrong with it."""
    if len(pattern) > MAX_CHARS:
        raise ValueError(f"a regular expression has at most {MAX_CHARS:,} characters")
    if math.prod(max(int(count), 1) for count in _REPEAT.findall(pattern)) > MAX_REPEATS:
        raise ValueError("a regular expression repeats nothing so often")
    if _CALL.search(pattern):
        raise ValueError("a regular expression does not call itself here")
    try:
        regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    except (RecursionError, MemoryError, OverflowError, ValueError):
        raise ValueError("not a regular expression: it is nested too deep") from None
    return pattern


def found_in(pattern: str, text: str, *, seconds: float = SECONDS) -> bool:
    """Whether `pattern` fits somewhere in `text`; TimeoutError if that takes longer."""
    return regex.search(pattern, text, timeout=seconds) is not None


def fits_all(pattern: str, text: str, *, seconds: float = VALUE_SECONDS) -> bool:
    """Whether `pattern` fits `text` as a whole; TimeoutError if that takes longer."""
    return regex.fullmatch(pattern, text, timeout=seconds) is not None
