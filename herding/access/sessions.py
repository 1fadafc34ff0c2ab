"""Sessions of browsers: the content of a signed cookie, a random id that says nothing by itself.

The store keeps the sessions of users who logged in, under a hash of their id, so that they can be ended there.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, get_args

from itsdangerous import BadData, TimestampSigner

Kind = Literal["token", "operator", "guest", "visitor"]
"""`token`: logged in by an access token; `operator`: by the operator's token; `guest`: a returning client without
login; `visitor`: a user who chose to continue as a guest."""

_DAY = 86_400
MAX_AGE: Mapping[Kind, int] = {"token": 30 * _DAY, "operator": 30 * _DAY, "guest": 365 * _DAY, "visitor": 30 * _DAY}
"""The lifetime of each kind of session, in seconds."""

MAX_CLOCK_SKEW = 60
"""Seconds by which the clock of another instance may be ahead."""

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Session:
    """The content of a cookie that we signed."""

    kind: Kind
    id: str

    @property
    def max_age(self) -> int:
        """The lifetime in seconds."""
        return MAX_AGE[self.kind]

    @property
    def digest(self) -> str:
        """The hash under which the session is stored, in hex."""
        return sha256(f"{self.kind}.{self.id}".encode()).hexdigest()


def new_session(kind: Kind) -> Session:
    """Return a session with a new random id."""
    return Session(kind, secrets.token_hex(16))


def new_guest(kind: Literal["guest", "visitor"] = "guest") -> Session:
    """Return a session of a client without login."""
    return new_session(kind)


def sign(session: Session, key: bytes, now: int) -> str:
    """Return the value of the cookie; `now` is in Unix seconds."""
    return _Signer(key, now).sign(f"{session.kind}.{session.id}").decode()


def read(value: str, key: bytes, now: int) -> Session | None:
    """Return the session of a cookie; None if it has another signature or has expired."""
    try:
        content, signed_at = _Signer(key, now).unsign(value, return_timestamp=True)
    except (BadData, UnicodeEncodeError):
        return None
    kind, _, id = content.decode().partition(".")
    session = next((Session(known, id) for known in KINDS if known == kind and id.isalnum()), None)
    age = now - signed_at.timestamp()
    return session if session and -MAX_CLOCK_SKEW <= age < session.max_age else None


class _Signer(TimestampSigner):
    """A signer with a given time."""

    def __init__(self, key: bytes, now: int) -> None:
        super().__init__(key, salt=b"herding.session", digest_method=sha256)
        self._now = now

    def get_timestamp(self) -> int:
        return self._now
