"""Variants: kinds are checked, gaps and variants that are never used are found, when a prompt loads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from herding.prompts.condition import Condition
from herding.prompts.coverage import cover
from herding.prompts.model import Prompt

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
def test_variants_that_may_cover_all_load(conditions: tuple[str, ...]) -> None:
    assert prompt(*conditions).variants


@pytest.mark.parametrize(
    ("conditions", "example"),
    [
        (("error > 2000", "450 < error <= 2000", "error < 450"), "error = 450"),
        (("error < 5", "error > 5"), "error = 5"),
        (("error < 5", "error >= 6"), "error = 5.5"),
        (("count < 5", "count > 5"), "count = 5"),
        (("error > 5",), "error = 1"),
        (("language == 'de'", "language == 'en'"), 'language = "fr"'),
        (("flag",), "flag = false"),
        (("flag and language == 'de'", "not flag"), 'flag = true, language = "en"'),
        (("len(attempts) > 3",), "1 numbers in attempts"),
        (("text == 'a'",), 'text = "b"'),
    ],
)
def test_a_gap_is_an_error_with_an_example(conditions: tuple[str, ...], example: str) -> None:
    with pytest.raises(ValidationError, match=f"no variant fits {example}"):
        prompt(*conditions)
    assert prompt(*conditions, prompt="for all others")


@pytest.mark.parametrize(
    ("conditions", "idle"),
    [
        (("error > 5", "error > 10", "error <= 5"), "v1"),
        (("true", "error > 10"), "v1"),
        (("error < 0", "error >= 0"), "v0"),
        (("4 < count < 5", "true"), "v0"),
        (("len(text) > 5", "true"), "v0"),
    ],
)
def test_a_variant_that_is_never_used_is_an_error(conditions: tuple[str, ...], idle: str) -> None:
    with pytest.raises(ValidationError, match=f"'{idle}' is never used"):
        prompt(*conditions)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("text > 5", "a text and a number"),
        ("error == 'x'", "a number and a text"),
        ("text < 'b'", "a text and a text"),
        ("flag == 1", "true or false and a number"),
        ("len(error) > 1", "has no length"),
        ("error", "is a number"),
        ("not text", "beside 'not' stands a text"),
        ("flag and attempts", "beside 'and' stands a list"),
        ("5 in error", "a number and a number"),
        ("text in ['a', 1]", "numbers or texts"),
        ("ghost > 1", "'ghost', which is not declared"),
        ("maybe > 1", "'maybe', which may be left out"),
        ("language == 'es'", "none of the choices"),
    ],
)
def test_conditions_of_the_wrong_kind_are_refused(condition: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        prompt(condition, prompt="for all others")


NUMBERS = st.integers(-3, 3).map(lambda n: n / 2)
CONDITIONS = st.one_of(
    st.builds(lambda sign, n: f"count {sign} {n}", st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS),
    st.builds(lambda a, b: f"{a} <= count < {b}", NUMBERS, NUMBERS),
)


@given(st.lists(CONDITIONS, min_size=1, max_size=4), st.sampled_from(["number", "integer"]))
def test_a_proof_says_what_trying_says(texts: list[str], kind: str) -> None:
    variables = prompt("true", variables={"count": {"type": kind, "min": -2, "max": 2}}).variables
    found = cover([Condition(text) for text in texts], variables)
    step = 4 if kind == "integer" else 1
    tried = [{"count": n / 4} for n in range(-8, 9, step)]
    first = [next((n for n, t in enumerate(texts) if Condition(t).holds(values)), None) for values in tried]
    assert found is not None
    assert (found.gap is not None) == (None in first)
    assert set(found.idle) == set(range(len(texts))) - set(first)
