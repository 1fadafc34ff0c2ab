"""Regular expressions of prompt authors: validated when a prompt loads, and matched with a time limit."""

from __future__ import annotations

import math
import re

import regex

MAX_CHARS = 1_000
MAX_REPEATS = 100_000
"""Maximum product of the fixed repeats in a pattern. Compiling it takes memory for each of them."""

SECONDS = 0.5
"""Time limit for checking a response."""

VALUE_SECONDS = 0.1
"""Time limit for checking the value of a variable."""

_REPEAT = re.compile(r"\{(\d+)(?:,\d*)?\}", re.ASCII)
_CALL = re.compile(r"\(\?(?:R|[+-]?\d|&|P>)")


def check_pattern(pattern: str) -> str:
    """Return `pattern`. Raises ValueError if it is invalid or too expensive."""
    if len(pattern) > MAX_CHARS:
        raise ValueError(f"a regular expression has at most {MAX_CHARS:,} characters")
    if math.prod(max(int(count), 1) for count in _REPEAT.findall(pattern)) > MAX_REPEATS:
        raise ValueError("the regular expression repeats a part too often")
    if _CALL.search(pattern):
        raise ValueError("the regular expression must not call itself")
    try:
        regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    except (RecursionError, MemoryError, OverflowError, ValueError):
        raise ValueError("not a regular expression: it is nested too deep") from None
    return pattern


def matches_anywhere(pattern: str, text: str, *, seconds: float = SECONDS) -> bool:
    """Return whether `pattern` matches anywhere in `text`. Raises TimeoutError."""
    return regex.search(pattern, text, timeout=seconds) is not None


def matches_fully(pattern: str, text: str) -> bool:
    """Return whether `pattern` matches all of `text`. Raises TimeoutError."""
    return regex.fullmatch(pattern, text, timeout=VALUE_SECONDS) is not None
