"""Keys: how prompts are called, `folder/name` for the file of that name."""

from __future__ import annotations

import re

from herding.errors import NotFoundError, UserError

KEY = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)*", re.IGNORECASE | re.ASCII)
MAX_KEY = 200
"""Characters of a new key."""

RESERVED = frozenset({"versions", "diff", "labels", "yaml", "resolve", "draft"})
"""No folder's part of a new key: behind a key, the API has doors of these names."""


def is_key(text: str) -> bool:
    """Whether a prompt can be called so."""
    return KEY.fullmatch(text) is not None and len(text) <= MAX_KEY


def check_key(key: str) -> None:
    """UserError where no new prompt can be called so."""
    if not is_key(key):
        message = f"A prompt's key has letters, digits, '_', '-', '.' and '/', and at most {MAX_KEY} of them."
        raise UserError(message, param="key")
    if reserved := RESERVED.intersection(key.split("/")[1:]):
        raise UserError(f"'{min(reserved)}' stands behind a key in the API. Choose another key.", param="key")


def no_prompt(key: str) -> NotFoundError:
    """What is said of a prompt that is not there, or not for whoever asks."""
    return NotFoundError(f"There is no prompt '{key}'.", param="prompt")
