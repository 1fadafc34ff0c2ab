"""Conditions of variants: comparisons and nothing else."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from herding.prompts.condition import Condition

VALUES = {"error": 450, "attempts": [900, 700], "name": "Jay", "flag": True, "nothing": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("error > 2000", False),
        ("450 <= error <= 2000", True),
        ("450 < error <= 2000", False),
        ("1 < 2 < 2", False),
        ("error == 450.0", True),
        ("error != 450", False),
        ("error > -1", True),
        ("len(attempts) >= 2", True),
        ("len(name) == 3", True),
        ("700 in attempts", True),
        ("700 not in attempts", False),
        ("'a' in name", True),
        ("name == 'Jay' and error < 1", False),
        ("name == 'Jay' or error < 1 and flag == false", True),
        ("(name == 'Jay' or error < 1) and flag == false", False),
        ("not flag == true", False),
        ("not flag or error == 450", True),
        ("flag", True),
        ("nothing", False),
        ("true", True),
        ("False", False),
        ("  error  ==  450  ", True),
    ],
)
def test_conditions_hold(text: str, expected: bool) -> None:
    assert Condition(text).holds(VALUES) is expected


def test_the_names_of_a_condition() -> None:
    assert Condition("a > 1 and len(b) > 2 or not c == 'd' and true").names == {"a", "b", "c"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "error >",
        "error > 1; flag",
        "error = 1",
        "error.__class__",
        "error.real > 1",
        "attempts[0] > 1",
        "open('/etc/passwd')",
        "len('abc') > 1",
        "len(attempts, 2) > 1",
        "len(attempts=1) > 1",
        "len(*attempts) > 1",
        "len(len(name)) > 1",
        "print(name)",
        "__import__('os').system('true')",
        "(lambda: 1)() > 0",
        "lambda: 1",
        "(x := 5) > 1",
        "f'{name}' == 'Jay'",
        "f'{open(1)}' == ''",
        "9**9**9 > 1",
        "error + 1 > 2",
        "error * 10 > 2",
        "'a' * 1000000000 == name",
        "~error > 1",
        "+error > 1",
        "[1, 2] == attempts",
        "(1, 2) == attempts",
        "{1} == attempts",
        "{} == attempts",
        "[x for x in attempts]",
        "error if flag else name",
        "await x",
        "*attempts",
        "-error > 1",
        "--1 > 1",
        "1_000 > error",
        "0x10 > error",
        "error > 1e999",
        "'a' 'b' == name",
        "'\\x41' == name",
        "'open == name",
        "error in []",
        "1 in attempts in attempts",
        "error >> 1",
        "error ＞ 1",
        "b'x' == name",
        "1j == error",
        "... == error",
        "name is true",
        "error > 1\nflag",
        "error > \x00",
        "(" * 240 + "error" + ")" * 240,
        "error > " + "9" * 500,
        "error == 1 " + "or error == 1 " * 50,
    ],
)
def test_whatever_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"condition"):
        Condition(text)


@pytest.mark.parametrize("text", ["-" * 480 + "1 > 0", "not " * 120 + "flag"])
def test_deep_conditions_end_one_way_or_the_other(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(Condition(text).holds(VALUES), bool)


@pytest.mark.parametrize("text", ["name > 5", "nothing > 2000", "5 in error", "len(error) > 1"])
def test_values_that_cannot_be_compared_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="different kinds"):
        Condition(text).holds(VALUES)


def test_a_huge_number_compares() -> None:
    values: dict[str, Any] = {"error": 1.5}
    assert Condition("error < " + "9" * 400).holds(values) is True
