"""Takes a node's key out of whatever the node says: some servers repeat what they were sent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import quote

MASK = "[key removed]"


class Redactor:
    """Removes one secret from a stream of texts, also where it is split over several of them."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret or ""
        self._held = ""
        self._lengths: dict[str, list[int]] = {}
        for length in range(len(self._secret) - 1, 0, -1):
            self._lengths.setdefault(self._secret[length - 1], []).append(length)

    def feed(self, text: str) -> str:
        """What is certain now not to be the secret, or a part of it."""
        if not self._secret:
            return text
        text = (self._held + text).replace(self._secret, MASK)
        could_be = self._lengths.get(text[-1:], ())
        held = next((length for length in could_be if text.endswith(self._secret[:length])), 0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def end(self) -> str:
        """What was held back, and is only the beginning of it."""
        held, self._held = self._held, ""
        return held


class Redactors:
    """Removes several secrets, also as they are written in a URL or in JSON."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1])}
        self.secrets = sorted(forms, key=len, reverse=True)
        self._each = [Redactor(secret) for secret in self.secrets]

    def feed(self, text: str) -> str:
        """What is certain now not to be one of the secrets, or a part of it."""
        for scrubber in self._each:
            text = scrubber.feed(text)
        return text

    def end(self) -> str:
        """What was held back, and is only the beginning of one."""
        text = ""
        for scrubber in self._each:
            text = scrubber.feed(text) + scrubber.end()
        return text

    def whole(self, text: str) -> str:
        """A whole text without the secrets."""
        for secret in self.secrets:
            text = scrubbed(text, secret)
        return text


def scrubbed(text: str, secret: str | None) -> str:
    """A whole text without the secret."""
    return text.replace(secret, MASK) if secret else text
