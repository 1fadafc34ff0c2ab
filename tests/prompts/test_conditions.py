"""Conditions of variants: comparisons and nothing else, of types that fit."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest
from pydantic import ValidationError

from herding.prompts.conditions import Condition
from herding.prompts.model import Prompt

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
    with pytest.raises(ValueError, match="different types"):
        Condition(text).holds(VALUES)


def test_a_huge_number_compares() -> None:
    values: dict[str, Any] = {"error": 1.5}
    assert Condition("error < " + "9" * 400).holds(values) is True


VARIABLES: dict[str, Any] = {
    "error": {"type": "number", "default": 1, "min": 0},
    "count": {"type": "integer"},
    "maybe": {"type": "number", "required": False},
    "attempts": {"type": "number_list", "required": False},
    "language": {"type": "choice", "choices": ["de", "en", "fr"]},
    "flag": {"type": "boolean", "required": False},
    "text": {"type": "text", "max_chars": 5, "default": ""},
}


def prompt(*conditions: str, **more: Any) -> Prompt:
    variants = [{"name": f"v{n}", "when": when, "prompt": "x"} for n, when in enumerate(conditions)]
    data = {"name": "X", "target_models": ["m"], "variables": VARIABLES, "variants": variants, **more}
    return Prompt.model_validate(data)


@pytest.mark.parametrize(
    "conditions",
    [
        ("error > 2000", "450 <= error <= 2000", "error < 450"),
        ("error < 5", "error >= 5"),
        ("count <= 4", "count >= 5"),
        ("language == 'de'", "language in ['en', 'fr']"),
        ("flag", "not flag"),
        ("len(attempts) > 3", "len(attempts) <= 3"),
        ("text == 'a'", "text != 'a'"),
        ("len(text) > 2", "len(text) < 3"),
        ("flag and error > 5", "flag and error <= 5", "not flag"),
        ("'a' in text",),
        ("error < count",),
    ],
)
def test_variants_of_all_types_load(conditions: tuple[str, ...]) -> None:
    assert prompt(*conditions).variants


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("text > 5", "a text and a number"),
        ("error == 'x'", "a number and a text"),
        ("text < 'b'", "a text and a text"),
        ("flag == 1", "true or false and a number"),
        ("len(error) > 1", "has no length"),
        ("error", "is a number"),
        ("not text", "'not' is used with a text"),
        ("flag and attempts", "'and' is used with a list"),
        ("5 in error", "a number and a number"),
        ("text in ['a', 1]", "numbers or texts"),
        ("ghost > 1", "'ghost', which is not declared"),
        ("maybe > 1", "'maybe', which may be missing"),
        ("language == 'es'", "not one of the choices"),
    ],
)
def test_conditions_of_the_wrong_kind_are_refused(condition: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        prompt(condition, prompt="for all others")


def test_a_condition_may_have_line_breaks_but_no_comments() -> None:
    assert Condition("error > 1\n  and flag\n").holds(VALUES)
    with pytest.raises(ValueError, match="'# and false' is not understood"):
        Condition("error > 1 # and false")


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("error > 1; flag", "; flag"),
        ("flag and error + 1 > 2", "error + 1 > 2"),
        ("error in ['a', x]", "x]"),
        ("name == 'é' and print(name)", "print(name)"),
    ],
)
def test_the_part_that_is_not_understood_is_named(text: str, rest: str) -> None:
    with pytest.raises(ValueError, match=f"'{re.escape(rest)}' is not understood"):
        Condition(text)
