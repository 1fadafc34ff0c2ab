"""Access checks, which every operation of the orchestrator makes first.

A role lists the prompts that it may use as globs of prompt IDs, alone or with a label or a version after `@`: `shop/*`
allows all versions of these prompts, drafts and saving included. `shop/*@prod` allows only the versions with the label
`prod`, and `greeting@3` only version 3. `greeting@*` allows all saved versions, but no drafts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache

from herding.access.operations import ADMINISTER, HISTORY, HISTORY_ALL
from herding.errors import AccessError
from herding.values import HistoryFilter, Principal

_VERSION = re.compile(r"[A-Za-z0-9_.*?!\[\]-]{1,80}")


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


def split_pattern(pattern: str) -> tuple[str, str | None]:
    """Return the glob of prompt IDs, and the one of labels and versions; None without one."""
    key, at, version = pattern.partition("@")
    return key, version if at else None


def check_prompt_pattern(pattern: str) -> str:
    """Return `pattern`. Raises ValueError if it can match nothing."""
    key, version = split_pattern(pattern)
    if not key or key != key.strip() or (version is not None and not _VERSION.fullmatch(version)):
        raise ValueError(f"'{pattern}' is not a prompt pattern; write shop/*, greeting@prod or greeting@3")
    return pattern


def allows_some(patterns: Sequence[str], key: str) -> bool:
    """Return whether the patterns allow any version of a prompt."""
    versions = _versions(tuple(patterns), key)
    return versions is None or bool(versions)


def allows_all(patterns: Sequence[str], key: str) -> bool:
    """Return whether the patterns allow all versions of a prompt, and drafts of it."""
    return _versions(tuple(patterns), key) is None


def allows_version(patterns: Sequence[str], key: str, names: Collection[str]) -> bool:
    """Return whether the patterns allow a version of a prompt; `names` are its number and its labels."""
    versions = _versions(tuple(patterns), key)
    return versions is None or any(fnmatchcase(name, version) for version in versions for name in names)


@lru_cache(maxsize=10_000)
def _versions(patterns: tuple[str, ...], key: str) -> tuple[str, ...] | None:
    """Return the globs of versions that the patterns allow for a prompt; None for all."""
    found = [version for glob, version in map(split_pattern, patterns) if fnmatchcase(key, glob)]
    return None if None in found else tuple(version for version in found if version is not None)
