"""Sessions of browsers: what a signed cookie says. It names a token and never holds one."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, get_args

Kind = Literal["token", "operator", "guest", "visitor"]
"""`token`: logged in by the token with that id; `operator`: by the operator's token; `guest`: known again, nothing
more; `visitor`: somebody who chose to look around as a guest."""

_DAY = 86_400
LASTS: Mapping[Kind, int] = {"token": 30 * _DAY, "operator": 30 * _DAY, "guest": 365 * _DAY, "visitor": 30 * _DAY}
"""Seconds."""

KINDS: tuple[Kind, ...] = get_args(Kind)

_FORM = re.compile(r"([a-z]{5,8})\.([0-9A-Za-z]{1,64})\.([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Session:
    """A cookie that was really made by us."""

    kind: Kind
    id: str

    @property
    def lasts(self) -> int:
        """Seconds until it ends."""
        return LASTS[self.kind]


def new_guest(kind: Literal["guest", "visitor"] = "guest") -> Session:
    """A session that nobody had before."""
    return Session(kind, secrets.token_hex(16))


def write(session: Session, key: bytes, now: int) -> str:
    """The cookie's value; `now` is in seconds."""
    said = f"{session.kind}.{session.id}.{now}"
    return f"{said}.{_signature(said, key)}"


def read(value: str, key: bytes, now: int) -> Session | None:
    """The session of a cookie's value; None where it is not ours, or over."""
    found = _FORM.fullmatch(value)
    kind = next((kind for kind in KINDS if found and found[1] == kind), None)
    if found is None or kind is None:
        return None
    said = value.rpartition(".")[0]
    if not hmac.compare_digest(found[4], _signature(said, key)):
        return None
    session = Session(kind, found[2])
    return session if -60 <= now - int(found[3]) < session.lasts else None


def _signature(said: str, key: bytes) -> str:
    return hmac.new(key, said.encode(), sha256).hexdigest()
