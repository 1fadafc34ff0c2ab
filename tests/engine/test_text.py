"""Stop strings and characters in pieces of text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from herding.engine.text import Detokenizer, ResponseText, StopFilter

LETTERS = st.text(alphabet="abc\n", max_size=40)
STOPS = st.lists(st.text(alphabet="abc\n", min_size=1, max_size=4), max_size=4)


def cut(text: str, places: Sequence[int]) -> list[str]:
    edges = sorted({min(place, len(text)) for place in places} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(edges)]


def first_complete(text: str, stops: Sequence[str]) -> str:
    for end in range(len(text) + 1):
        fitting = [stop for stop in stops if text[:end].endswith(stop)]
        if fitting:
            return text[: end - max(map(len, fitting))]
    return text


@given(LETTERS, STOPS, st.lists(st.integers(0, 40)))
def test_what_comes_out_is_the_text_before_the_first_complete_stop_however_it_is_cut(text, stops, places):
    stop_filter = StopFilter(stops)
    out = "".join(stop_filter.feed(piece) for piece in cut(text, places)) + stop_filter.flush()
    assert out == first_complete(text, stops)
    assert not any(stop in out for stop in stops)
    assert stop_filter.stopped == any(stop in text for stop in stops)


@given(LETTERS, STOPS, st.lists(st.integers(0, 40)))
def test_nothing_that_may_become_a_stop_goes_out_early(text, stops, places):
    stop_filter, given_out = StopFilter(stops), ""
    for piece in cut(text, places):
        given_out += stop_filter.feed(piece)
        assert first_complete(text, stops).startswith(given_out)


def test_half_a_stop_comes_out_at_the_end_when_it_never_became_whole():
    stop_filter = StopFilter(["###"])
    assert stop_filter.feed("end ##") == "end "
    assert stop_filter.flush() == "##"


def decode_bytes(tokens: Sequence[int]) -> str:
    return bytes(tokens).decode(errors="replace")


@given(st.text(max_size=30), st.lists(st.integers(0, 120)))
def test_pieces_of_bytes_add_up_and_never_hold_half_a_character(text, places):
    data, piecer = text.encode(), Detokenizer(decode_bytes)
    edges = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    pieces = [piecer.feed(data[start:end]) for start, end in pairwise(edges)]
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in text
    assert "".join(pieces) + piecer.flush() == text


@given(st.binary(max_size=30))
def test_bytes_that_are_no_text_come_out_as_the_decoder_shows_them(data):
    piecer = Detokenizer(decode_bytes)
    pieces = [piecer.feed([byte]) for byte in data]
    assert "".join(pieces) + piecer.flush() == decode_bytes(data)


def test_bytes_that_never_become_text_do_not_hold_the_answer_up():
    piecer = Detokenizer(decode_bytes)
    assert len("".join(piecer.feed([0x80]) for _ in range(20))) == 17


END = 256


def answer(stops: Sequence[str] = ()) -> ResponseText:
    def decode(tokens: Sequence[int]) -> str:
        return decode_bytes([token for token in tokens if token != END])

    return ResponseText(decode=decode, eos_tokens=frozenset({END}), stop=stops, input_tokens=7)


def test_the_end_token_counts_but_does_not_show():
    it = answer()
    assert it.feed([*b"hi", END, *b"never read"]) == "hi"
    assert (it.finish_reason, it.usage.input_tokens, it.usage.output_tokens) == ("stop", 7, 3)


def test_tokens_after_the_one_that_completed_a_stop_do_not_count():
    it = answer(["STOP"])
    assert it.feed(b"one STOP two") == "one "
    assert (it.finish_reason, it.usage.output_tokens) == ("stop", 8)


def test_an_answer_that_runs_out_of_tokens_ends_for_its_length_with_all_its_text():
    it = answer(["STOP"])
    assert it.feed("é ST".encode()) + it.finish() == "é ST"
    assert it.finish_reason == "length"
