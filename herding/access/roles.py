"""Access checks, which every operation of the orchestrator makes first."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from herding.access.operations import ADMINISTER, HISTORY, HISTORY_ALL
from herding.errors import AccessError
from herding.values import Principal


def require(who: Principal, right: str) -> None:
    """Raise AccessError unless `who` has the right."""
    if right not in who.rights:
        raise AccessError(f"The role '{who.role}' may not do this: it lacks the right '{right}'. Ask an admin.")


def allows(patterns: Sequence[str], name: str) -> bool:
    """Return whether one of the glob patterns matches `name`."""
    return _matches(tuple(patterns), name)


@lru_cache(maxsize=10_000)
def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def has_role(who: Principal, roles: Sequence[str] | None) -> bool:
    """Return whether a prompt that is restricted to `roles` (None: to none) may be seen by `who`."""
    return roles is None or who.role in roles or ADMINISTER in who.rights


def owner(who: Principal) -> str | None:
    """Return the user whose requests `who` may act on: themselves, or None for all users."""
    return None if HISTORY_ALL in who.rights else who.id


def owner_filter(who: Principal) -> str | None:
    """Return the user whose history `who` may see: themselves, or None for all users."""
    require(who, HISTORY)
    return owner(who)
