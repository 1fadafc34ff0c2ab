"""Families of models: which of some keys a model belongs to.

A key such as `llama-2` fits a model whose id has it inside, in whatever case, and not cut out of a longer word or
number: it fits `meta-llama/Llama-2-7b-chat-hf`, and neither `llama-20b` nor `codellama-2`. The longest
key that fits is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_KEY = re.compile(r"[a-z0-9](?:[a-z0-9._:/-]{0,98}[a-z0-9])?", re.IGNORECASE | re.ASCII)


def check_families(keys: Iterable[str]) -> None:
    """ValueError for a key that is none, or two that are the same."""
    seen: set[str] = set()
    for key in keys:
        if not _KEY.fullmatch(key):
            message = (
                "a family of models has letters, digits, '.', '_', ':', '/' and '-' inside, and at most 100 of them"
            )
            raise ValueError(f"'{key[:100]}' is none: {message}")
        if key.lower() in seen:
            raise ValueError(f"the family '{key}' is given twice")
        seen.add(key.lower())


def family_of(model: str, keys: Iterable[str]) -> str | None:
    """The longest of `keys` that fits `model`, the first of those where they are equally long; None if none does."""
    return max((key for key in keys if _fits(key.lower(), model.lower())), key=len, default=None)


def _fits(key: str, model: str) -> bool:
    at = model.find(key)
    while at >= 0:
        if not _joined(model[at - 1 : at], key[0]) and not _joined(key[-1], model[at + len(key) :][:1]):
            return True
        at = model.find(key, at + 1)
    return False


def _joined(left: str, right: str) -> bool:
    """Whether two characters belong to one word or one number."""
    return (left.isalpha() and right.isalpha()) or (left.isdigit() and right.isdigit())
