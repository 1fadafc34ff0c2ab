"""Checks: the answer is trimmed while it streams, and judged at the end."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from herding.prompts.checks import BuiltInChecks, Trimmer, judge
from herding.prompts.model import Checks
from herding.values import CheckResult
from tests.support.fakenode import FakeNode

MARKERS = st.sampled_from(["|end|", "aab", "aaab", "abab", "x", " END", "\n\n", "###"])
PIECES = st.lists(
    st.sampled_from(["a", "b", "ab", "aa", "|", "|e", "end", "|end|", " ", "\n", "#", "##", "x", "word", " END", "é"]),
    max_size=30,
)


def stream(marker: str | None, pieces: list[str]) -> tuple[list[str], Trimmer]:
    """What is shown for `pieces`, one by one, with what comes at the end."""
    trimmer = Trimmer(Checks(stop_marker=marker))
    shown = [trimmer.feed(piece) for piece in pieces]
    return [*shown, trimmer.end()], trimmer


def whole(marker: str, text: str) -> str:
    """A text without the marker: what looks like its beginning, at the end, is not part of the answer."""
    begun = next((size for size in range(len(marker) - 1, 0, -1) if text.endswith(marker[:size])), 0)
    return text[:-begun].rstrip() if begun else text


@given(MARKERS, PIECES)
def test_a_text_in_pieces_is_the_text_at_once(marker: str, pieces: list[str]) -> None:
    """However it is cut, what is shown and the verdict are the same."""
    checks = Checks(stop_marker=marker, max_words=3, max_chars=12)
    (many, pieced), (one, at_once) = stream(marker, pieces), stream(marker, ["".join(pieces)])
    assert "".join(many) == "".join(one)
    verdicts = [judge(checks, "".join(many), marker_seen=trimmer.done) for trimmer in (pieced, at_once)]
    assert verdicts[0] == verdicts[1]


@pytest.mark.parametrize("cut", range(1, len("|end|")))
def test_an_answer_that_breaks_off_within_the_marker_shows_none_of_it(cut: int) -> None:
    shown, trimmer = stream("|end|", [*"Well done! ", *"|end|"[:cut]])
    assert "".join(shown) == "Well done!"
    assert not trimmer.done


@given(MARKERS, PIECES)
def test_the_answer_is_the_text_before_the_marker_however_it_is_cut(marker: str, pieces: list[str]) -> None:
    shown, trimmer = stream(marker, pieces)
    text = "".join(pieces)
    before, found, _ = text.partition(marker)
    assert "".join(shown) == (before.rstrip() if found else whole(marker, text))
    assert trimmer.done is bool(found)


@given(MARKERS, PIECES)
def test_what_is_shown_early_never_has_to_be_taken_back(marker: str, pieces: list[str]) -> None:
    """Whatever part of the marker a text ends with, the rest of it could come next."""
    trimmer, shown, text = Trimmer(Checks(stop_marker=marker)), "", ""
    for piece in pieces:
        shown, text = shown + trimmer.feed(piece), text + piece
        for size in range(len(marker)):
            if text.endswith(marker[:size]):
                answer = (text + marker[size:]).partition(marker)[0].rstrip()
                assert answer.startswith(shown)


@given(st.lists(MARKERS, min_size=1, max_size=3), PIECES)
def test_the_stop_string_that_is_complete_first_ends_the_text_and_none_is_shown(
    stops: list[str], pieces: list[str]
) -> None:
    trimmer = Trimmer(Checks(), stops)
    shown = "".join([*map(trimmer.feed, pieces), trimmer.end()])
    text = "".join(pieces)
    ends = [(text.index(stop) + len(stop), text.index(stop)) for stop in stops if stop in text]
    assert shown == (text[: min(ends)[1]] if ends else text)
    assert (trimmer.done, trimmer.marked) == (bool(ends), False)


@pytest.mark.parametrize("pieces", [["aabcd"], ["aa", "bcd"], list("aabcd")])
def test_however_the_text_is_cut_a_stop_string_inside_another_ends_it(pieces: list[str]) -> None:
    """It is complete before the longer one is, which begins before it."""
    trimmer = Trimmer(Checks(), ["abcd", "b"])
    assert "".join([*map(trimmer.feed, pieces), trimmer.end()]) == "aa"
    assert trimmer.done


def test_a_stop_string_before_the_marker_is_not_the_marker() -> None:
    for text, shown, marked in (("a b|end| c", "a b", True), ("a b # c|end|", "a b ", False)):
        trimmer = Trimmer(Checks(stop_marker="|end|"), ["#"])
        assert "".join([*map(trimmer.feed, text), trimmer.end()]) == shown
        assert trimmer.marked is marked


@given(PIECES)
def test_without_a_marker_every_piece_passes_at_once(pieces: list[str]) -> None:
    shown, trimmer = stream(None, pieces)
    assert shown == [*pieces, ""]
    assert not trimmer.done


def test_nothing_after_the_marker_is_shown() -> None:
    shown, trimmer = stream("|end|", ["Well done! |e", "nd| And", " more |end|"])
    assert shown == ["Well done!", "", "", ""]
    assert trimmer.done


def test_a_long_run_of_white_space_takes_little_time() -> None:
    began = time.process_time()
    shown, _ = stream("|end|", [" "] * 10_000)
    assert "".join(shown) == " " * 10_000
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("checks", "answer", "reason"),
    [
        ({"max_words": 2}, "one two", None),
        ({"max_words": 2}, "one two three", "3 words (max 2"),
        ({"max_chars": 3}, "éàü", None),
        ({"max_chars": 3}, "four", "4 characters (max 3"),
        ({"regex": "^[0-9]+$"}, "42", None),
        ({"regex": "^[0-9]+$"}, "42 or so", "does not match"),
        ({"json_schema": {"type": "object"}}, '{"a": 1}', None),
        ({"json_schema": {"type": "object"}}, '```json\n{"a": 1}\n```\n', None),
        ({"json_schema": {"type": "object"}}, "[1]", "does not match the schema"),
        ({"json_schema": {"type": "object"}}, 'Here it is: {"a": 1}', "not valid JSON"),
        ({"json_schema": {}}, "", "not valid JSON"),
        ({"json_schema": {}}, "[" * 100_000, "not valid JSON"),
        ({"json_schema": {}}, "9" * 10_000, "not valid JSON"),
        ({"json_schema": {"required": ["a"]}}, '{"b": 1}', "'a' is a required property"),
        (
            {"json_schema": {"properties": {"a": {"items": {"type": "null"}}}}},
            '{"a": [null, 1]}',
            "a.1: 1 is not of type",
        ),
        ({"json_schema": {"$ref": "#/$defs/no"}}, "1", "has no target"),
        ({"json_schema": {"$ref": "#"}}, "1", "is circular"),
        ({"json_schema": {"multipleOf": 0.1}}, "9" * 400, "too large"),
        ({"json_schema": {"multipleOf": 0.5}}, "1e999", "too large"),
        ({"json_schema": {"multipleOf": 1e-300}}, "1e300", "not a multiple"),
        ({"json_schema": {"uniqueItems": True}}, '[1, true, "1", [1], {"a": 1}, {"a": true}, null]', None),
        (
            {"json_schema": {"uniqueItems": True}},
            '[{"a": [1], "b": 2}, {"b": 2.0, "a": [1.0]}]',
            "contains an item twice",
        ),
        ({"json_schema": {"uniqueItems": False}}, "[1, 1]", None),
        ({"stop_marker": "|end|"}, "no marker", "the stop marker |end| is missing"),
        ({"max_words": 5, "max_chars": 3}, "five", "4 characters"),
        ({"json_schema": {}}, '```json\r\n{"a": 1}\r\n```', None),
        ({"json_schema": {}}, '```json\n{"a": 1}\n```\nThat is it.', "not valid JSON"),
        ({"json_schema": {}}, '```json5 title="x"\n{"a": "```"}\n```', None),
        ({"json_schema": {}}, '~~~\n{"a": 1}\n~~~', None),
        ({"json_schema": {}}, '````json\n{"a": 1}\n````', None),
        ({"json_schema": {}}, '```\n{"a": 1}\n~~~', "not valid JSON"),
        ({"json_schema": {}}, "~" * 100_000, "not valid JSON"),
        ({"json_schema": {}}, '{"a": NaN}', "not valid JSON"),
        ({"json_schema": {"patternProperties": {"^n": {"type": "null"}}}}, '{"n1": 1}', "does not match"),
        ({"json_schema": {"patternProperties": {"^n": {}}, "additionalProperties": False}}, '{"n1": 1}', None),
        ({"json_schema": {"patternProperties": {"^n": {}}, "additionalProperties": False}}, '{"m": 1}', "not allowed"),
        ({"json_schema": {"additionalProperties": {"type": "null"}}}, '{"m": 1}', "does not match"),
        ({"choices": ["yes", "no"]}, " yes\n", None),
        ({"choices": ["yes", "no"]}, "Yes", "not one of the choices: yes, no"),
        ({"choices": ["yes", "no"], "ignore_case": True}, "YES", None),
    ],
)
def test_verdicts(checks: dict[str, Any], answer: str, reason: str | None) -> None:
    verdict = judge(Checks.model_validate(checks), answer, marker_seen=False)
    assert verdict.ok is (reason is None)
    assert (reason or "") in (verdict.reason or "")


def test_no_checks_no_verdict() -> None:
    assert judge(Checks(), "anything", marker_seen=False) == CheckResult(ok=None)


def test_a_marker_that_was_seen_passes() -> None:
    assert judge(Checks(stop_marker="|end|"), "done", marker_seen=True) == CheckResult(ok=True)


@pytest.mark.parametrize(
    "checks",
    [
        {"regex": r"^(a+)+$"},
        {"json_schema": {"type": "string", "pattern": r"^(a+)+$"}},
        {"json_schema": {"patternProperties": {r"^((a?){30}){30}$": {}}}},
        {"json_schema": {"patternProperties": {r"^((a?){30}){30}$": {}}, "additionalProperties": False}},
    ],
)
def test_a_catastrophic_pattern_ends_soon_and_fails(checks: dict[str, Any]) -> None:
    answer = "a" * 5_000 + "!"
    if "json_schema" in checks:
        answer = f'{{"{answer}": 1}}' if "patternProperties" in checks["json_schema"] else f'"{answer}"'
    began = time.monotonic()
    verdict = judge(Checks.model_validate(checks), answer, marker_seen=False)
    assert time.monotonic() - began < 60
    assert verdict.ok is False


def test_many_items_are_told_apart_as_soon_as_few() -> None:
    answer = json.dumps([{"id": number, "tags": [str(number)]} for number in range(20_000)])
    began = time.monotonic()
    assert judge(Checks(json_schema={"uniqueItems": True}), answer, marker_seen=False).ok
    assert time.monotonic() - began < 30  # comparing each pair takes minutes


def test_every_check_judges_and_says_what_to_enter() -> None:
    judging = BuiltInChecks().herding_checks().keys()
    silent = Checks.model_fields.keys() - judging - {"stop_marker", "ignore_case", "plugins"}
    assert not silent, f"add the function of {sorted(silent)} to _BY_NAME in prompts/checks.py"
    for name, field in Checks.model_fields.items():
        assert field.description, f"say what to enter in the description of Checks.{name}"


def test_a_remote_reference_is_never_fetched(faulty: FakeNode) -> None:
    checks = Checks(json_schema={"$ref": f"{faulty.url}/models"})
    assert judge(checks, "{}", marker_seen=False).ok is False
    assert faulty.seen == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"regex": "(?:a{60000}){60000}"},
        {"regex": "(?R)|a"},
        {"regex": "(" * 500 + ")" * 500},
        {"json_schema": {"properties": {"default": {"pattern": "(?:a{60000}){60000}"}}}},
        {"json_schema": {"patternProperties": {"a": {}}, "unevaluatedProperties": False}},
        {"choices": []},
        {"choices": [""]},
        {"ignore_case": True},
        {"regex": "("},
        {"json_schema": {"type": "thing"}},
        {"stop_marker": ""},
        {"max_words": 0},
        {"max_tokens": 3},
    ],
)
def test_a_check_that_no_answer_can_pass_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Checks.model_validate(wrong)
