"""Bounds what is stored of a request: images, audio and files can be as large as a body may be."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

MAX_STORED_PART = 1_000_000
"""The longest image or other part that is stored, in characters of its data URL."""

_TEXTS = ("text", "content", "arguments", "reasoning", "reasoning_content")
"""Fields with texts, which are stored in full."""


def bounded(value: Any) -> Any:
    """Return JSON with every value over `MAX_STORED_PART` characters replaced by its kind, size and hash."""
    if isinstance(value, str):
        return value if len(value) <= MAX_STORED_PART else _note(value)
    if isinstance(value, Mapping):
        return {
            name: item if name in _TEXTS and isinstance(item, str) else bounded(item) for name, item in value.items()
        }
    return [bounded(item) for item in value] if isinstance(value, list | tuple) else value


def _note(text: str) -> str:
    kind = text[5:].partition(";")[0][:100] if text.startswith("data:") else "text"
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"({kind}, {len(text):,} characters, SHA-256 {digest}, not stored)"
