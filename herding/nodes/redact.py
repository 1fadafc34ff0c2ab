"""Removes secrets from text, since some servers repeat what they were sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

MASK = "[key removed]"

_KEY = re.compile(
    r"\b(?:sk|pk|rk|gsk|hf|hl|xai|nvapi|pplx|r8|csk|fw|tgp|ghp|glpat)[-_][A-Za-z0-9][A-Za-z0-9_*-]{14,}"
    r"|\bAIza[A-Za-z0-9_-]{20,}|(?<=\bBearer )[A-Za-z0-9._~+/=-]{8,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_.-]{10,}"
)
"""Keys by the prefixes that providers give them, bearer tokens and signed tokens."""


class Secrets:
    """Secrets to be removed, in each form that they have in texts: their own, and those in a URL and in JSON."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values for form in (value, quote(value, safe=""), json.dumps(value)[1:-1])} - {""}
        self.forms = sorted(forms, key=len, reverse=True)
        self.prefix_lengths = [_prefix_lengths(form) for form in self.forms]

    def redact(self, text: str) -> str:
        """Return a complete text without the secrets."""
        for form in self.forms:
            text = redact(text, form)
        return text


class StreamRedactor:
    """Removes secrets from a stream of texts, even when a secret is split between two of them."""

    def __init__(self, secrets: Secrets) -> None:
        self._filters = [_SecretFilter(*each) for each in zip(secrets.forms, secrets.prefix_lengths, strict=True)]

    def feed(self, text: str) -> str:
        """Return the held and the new text that cannot be part of a secret."""
        for each in self._filters:
            text = each.feed(text)
        return text

    def flush(self) -> str:
        """Return the held text at the end of the stream."""
        text = ""
        for each in self._filters:
            text = each.feed(text) + each.flush()
        return text


_STREAMED = frozenset({"content", "text", "reasoning_content", "reasoning", "refusal", "arguments"})
"""Fields whose texts stream in pieces, so that a secret may be split between two of them."""

_Path = tuple[str | int, ...]


class FieldRedactor:
    """Removes secrets from JSON fields that stream in pieces."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._streams: dict[_Path, StreamRedactor] = {}

    def feed(self, value: Any, path: _Path = ()) -> Any:
        """Return a copy of `value` without secrets; `path` tells pieces of the same text from others."""
        if isinstance(value, str):
            if not path or path[-1] not in _STREAMED:
                return self._secrets.redact(value)
            if path not in self._streams:
                self._streams[path] = StreamRedactor(self._secrets)
            return self._streams[path].feed(value)
        if isinstance(value, Mapping):
            return {name: self.feed(item, (*path, name)) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.feed(item, (*path, _index(item, place))) for place, item in enumerate(value)]
        return value

    def flush(self) -> Iterator[tuple[_Path, str]]:
        """Yield the texts that were held back, with their paths."""
        for path, stream in self._streams.items():
            if rest := stream.flush():
                yield path, rest


def _index(item: Any, place: int) -> int:
    index = item.get("index") if isinstance(item, Mapping) else None
    return index if type(index) is int else place


class _SecretFilter:
    """Removes one form of a secret from a stream."""

    def __init__(self, secret: str, prefix_lengths: Mapping[str, list[int]]) -> None:
        self._secret, self._prefix_lengths = secret, prefix_lengths
        self._held = ""

    def feed(self, text: str) -> str:
        text = (self._held + text).replace(self._secret, MASK)
        lengths = self._prefix_lengths.get(text[-1:], ())
        held = next((length for length in lengths if text.endswith(self._secret[:length])), 0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def flush(self) -> str:
        held, self._held = self._held, ""
        return held


def _prefix_lengths(secret: str) -> dict[str, list[int]]:
    """Return the lengths of the beginnings of a secret by their last character, the longest first."""
    found: dict[str, list[int]] = {}
    for length in range(len(secret) - 1, 0, -1):
        found.setdefault(secret[length - 1], []).append(length)
    return found


def redact(text: str, secret: str | None) -> str:
    """Return a complete text without `secret`."""
    return text.replace(secret, MASK) if secret else text


def remove_keys(text: str) -> str:
    """Return the words of a server without anything that looks like a key: it may repeat one that is not ours."""
    return _KEY.sub(lambda match: MASK if any(map(str.isdigit, match[0])) else match[0], text)
