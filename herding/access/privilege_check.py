"""Whether one may do more than another: nobody hands out what they do not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from herding.values import Limit, Principal


def beyond(wanted: Principal, giver: Principal) -> str | None:
    """What `wanted` may do and `giver` may not, in words; None where there is nothing."""
    return next(_beyond(wanted, giver), None)


def _beyond(wanted: Principal, giver: Principal) -> Iterator[str]:
    if rights := wanted.rights - giver.rights:
        yield f"the rights {', '.join(sorted(rights))}"
    if tabs := [tab for tab in wanted.tabs if tab not in giver.tabs]:
        yield f"the tabs {', '.join(tabs)}"
    if nodes := [pattern for pattern in wanted.nodes if not covers(giver.nodes, pattern)]:
        yield f"the nodes {', '.join(nodes)}"
    if prompts := [pattern for pattern in wanted.prompts if not covers(giver.prompts, pattern)]:
        yield f"the prompts {', '.join(prompts)}"
    if limits := [limit for limit in giver.limits if not any(_as_tight(own, limit) for own in wanted.limits)]:
        first = limits[0]
        yield f"more than {first.limit:,} {first.type}s in {first.interval_hours:g} hours"


def covers(patterns: Sequence[str], pattern: str) -> bool:
    """Whether all that the glob `pattern` fits is sure to fit one of `patterns` as well.

    `*` stands for any text, so an outer pattern that has no other wildcard fits whatever an inner one of that kind
    can stand for, if it fits its letters. With `?` and `[...]` that is not sure, and only the same pattern counts.
    """
    plain = not _has_class(pattern)
    return any(
        outer in ("*", pattern) or (plain and not _has_class(outer) and fnmatchcase(pattern, outer))
        for outer in patterns
    )


def _has_class(pattern: str) -> bool:
    return any(sign in pattern for sign in "?[")


def _as_tight(limit: Limit, other: Limit) -> bool:
    """Whether whoever keeps `limit` keeps `other` as well."""
    return limit.type == other.type and limit.interval_hours >= other.interval_hours and limit.limit <= other.limit
