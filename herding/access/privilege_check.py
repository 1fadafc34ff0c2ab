"""Comparison of privileges, so that no principal grants more than their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from herding.access.roles import split_pattern
from herding.values import Limit, Principal


def excess_privileges(wanted: Principal, giver: Principal) -> str | None:
    """Return the first privilege of `wanted` that `giver` does not have, in words; None without one."""
    return next(_excess(wanted, giver), None)


def _excess(wanted: Principal, giver: Principal) -> Iterator[str]:
    if rights := wanted.rights - giver.rights:
        yield f"the rights {', '.join(sorted(rights))}"
    if tabs := [tab for tab in wanted.tabs if tab not in giver.tabs]:
        yield f"the tabs {', '.join(tabs)}"
    if nodes := [pattern for pattern in wanted.nodes if not covers(giver.nodes, pattern)]:
        yield f"the nodes {', '.join(nodes)}"
    if prompts := [pattern for pattern in wanted.prompts if not _covers_prompts(giver.prompts, pattern)]:
        yield f"the prompts {', '.join(prompts)}"
    if names := [pattern for pattern in wanted.collections if not covers(giver.collections, pattern)]:
        yield f"the collections {', '.join(names)}"
    if limits := [limit for limit in giver.limits if not any(_is_as_strict(own, limit) for own in wanted.limits)]:
        yield f"more than {limits[0].in_words(limits[0].limit)} in {limits[0].interval_hours:g} hours"


def covers(patterns: Sequence[str], pattern: str) -> bool:
    """Return whether every name that the glob `pattern` matches is sure to match one of `patterns`.

    An outer pattern whose only wildcard is `*` matches all names of an inner one of that kind if it matches its
    letters. With `?` and `[...]` this is not sure, and only an equal pattern counts.
    """
    plain = not _has_class(pattern)
    return any(
        outer in ("*", pattern) or (plain and not _has_class(outer) and fnmatchcase(pattern, outer))
        for outer in patterns
    )


def _covers_prompts(patterns: Sequence[str], pattern: str) -> bool:
    """Return whether `patterns` of prompts are sure to allow every version that `pattern` allows."""
    key, version = split_pattern(pattern)
    fitting = [outer for glob, outer in map(split_pattern, patterns) if covers([glob], key)]
    return any(outer is None or (version is not None and covers([outer], version)) for outer in fitting)


def _has_class(pattern: str) -> bool:
    return any(sign in pattern for sign in "?[")


def _is_as_strict(limit: Limit, other: Limit) -> bool:
    """Return whether keeping `limit` implies keeping `other`."""
    return limit.type == other.type and limit.interval_hours >= other.interval_hours and limit.limit <= other.limit
