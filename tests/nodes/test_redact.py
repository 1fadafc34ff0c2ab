"""A node's key does not come back in its answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from herding.nodes.redact import MASK, Redactor, scrubbed

PIECES = st.lists(st.text(alphabet="abk-", max_size=6), max_size=12)


@given(PIECES, st.text(alphabet="abk-", min_size=1, max_size=5))
def test_however_it_is_split_the_result_is_that_of_the_whole_text(pieces: list[str], secret: str) -> None:
    scrubber = Redactor(secret)
    streamed = "".join(scrubber.feed(piece) for piece in pieces) + scrubber.end()
    assert streamed == scrubbed("".join(pieces), secret)


def test_no_more_is_held_back_than_could_be_the_key() -> None:
    scrubber = Redactor("key-123")
    assert scrubber.feed("hello ke") == "hello "
    assert scrubber.feed("ttle") == "kettle"
    assert scrubber.feed("key-123!") == f"{MASK}!"
    assert scrubber.end() == ""


def test_without_a_key_nothing_is_changed() -> None:
    assert Redactor(None).feed("any text") == scrubbed("any text", None) == "any text"
