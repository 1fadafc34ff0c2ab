"""What a prompt file says about who answers it, and by which short address."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from herding.prompts.model import Prompt

PLAIN: dict[str, Any] = {"name": "P", "prompt": "{{x}}", "target_models": ["a/b", "c/d"], "variables": {"x": {}}}


def test_a_prompt_without_them_is_what_it_was_before_there_were_any() -> None:
    assert "routing" not in Prompt.model_validate(PLAIN).canonical
    assert "alias" not in Prompt.model_validate(PLAIN).canonical


def test_routing_has_the_policies_by_name() -> None:
    given = {"policy": "success_share", "pinned": "c/d", "explore": False, "fast_seconds": 0.5, "slow_seconds": 4}
    routing = Prompt.model_validate(PLAIN | {"routing": given}).routing
    assert routing is not None
    assert routing.model_dump() == given


@pytest.mark.parametrize(
    "part",
    [
        {"routing": {"policy": "the best"}},
        {"routing": {"pinned": "e/f"}},
        {"routing": {"fast_seconds": 3, "slow_seconds": 2}},
        {"routing": {"slow_seconds": 0}},
        {"routing": {"what": 1}},
        {"alias": {"path": "error"}},
        {"alias": {"path": "/Error"}},
        {"alias": {"path": "/api/v1/infer"}},
        {"alias": {"path": "/docs"}},
        {"alias": {"path": "/a/../b"}},
        {"alias": {"path": "/error", "variables": {"tentativas": "y"}}},
        {"alias": {}},
    ],
)
def test_what_cannot_be_is_refused(part: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Prompt.model_validate(PLAIN | part)


def test_an_alias_names_variables_in_other_words() -> None:
    alias = Prompt.model_validate(PLAIN | {"alias": {"path": "/error", "variables": {"tentativas": "x"}}}).alias
    assert alias is not None
    assert (alias.path, alias.variables) == ("/error", {"tentativas": "x"})
