"""A node's key does not come back in its answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from herding.nodes.redact import MASK, Secrets, StreamRedactor, redact

PIECES = st.lists(st.text(alphabet="abk-", max_size=6), max_size=12)


@given(PIECES, st.text(alphabet="abk-", min_size=1, max_size=5))
def test_however_it_is_split_the_result_is_that_of_the_whole_text(pieces: list[str], secret: str) -> None:
    redactor = StreamRedactor(Secrets([secret]))
    streamed = "".join(redactor.feed(piece) for piece in pieces) + redactor.flush()
    assert streamed == redact("".join(pieces), secret)


def test_no_more_is_held_back_than_could_be_the_key() -> None:
    redactor = StreamRedactor(Secrets(["key-123"]))
    assert redactor.feed("hello ke") == "hello "
    assert redactor.feed("ttle") == "kettle"
    assert redactor.feed("key-123!") == f"{MASK}!"
    assert redactor.flush() == ""


def test_without_a_key_nothing_is_changed() -> None:
    assert StreamRedactor(Secrets([])).feed("any text") == redact("any text", None) == "any text"
