"""Parameters as files and the API spell them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from herding.errors import UserError
from herding.prompts.parameters import PromptParameters, check_parameters
from herding.values import Parameters


def test_all_but_the_first_six_are_carried_by_name() -> None:
    given = {"temperature": 0.5, "stop": ["x"], "min_p": 0.1, "tools": [{"type": "function"}]}
    made = PromptParameters.model_validate({**given, "extra_body": {"typical_p": 0.9}}).value
    assert made == Parameters(
        temperature=0.5, stop=("x",), more={"min_p": 0.1, "tools": given["tools"], "typical_p": 0.9}
    )


@pytest.mark.parametrize(
    "given",
    [
        {"max_tokens": -1},
        {"max_completion_tokens": -1},
        {"top_k": -1},
        {"seed": -1},
        {"top_p": 0},
        {"top_p": 0.0},
        {"stop": ""},
        {"stop": []},
        {"stop": [""]},
        {"stop": None},
        {"tools": []},
        {"logit_bias": {}},
        {"n": None, "min_p": None},
    ],
)
def test_values_for_the_default_count_as_not_given(given: dict[str, Any]) -> None:
    assert PromptParameters.model_validate(given).value == Parameters()


def test_one_stop_string_needs_no_list() -> None:
    assert PromptParameters.model_validate({"stop": "x"}).value.stop == ("x",)


@pytest.mark.parametrize(
    "given",
    [
        {"heat": 1},
        {"max_tokens": 0},
        {"n": 1000},
        {"tools": "f"},
        {"extra_body": {"messages": []}},
        {"extra_body": {"min_p": 0.1}},
        {"presence_penalty": "high"},
        {"seed": -2},
    ],
)
def test_wrong_ones_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PromptParameters.model_validate(given)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"min_p": 2}, "min_p"),
        ({"messages": []}, "messages"),
        ({"own": float("nan")}, "own"),
        ({"own": "\ud800"}, "own"),
        ({"own": {1, 2}}, "own"),
    ],
)
def test_a_request_with_a_wrong_one_names_it(more: dict[str, Any], param: str) -> None:
    with pytest.raises(UserError) as refused:
        check_parameters(Parameters(more=more))
    assert refused.value.param == param


def test_the_newer_limit_replaces_the_older_one_and_the_other_way_round() -> None:
    prompt = Parameters(max_tokens=50, more={"min_p": 0.1})
    asked = Parameters(more={"max_completion_tokens": 9}).over(prompt)
    assert (asked.max_tokens, asked.output_limit, asked.more["min_p"]) == (None, 9, 0.1)
    newer = Parameters(more={"max_completion_tokens": 50})
    asked = Parameters(max_tokens=9).over(newer)
    assert (asked.given(), asked.output_limit) == ({"max_tokens": 9}, 9)
