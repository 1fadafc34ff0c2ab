"""A check of responses."""

from __future__ import annotations

from typing import Any


def ends_with(text: str, argument: Any) -> str | None:
    """Return why a response fails: it must end with the argument. None if it passes."""
    ending = str(argument)
    return None if text.rstrip().endswith(ending) else f"does not end with '{ending}'"
