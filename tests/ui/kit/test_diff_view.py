"""The differences between two versions as HTML."""

from __future__ import annotations

from herding.prompts.diff import compare
from herding.ui.kit.diff_view import MAX_LINES, render_diff

OLD = {"name": "A", "prompt": "one\ntwo\nthree", "parameters": {"temperature": 0.1}}


def test_nothing_different_is_said() -> None:
    assert "No difference" in render_diff(compare(OLD, OLD))


def test_lines_stand_on_their_sides_with_the_words_that_changed() -> None:
    shown = render_diff(compare(OLD, OLD | {"prompt": "one\n2 two\nthree"}))
    assert "1 field changed: 1 line added, 1 line removed." in shown
    assert '<div class="side old"><span class="no">2</span>' in shown
    assert "<ins>2 </ins>two" in shown
    assert "<del>" not in shown
    assert "Template" in shown
    assert "Parameters" not in shown


def test_a_field_that_comes_or_goes_is_marked() -> None:
    shown = render_diff(compare(OLD, {"name": "A", "prompt": OLD["prompt"], "checks": {"max_words": 3}}))
    assert ">removed</span>" in shown
    assert ">new</span>" in shown
    assert shown.index("Parameters") < shown.index("Checks")
    assert 'class="side new none"' in shown


def test_long_runs_of_the_same_lines_are_folded() -> None:
    text = [f"line {number}" for number in range(40)]
    shown = render_diff(compare({"prompt": "\n".join(text)}, {"prompt": "\n".join([*text[:20], "new", *text[20:]])}))
    assert shown.count('class="fold"') == 2
    assert "17 unchanged lines" in shown
    assert all(f">line {number}<" in shown for number in range(40))


def test_a_field_of_very_many_lines_is_cut_and_says_so() -> None:
    text = "\n".join(f"{number}" for number in range(MAX_LINES + 5))
    shown = render_diff(compare({"prompt": "x"}, {"prompt": text}))
    assert "5 lines more" in shown
    assert shown.count('class="diff-line ') == MAX_LINES


def test_text_stays_text() -> None:
    shown = render_diff(compare({"prompt": "<b>${a}</b>"}, {"prompt": "<i>{{x}}</i>\u202e"}))
    assert "<b>" not in shown
    assert "<i>" not in shown
    assert "${" not in shown
    assert "{{" not in shown
