"""Nobody hands out what they do not have."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herding.access.privilege_check import covers, excess_privileges
from herding.values import Limit, Principal

GLOBS = st.text("ab*?[!]/-", max_size=6)
NAMES = st.text("ab[!]/-*?", max_size=6)
LIMITS = st.builds(
    Limit, st.sampled_from(["request", "token"]), st.sampled_from([0.5, 1.0, 24.0]), st.sampled_from([0, 1, 5, 100])
)
PRINCIPALS = st.builds(
    Principal,
    id=st.just("x"),
    role=st.just("x"),
    rights=st.frozensets(st.sampled_from(["run", "chat", "edit"])),
    nodes=st.lists(GLOBS, max_size=3).map(tuple),
    prompts=st.lists(GLOBS, max_size=3).map(tuple),
    tabs=st.lists(st.sampled_from(["engineer", "history", "access"]), max_size=3, unique=True).map(tuple),
    limits=st.lists(LIMITS, max_size=3).map(tuple),
)


def fits(patterns: tuple[str, ...] | list[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@pytest.mark.slow
@settings(max_examples=1500)
@given(outer=st.lists(GLOBS, max_size=3), inner=GLOBS, name=NAMES)
def test_what_is_covered_reaches_no_other_name(outer: list[str], inner: str, name: str) -> None:
    if covers(outer, inner) and fnmatchcase(name, inner):
        assert fits(outer, name)


@settings(max_examples=400)
@given(outer=st.lists(st.text("ab*", max_size=5), max_size=3), inner=st.text("ab*", max_size=5), data=st.data())
def test_what_is_covered_reaches_no_other_name_whatever_a_star_stands_for(
    outer: list[str], inner: str, data: st.DataObject
) -> None:
    parts = inner.split("*")
    middles = [data.draw(st.text("ab/", max_size=3)) for _ in parts[1:]] + [""]
    name = "".join(part + middle for part, middle in zip(parts, middles, strict=True))
    assert fnmatchcase(name, inner)
    if covers(outer, inner):
        assert fits(outer, name)


@pytest.mark.parametrize(
    ("outer", "inner", "covered"),
    [
        (["*"], "*", True),
        (["*"], "[ab]?", True),
        (["team/*"], "team/a", True),
        (["team/*"], "team/*", True),
        (["team/*"], "team/a*", True),
        (["team/*"], "*", False),
        (["team/*"], "team", False),
        (["team/a"], "team/*", False),
        (["a*c"], "a*", False),
        (["?"], "*", False),
        (["?"], "?", True),
        (["?"], "a", False),  # it would be safe, and is not sure without more thought
        (["[*]"], "*", False),
        (["a", "b"], "b", True),
        (["A"], "a", False),
        ([], "a", False),
        ([], "", False),
    ],
)
def test_covers(outer: list[str], inner: str, covered: bool) -> None:
    assert covers(outer, inner) is covered


@pytest.mark.slow
@settings(max_examples=600)
@given(wanted=PRINCIPALS, giver=PRINCIPALS, name=NAMES)
def test_where_nothing_is_beyond_nothing_more_is_granted(wanted: Principal, giver: Principal, name: str) -> None:
    if excess_privileges(wanted, giver) is not None:
        return
    assert wanted.rights <= giver.rights
    assert set(wanted.tabs) <= set(giver.tabs)
    assert not fits(wanted.nodes, name) or fits(giver.nodes, name)
    assert not fits(wanted.prompts, name) or fits(giver.prompts, name)
    for limit in giver.limits:
        tighter = [own for own in wanted.limits if own.type == limit.type and own.limit <= limit.limit]
        assert any(own.interval_hours >= limit.interval_hours for own in tighter)


@settings(max_examples=200)
@given(who=PRINCIPALS)
def test_everybody_has_what_they_have_themselves(who: Principal) -> None:
    assert excess_privileges(who, who) is None


BASE = Principal("x", "x", frozenset({"run"}), ("a*",), ("p/*",), ("engineer",), (Limit("request", 24, 10),))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rights": frozenset({"run", "edit"})}, "the rights edit"),
        ({"tabs": ("engineer", "access")}, "the tabs access"),
        ({"nodes": ("a1", "b")}, "the nodes b"),
        ({"prompts": ("*",)}, "the prompts *"),
        ({"limits": ()}, "more than 10 requests in 24 hours"),
        ({"limits": (Limit("request", 24, 11),)}, "more than 10 requests"),
        ({"limits": (Limit("request", 23, 10),)}, "more than 10 requests"),
        ({"limits": (Limit("token", 24, 1),)}, "more than 10 requests"),
        ({"limits": (Limit("request", 48, 9), Limit("token", 1, 1))}, None),
        ({"rights": frozenset(), "nodes": (), "prompts": (), "tabs": ()}, None),
    ],
)
def test_what_is_beyond_is_said(change: dict[str, object], words: str | None) -> None:
    given: dict[str, Any] = {name: getattr(BASE, name) for name in Principal.__slots__} | change
    more = excess_privileges(Principal(**given), BASE)
    assert (more is None) if words is None else words in str(more)
