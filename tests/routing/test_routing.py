"""Who can answer, and who should."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from herding.routing.candidates import Candidate, candidates
from herding.routing.policy import least_busy, reason

SERVING = {"a": ("small", "large"), "b": ("large",), "c": ()}


def test_candidates_are_all_pairs_that_serve_in_the_order_of_the_models() -> None:
    assert candidates(["large", "small", "none"], SERVING) == [
        Candidate("large", "a", 0),
        Candidate("large", "b", 0),
        Candidate("small", "a", 1),
    ]
    assert candidates(["none"], SERVING) == candidates([], SERVING) == []


def test_the_least_busy_node_comes_first_then_the_order_of_the_models() -> None:
    found = candidates(["large", "small"], SERVING)
    assert least_busy(found, {})[0] == Candidate("large", "a", 0)
    assert least_busy(found, {"a": 1})[0] == Candidate("large", "b", 0)
    assert least_busy(found, {"a": 1, "b": 1}) == found


@given(st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)))
def test_no_candidate_is_lost(busy: dict[str, int]) -> None:
    found = candidates(["large", "small"], SERVING)
    assert sorted(least_busy(found, busy), key=found.index) == found


def test_the_reason_is_in_words() -> None:
    found = candidates(["large", "small"], SERVING)
    assert reason(found[0], found, asked_for=True) == "large was asked for; a serves it"
    assert "only a serves" in reason(found[0], found[:1], asked_for=False)
    assert "least busy of 3" in reason(found[1], found, asked_for=False)
