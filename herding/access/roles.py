"""Access checks, which every operation of the orchestrator makes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache

from herding.access.operations import ADMINISTER, HISTORY, HISTORY_ALL
from herding.errors import AccessError
from herding.values import HistoryFilter, Principal


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


def only_own(where: HistoryFilter, who: Principal, owner: str | None) -> HistoryFilter:
    """Return `where`, restricted to the requests of `owner`; of all users with None.

    Raises AccessError for a filter that names another user, instead of answering for `owner`.
    """
    if owner is None:
        return where
    if where.principal not in (None, owner):
        message = f"The role '{who.role}' sees only your own requests. Leave out 'user', or ask an admin for the right"
        raise AccessError(f"{message} '{HISTORY_ALL}'.")
    return replace(where, principal=owner)


def owner_filter(who: Principal) -> str | None:
    """Return the user whose history `who` may see: themselves, or None for all users."""
    require(who, HISTORY)
    return owner(who)
