"""A response is divided into messages: whole blocks of code, no empty message, nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herding.bots.pages import MAX_PAGE, divide, to_pages

WORDS = st.sampled_from(["word ", "\n", "\n\n", "x" * 30, "```\n", "```python\n", "~~~\n", "🦙", "end. ", "  - item\n"])


def width(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def visible(text: str) -> str:
    """The signs of a text without white space and without lines of fences, which are repeated."""
    lines = [line for line in text.split("\n") if not line.strip().startswith(("```", "~~~"))]
    return "".join("".join(lines).split())


def test_a_short_text_is_one_message() -> None:
    assert divide("Hello.") == ["Hello."]
    assert divide("") == divide(" \n ") == []


def test_a_long_text_is_divided_between_paragraphs() -> None:
    text = "\n\n".join(f"Paragraph {number}. " + "word " * 60 for number in range(20))
    pieces = divide(text)
    assert len(pieces) > 2
    assert all(len(piece) <= 1_900 and piece.startswith("Paragraph") for piece in pieces)
    assert visible("".join(pieces)) == visible(text)


def test_a_block_of_code_stays_whole_where_it_fits() -> None:
    code = "```python\n" + "print('llama')\n" * 80 + "```"
    pieces = divide("Here it is: " + "word " * 200 + f"\n\n{code}\n\nThat is all.")
    assert sum(piece.count("```") for piece in pieces) == 2
    (holder,) = [piece for piece in pieces if "```" in piece]
    assert code in holder


def test_a_longer_block_is_closed_and_opened_again_with_its_language() -> None:
    code = "```python\n" + "print('llama')\n" * 400 + "```"
    pieces = divide(code)
    assert len(pieces) == 4
    assert all(piece.startswith("```python\n") and piece.endswith("\n```") for piece in pieces)
    assert sum(piece.count("print") for piece in pieces) == 400


@pytest.mark.parametrize("text", ["x" * 5_000, "🦙" * 3_000, "```\n" + "y" * 5_000])
def test_a_text_without_a_break_is_divided_too(text: str) -> None:
    pieces = divide(text)
    assert all(width(piece) <= 2_000 for piece in pieces)
    assert visible("\n".join(pieces)) == visible(text)


@given(st.lists(WORDS, max_size=120).map("".join))
def test_every_text_is_divided_into_fitting_messages(text: str) -> None:
    pieces = divide(text, limit=200)
    assert all(piece.strip() and width(piece) <= 200 for piece in pieces)


@given(st.lists(st.sampled_from(["word ", "\n\n", "sentence. ", "🦙", "line\n"]), max_size=200).map("".join))
def test_nothing_is_lost_and_earlier_messages_stay_while_a_text_grows(text: str) -> None:
    pieces = divide(text, limit=200)
    assert visible("".join(pieces)) == visible(text)
    grown = divide(f"{text}more words.", limit=200)
    assert grown[: len(pieces) - 1] == pieces[:-1]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://a.example/x?q=1.", "see <https://a.example/x?q=1>."),
        ("[here](http://a.example/(x)) or <http://b.example>", "[here](<http://a.example/(x)>) or <http://b.example>"),
        ("![](HTTPS://evil.example/?q=secret)", "![](<HTTPS://evil.example/?q=secret>)"),
        ("<http://a.example and no end", "<<http://a.example> and no end"),
        ("`http://a.example` and ``http://b.example``", "`http://a.example` and ``http://b.example``"),
        ("```\ncurl http://a.example\n```", "```\ncurl http://a.example\n```"),
        ("```\nno end http://a.example", "```\nno end <http://a.example>"),
        ("http:// alone", "http:// alone"),
    ],
)
def test_links_are_not_previewed(text: str, shown: str) -> None:
    assert to_pages(text) == [shown]


@pytest.mark.parametrize(
    "text", ["http://a.example/?" + "q" * 5_000, "http://a " * 1_000, "x" * 1_880 + "http://a.example"]
)
def test_no_link_of_a_long_text_is_previewed(text: str) -> None:
    for page in to_pages(text):
        assert width(page) <= MAX_PAGE + 90
        assert page.count("http://") == page.count("<http://")
