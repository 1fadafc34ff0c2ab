"""Principals, users, tokens and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from herding.values.money import format_dollars, to_dollars, to_nano

MAX_INTERVAL_HOURS = 31 * 24
"""The longest interval of a limit; use is not stored for longer."""

MAX_LIMIT = 10**12
"""The highest number of a limit."""

MAX_LIMITS = 10
"""The most limits of one user."""

MAX_DOLLARS = 1_000_000
"""The highest limit of the type `cost`."""


LimitType = Literal["request", "token", "cost"]


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `limit` requests, tokens in and out together, or nano-dollars (`cost`), in any `interval_hours` hours."""

    type: LimitType
    interval_hours: float
    limit: int

    @classmethod
    def of(cls, kind: LimitType, interval_hours: float, amount: float) -> Limit:
        """Return a limit as files and APIs write it, with money in dollars. Raises ValueError for other amounts."""
        if kind == "cost":
            if not 0 <= amount <= MAX_DOLLARS:
                raise ValueError(f"a limit of the type cost is an amount in dollars from 0 to {MAX_DOLLARS:,}")
            return cls(kind, interval_hours, to_nano(amount))
        if not 0 <= amount <= MAX_LIMIT or amount != int(amount):
            raise ValueError(f"a limit of {kind}s is a whole number from 0 to {MAX_LIMIT:,}")
        return cls(kind, interval_hours, int(amount))

    @property
    def interval_ms(self) -> int:
        """The interval in milliseconds."""
        return max(1, round(self.interval_hours * 3_600_000))

    @property
    def amount(self) -> float:
        """The limit as files and APIs write it: money in dollars."""
        return self.written(self.limit)

    def written(self, count: int) -> float:
        """Return an amount of this type as files and APIs write it: money in dollars, all else as it is."""
        return to_dollars(count) if self.type == "cost" else count

    def in_words(self, amount: int) -> str:
        """Return an amount in the unit of the limit: `500 requests`, `1 token` or `$0.25`."""
        if self.type == "cost":
            return format_dollars(amount)
        return f"{amount:,} {self.type}{'' if amount == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class LimitUse:
    """The current use of a limit. `frees_at`: when some of it becomes free, None where nothing is used."""

    limit: Limit
    used: int
    frees_at: int | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of an operation. `rights` are the operations that the role allows, `limits` the amounts.

    `nodes`, `prompts` and `collections` are glob patterns of what may be used. `tabs` are in the order of the page,
    `first_tab` is the one that opens first. `token` is the public part of the token
    in use, `expires_at` its end. `account` is the account whose limits are used: for anonymous callers it stands
    for their address, since they could take a new id for each request. `session` is the digest of the login session in
    use.
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
    session: str | None = field(default=None, compare=False)
    collections: tuple[str, ...] = ()
    first_tab: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """A user with a role; `limits` are in addition to the role's. With `opt_out` no content of theirs is stored."""

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

    `role` is a lesser role than the user's; None means the user's own. `origins` are those of the web pages that may
    use it; without any, those of the settings.
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
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoginSession:
    """A browser that logged in with `token`. `digest` is a hash of the id in its cookie. Times are in Unix ms."""

    digest: str
    principal: str
    token: str
    created_at: int
    seen_at: int
    expires_at: int
