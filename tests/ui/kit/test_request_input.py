"""What a request asked, on one line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from herding.ui.kit.responses.request_input import MAX_LINE, input_line
from herding.values import Outcome

SYSTEM = {"role": "system", "content": "Be brief."}


def asked(*messages: Any, **variables: Any) -> str:
    row = Outcome("r1", "ada", "say", 0, status="succeeded", input=json.dumps(messages), variables=variables)
    return input_line(row)


@pytest.mark.parametrize(
    ("user", "variables", "line"),
    [
        ("Sum up: the snow", {"text": "the snow"}, "the snow"),
        ("Sum up: the snow", {"tone": "Be brief.", "text": "the snow"}, "the snow"),
        ("Sum up in 2: the snow", {"tone": "Be brief.", "text": "the snow", "count": 2}, "text: the snow · count: 2"),
        ("Go on", {"tone": "Be brief.", "text": "x"}, "tone: Be brief. · text: x"),
        ("Go on", {}, "Go on"),
        ("y" * MAX_LINE * 2, {"tone": "Be brief.", "text": "y" * MAX_LINE * 2}, "y" * MAX_LINE),
    ],
)
def test_variables_of_the_last_message_of_the_user_are_shown(user: str, variables: Any, line: str) -> None:
    assert asked(SYSTEM, {"role": "user", "content": user}, **variables) == line
