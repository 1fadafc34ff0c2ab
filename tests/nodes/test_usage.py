"""Token counts of responses: the documented form, which is read at once, and every other one."""

from __future__ import annotations

from typing import Any

import pytest

from herding.nodes.responses import usage
from herding.nodes.responses.usage import read_usage
from herding.values import Usage

COUNTS = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


@pytest.mark.parametrize(
    "event",
    [
        {"choices": [], "usage": COUNTS},
        {"id": "x", "model": "m", "usage": {**COUNTS, "prompt_tokens_details": {"cached_tokens": 3}}},
        {"usage": {**COUNTS, "prompt_tokens_details": None, "completion_tokens_details": {}}},
        {"usage": {**COUNTS, "cost": 0.1}},
        {"usage": {**COUNTS, "total_tokens": 0}},
        {"usage": COUNTS, "timings": {"predicted_n": 9}},
        {"usage": COUNTS, "choices": [{"usage": {**COUNTS, "completion_tokens": 30}}]},
        {"usage": {**COUNTS, "completion_tokens": "7"}},
        {"usage": {**COUNTS, "completion_tokens": True}},
        {"usage": {"prompt_tokens": 5, "completion_tokens": 7}},
        {"usage": {**COUNTS, "prompt_tokens": -1}},
    ],
)
def test_the_quick_way_says_what_the_thorough_way_says(event: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    quick = read_usage(event)
    monkeypatch.setattr(usage, "plain_usage", lambda _: None)
    assert quick == read_usage(event)


def test_the_documented_form_is_read_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_places", None)
    details = {"prompt_tokens_details": {"cached_tokens": 3}}
    assert read_usage({"choices": [], "usage": {**COUNTS, **details}}) == Usage(5, 7, "node", details)
