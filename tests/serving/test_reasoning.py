"""Reasoning at the start of a text, in pieces of any size."""

from __future__ import annotations

import pytest

from herding.serving.response import ReasoningSplitter


def split(text: str, size: int) -> tuple[str, str, str]:
    """The part with the reasoning, the reasoning, and the answer."""
    splitter, found = ReasoningSplitter(), ["", "", ""]
    pieces = [splitter.feed(text[start : start + size]) for start in range(0, len(text), size)]
    for piece in (*pieces, splitter.end()):
        found = [before + more for before, more in zip(found, piece, strict=True)]
    raw, thought, answer = found
    return raw, thought, answer


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think>a</think>b", "a", "b"),
        ("\n <think>\na < b</thin</think>\n\n b </think>", "\na < b</thin", "b </think>"),
        ("[THINK]a[/THINK]b", "a", "b"),
        ("<think>a", "a", ""),
        ("<think></think>b", "", "b"),
        ("<think>a</think>", "a", ""),
        ("<think>a</thi", "a</thi", ""),
        ("b <think>a</think>", "", "b <think>a</think>"),
        ("<thinking>a</thinking>", "", "<thinking>a</thinking>"),
        ("<thin", "", "<thin"),
        ("  ", "", "  "),
        ("  b", "", "  b"),
        ("", "", ""),
    ],
)
def test_it_is_found_at_the_start_only(text: str, thought: str, answer: str, size: int) -> None:
    raw, found, rest = split(text, size)
    assert (found, rest) == (thought, answer)
    assert raw + rest == text
