"""What is different between two versions: nothing is lost, and only what changed is marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from herding.prompts.diff import Line, Mark, compare, lines

GOOD: dict[str, Any] = {
    "name": "Good",
    "target_models": ["m"],
    "variables": {"a": {"type": "text", "default": "x"}},
    "messages": [{"role": "system", "content": "Be short.\nBe kind."}, {"role": "user", "content": "{{a}}"}],
    "parameters": {"temperature": 0.1},
}
TEXTS = st.text(st.sampled_from("ab \n.\u2028\r"), max_size=40) | st.text(max_size=20)


def before(found: Sequence[Line]) -> str:
    """The old text that a diff tells of."""
    return "\n".join("".join(mark.text for mark in line.old) for line in found if line.old is not None)


def after(found: Sequence[Line]) -> str:
    """The new text that a diff tells of."""
    return "\n".join("".join(mark.text for mark in line.new) for line in found if line.new is not None)


@given(old=TEXTS, new=TEXTS)
def test_a_diff_gives_back_both_texts(old: str, new: str) -> None:
    found = lines(old, new)
    assert (before(found), after(found)) == (old, new)
    assert all((line.kind == "same") == (line.old == line.new) for line in found)
    for side in ("old_number", "new_number"):
        numbers = [number for line in found if (number := getattr(line, side)) is not None]
        assert numbers == list(range(1, len(numbers) + 1))


@given(old=TEXTS, new=TEXTS)
def test_marks_cover_all_that_differs(old: str, new: str) -> None:
    for line in lines(old, new):
        if line.kind == "changed":
            kept = ["".join(mark.text for mark in side or () if not mark.changed) for side in (line.old, line.new)]
            assert kept[0] == kept[1]


def test_words_are_marked_inside_a_line() -> None:
    (line,) = lines("Be very kind.", "Be kind!")
    assert line.kind == "changed"
    assert line.old == (Mark("Be "), Mark("very ", True), Mark("kind"), Mark(".", True))
    assert line.new == (Mark("Be "), Mark("kind"), Mark("!", True))


def test_words_of_scripts_without_spaces_and_with_marks() -> None:
    (line,) = lines("答えは短く、丁寧に。", "答えは長く、丁寧に。")
    assert line.old == (Mark("答えは"), Mark("短", True), Mark("く、丁寧に。"))
    (line,) = lines("नमस्ते दुनिया", "नमस्ते दोस्त")
    assert line.new == (Mark("नमस्ते "), Mark("दोस्त", True))


def test_lines_that_came_and_went() -> None:
    assert [line.kind for line in lines("a\nb\nc", "a\nc\nd")] == ["same", "removed", "same", "added"]


def test_fields_stand_in_their_sections() -> None:
    new = GOOD | {
        "name": "Better",
        "variables": {"a": {"type": "text", "default": "y"}, "b": {"type": "number"}},
        "messages": [{"role": "system", "content": "Be short.\nBe nice."}],
        "parameters": {"temperature": 0.2},
        "checks": {"max_words": 5},
    }
    found = {field.name: field for field in compare(GOOD, new).fields}
    assert {name: field.section for name, field in found.items()} == {
        "name": "other",
        "variables.a": "variables",
        "variables.b": "variables",
        "messages.1.content": "template",
        "messages.2.role": "template",
        "messages.2.content": "template",
        "parameters.temperature": "parameters",
        "checks.max_words": "checks",
    }
    assert [line.kind for line in found["messages.1.content"].lines] == ["same", "changed"]
    assert (found["messages.2.content"].new, found["variables.b"].old) == (None, None)
    assert {line.kind for line in found["variables.b"].lines} == {"added"}
    assert compare(GOOD, GOOD).fields == ()


def test_variants_are_known_by_their_names() -> None:
    one = {"variants": [{"name": "a", "when": "1 < 2", "prompt": "x"}, {"name": "b", "when": "2 < 1", "prompt": "y"}]}
    other = {"variants": [one["variants"][1] | {"prompt": "z"}, one["variants"][0]]}
    assert [field.name for field in compare(one, other).fields] == ["variants.order", "variants.b.prompt"]


def test_a_large_change_ends() -> None:
    found = lines("\n".join(f"a{n}" for n in range(5_000)), "\n".join(f"b{n}" for n in range(5_000)))
    assert len(found) == 5_000


def test_the_order_of_variants_is_a_difference() -> None:
    one, other = ({"name": name, "when": f"a > {number}", "prompt": name} for number, name in enumerate("xy"))
    (field,) = compare({**GOOD, "variants": [one, other]}, {**GOOD, "variants": [other, one]}).fields
    assert (field.section, field.name, field.old, field.new) == ("template", "variants.order", "x\ny", "y\nx")
