"""Who asks, with which token, and how much they may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MAX_INTERVAL_HOURS = 31 * 24
"""The longest interval of a limit: what was used is remembered no longer."""

MAX_LIMIT = 10**12
"""The most requests, or tokens, that a limit can name."""

MAX_LIMITS = 10
"""Of one user."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `limit` requests, or tokens in and out together, in any `interval_hours` hours."""

    type: Literal["request", "token"]
    interval_hours: float
    limit: int


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of a limit is used now. `frees_at`: when some of it comes back, None where nothing is used."""

    limit: Limit
    used: int
    frees_at: int | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking. `rights` are the operations that the role allows, `limits` how much of them.

    `nodes` and `prompts` are glob patterns of what may be used; without any, nothing may. `token` is the public part
    of the token that they came with, `expires_at` its end. `account` is whose limits they use up: for somebody unknown
    it is where they come from, since a new name costs nothing.
    """

    id: str
    role: str
    rights: frozenset[str] = frozenset()
    nodes: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    tabs: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    opt_out: bool = False
    token: str | None = None
    expires_at: int | None = None
    account: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a role; `limits` come on top of the role's. With `opt_out` no content of theirs is kept."""

    id: str
    name: str
    role: str
    limits: tuple[Limit, ...] = ()
    opt_out: bool = False
    disabled: bool = False
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class Token:
    """An access token without its secret. `id` is its public part; None times mean never.

    `role` makes it weaker than its user; None is the user's own role.
    """

    id: str
    user: str
    name: str
    created_at: int
    created_by: str
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None
    role: str | None = None
