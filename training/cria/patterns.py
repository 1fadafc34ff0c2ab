"""Text patterns: `[x|y]` is a choice and `{slot}` is filled by a function."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Final

_CHOICE: Final = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")
_SLOT: Final = re.compile(r"\{([a-z0-9_]+)\}")


def lines(text: str) -> tuple[str, ...]:
    """Return the non-empty lines of a block, stripped."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def resolve(pattern: str, rng: random.Random, fill: Callable[[str], str]) -> str:
    """Takes the choices of a pattern, inner ones first, then fills its slots."""
    while found := _CHOICE.search(pattern):
        pattern = pattern[: found.start()] + rng.choice(found.group(1).split("|")) + pattern[found.end() :]
    return re.sub(r" {2,}", " ", _SLOT.sub(lambda slot: fill(slot.group(1)), pattern)).strip()


def upper_first(text: str) -> str:
    """Return the text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
