"""Vectors as they are written and read."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herding.errors import BadResponseError
from herding.nodes.responses.openai_response import encode_vector, read_vectors

FLOATS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20)


@given(FLOATS)
def test_what_is_packed_is_read_again(numbers: list[float]) -> None:
    kept = [number for number in numbers if abs(number) < 3e38] or [0.0]
    assert read_vectors({"data": [{"embedding": encode_vector(kept)}]}, 1) == (tuple(kept),)


def test_the_lowest_byte_comes_first() -> None:
    assert encode_vector([1.0]) == b64encode(b"\x00\x00\x80\x3f").decode()


@pytest.mark.parametrize(
    "embedding",
    ["", "AAAA", "AAAAAA==x", [], [True], [None], ["1"], [[1.0]], {"0": 1.0}, 5, [10**400], [1e39], [float("inf")]],
)
def test_what_is_no_vector_is_refused(embedding: object) -> None:
    with pytest.raises(BadResponseError):
        read_vectors({"data": [{"embedding": embedding}]}, 1)


@pytest.mark.parametrize("index", [1, -1, "0", None, 0.0, True, 10**30])
def test_an_index_that_is_no_place_is_refused(index: object) -> None:
    with pytest.raises(BadResponseError):
        read_vectors({"data": [{"embedding": [1.0], "index": index}]}, 1)
