"""Access tokens: `hl_<public id>_<secret>`. Only a keyed hash of the secret is ever stored."""

from __future__ import annotations

import hmac
import re
import secrets
import string
from dataclasses import dataclass

PREFIX = "hl_"
ALPHABET = string.digits + string.ascii_letters
ID_CHARS = 12
SECRET_CHARS = 43
"""256 bits in base 62."""

_FORM = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{ID_CHARS}}})_([0-9A-Za-z]{{{SECRET_CHARS}}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Secret:
    """A whole token in its two parts. Its repr shows the public part only."""

    id: str
    secret: str

    @property
    def text(self) -> str:
        """The token as its holder sends it."""
        return f"{PREFIX}{self.id}_{self.secret}"

    def __repr__(self) -> str:
        return f"Secret(hl_{self.id}_...)"

    def digest(self, key: bytes) -> bytes:
        """Return the keyed hash that is stored: 32 bytes, not usable as a credential."""
        return hmac.digest(key, f"token:{self.id}:{self.secret}".encode(), "sha256")


def mint() -> Secret:
    """Return a new random token."""
    return Secret(_random(ID_CHARS), _random(SECRET_CHARS))


def parse(text: str) -> Secret | None:
    """Return the token in `text`; None for a text of another form, without asking the database."""
    found = _FORM.fullmatch(text)
    return Secret(found[1], found[2]) if found else None


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
