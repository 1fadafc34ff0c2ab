"""A response as people read it: its forms, its metrics, and why this model gave it."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from herding.ui.kit.responses.json_tree import json_tree, parse_json
from herding.ui.kit.responses.response import (
    MAX_SHOWN,
    metrics_line,
    render_text,
    response_text,
    response_view,
    routing_note,
)
from herding.values import Considered, Outcome, Timings, Usage

EVIL = "<img src=x onerror=alert(1)>{{x}}"


def outcome(answer: str = "", **fields: Any) -> Outcome:
    given: dict[str, Any] = {"model": "m", "node": "n", "status": "succeeded", **fields}
    return Outcome("r1", "ada", "p", 0, answer=answer, **given)


def panes(html: str) -> list[str]:
    return re.findall(r'data-pane="(\w+)"', html)


def text_of(html: str) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", html).split()))


def test_markdown_is_rendered_first_and_json_is_a_tree() -> None:
    plain = response_text("**Hello**")
    assert panes(plain) == ["rendered", "raw"]
    assert 'data-kind="text"' in plain
    assert "<strong>Hello</strong>" in plain
    assert "**Hello**" in plain
    tree = response_text('{"a": [1, 2]}')
    assert panes(tree) == ["rendered", "raw", "json"]
    assert 'data-kind="json"' in tree
    assert re.search(r'value="json"[^>]*checked', tree)


@pytest.mark.parametrize("text", ['{"a": 1.10}', ' [1, {"b": null}]', '```json\n{"a": 1}\n```', "```\n[true]\n```"])
def test_json_is_found(text: str) -> None:
    assert parse_json(text) is not None


@pytest.mark.parametrize(
    "text", ["", "12", '"x"', "{", "[NaN]", '{"a": 1} and more', "[" * 100_000, "{" + "9" * 10_000]
)
def test_all_else_is_no_json(text: str) -> None:
    assert parse_json(text) is None


def test_a_tree_shows_every_value_as_it_was_written() -> None:
    huge = "1" + "0" * 6_000
    shown = json_tree(
        parse_json(f'{{"n": 1.10, "big": {huge}, "a": "x", "a": "y", "e": [], "t": true, "o": {{"k": null}}}}')
    )
    assert shown is not None
    for part in ("1.10", huge, "x", "y", "[ ]", "true", "null", "7 keys"):
        assert part in shown
    assert json_tree(parse_json(str(list(range(6_000))))) is None


def test_nothing_of_a_response_is_markup() -> None:
    for text in (EVIL, f'{{"{EVIL}": "{EVIL}"}}', f"```{EVIL}\n{EVIL}\n```"):
        shown = response_view(
            outcome(text, reason=EVIL, candidates=(Considered(EVIL, EVIL, 0.5), Considered("m", "n", 0.5)))
        )
        assert "<img" not in shown
        assert "{{" not in shown


def test_a_huge_response_is_cut_and_says_so() -> None:
    shown = response_text("x" * 10_000_000)
    assert len(shown) < MAX_SHOWN + 2_000
    assert "9,600,000 more characters" in shown
    assert panes(shown) == ["raw"]


def test_one_line_has_tokens_times_speed_and_cost() -> None:
    done = outcome("x", usage=Usage(12, 34, source="node"), timings=Timings(0, 300, 1200), cost=1_200_000)
    assert text_of(metrics_line(done)) == "m 12 → 34 tokens 1.2 s first token 300 ms 37 tokens/s $0.0012"
    assert text_of(metrics_line(outcome("x"))).startswith("m ≈ 0 → 0 tokens")


def test_the_reason_of_the_routing_is_a_sentence_with_the_shares_behind_it() -> None:
    alone = outcome("x", reason="n is the only available model")
    assert text_of(routing_note(alone)) == "Routed to n (n is the only available model)."
    two = replace(alone, candidates=(Considered("m", "n", 0.75), Considered("o", "p", 0.25)))
    shown = routing_note(two)
    assert "<details" in shown
    assert "75 %" in shown
    assert "share-bar" in shown
    assert routing_note(outcome("x", node=None)) == ""


def test_an_error_is_shown_once_and_beside_the_text() -> None:
    shown = response_view(outcome("half", status="partial", error="Too slow", error_type="timeout"))
    assert shown.count("Too slow") == 1
    assert shown.index("half") < shown.index("Too slow")


def test_a_form_can_be_asked_for() -> None:
    done = outcome('{"a": 1}')
    assert "json-tree" in render_text(done, "json")
    assert "json-tree" not in render_text("plain", "json")
    assert render_text(done, "raw").startswith("<pre")
    assert "<em>x</em>" in render_text("*x*")
