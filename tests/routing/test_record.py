"""What is remembered of requests and stars."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herding.errors import UserError
from herding.routing.quality import Sample, Targets
from herding.routing.record import ModelCounts, Rating, Record, SampleWindow


def sample(number: int, model: str = "a", prompt: str = "p", *, ok: bool = True) -> Sample:
    return Sample(
        f"{number:04}", prompt, model, at=number, ok=ok, checks_passed=number % 3 > 0, total_ms=100.0 * number
    )


def state(window: SampleWindow) -> tuple[object, ...]:
    names = {index: model for model, index in window.models.items()}
    return (
        window.samples,
        list(window.at),
        [names[index] for index in window.model],
        list(window.ok),
        list(window.quality),
        list(window.faults),
        list(window.votes()),
        {model: count for model, count in window.counts.items() if count != ModelCounts()},
    )


def counted(window: SampleWindow) -> dict[str, ModelCounts]:
    """The counts, counted anew."""
    counts: dict[str, ModelCounts] = {}
    for one in window.samples:
        count = counts.setdefault(one.model, ModelCounts())
        count.count_sample(one, 1)
        for stars in window.stars(one):
            count.count_rating(stars, 1)
    return counts


facts = st.lists(st.builds(sample, st.integers(0, 12), st.sampled_from("abc"), st.sampled_from("pq")), max_size=40)
ratings = st.lists(
    st.builds(Rating, st.integers(0, 12).map("{:04}".format), st.sampled_from("xyz"), st.sampled_from([None, 1, 3, 5])),
    max_size=20,
)


@given(st.permutations([sample(number, "ab"[number % 2]) for number in range(12)]), ratings)
def test_the_order_in_which_samples_are_told_does_not_matter(shuffled: list[Sample], stars: list[Rating]) -> None:
    told, sorted_ = Record(window=8), Record(window=8)
    told.load(shuffled, stars)
    sorted_.load(sorted(shuffled, key=lambda one: one.at), stars)
    assert state(told.window("p")) == state(sorted_.window("p"))


@given(facts, ratings, st.integers(0, 12))
def test_the_counts_are_those_of_what_is_kept(samples: list[Sample], stars: list[Rating], reset: int) -> None:
    record = Record(window=6, most=9)
    for number, one in enumerate(samples):
        record.add(replace(one, request_id=one.prompt + one.request_id))
        if number < len(stars):
            record.rate(one.prompt + stars[number].request_id, stars[number].principal, stars[number].stars)
    record.reset("p", reset)
    both = [record.window(prompt) for prompt in "pq"]
    for window in both:
        assert counted(window) == {model: count for model, count in window.counts.items() if count != ModelCounts()}
        assert len(window.samples) <= 6
    assert sum(len(window.samples) for window in both) <= 9
    for model in "abc":
        assert record.other_prompts("p", model) == both[1].counts.get(model, ModelCounts())


def test_the_newest_are_kept_and_stars_go_with_their_request() -> None:
    record = Record(window=3)
    for number in range(3):
        record.add(sample(number))
    assert record.rate("0000", "x", 5)
    assert record.window("p").counts["a"].rated == 1
    record.add(sample(3))
    assert [one.at for one in record.window("p").samples] == [1, 2, 3]
    assert record.window("p").counts["a"].rated == 0
    assert not record.rate("0000", "x", 4)


def test_stars_may_come_late_and_be_changed_and_taken_back() -> None:
    record = Record()
    record.load([sample(number) for number in range(9)], [Rating("0002", "x", 5), Rating("0002", "y", 3)])
    (mine, other) = record.window("p").votes()
    assert (mine.stars, mine.model, mine.principal, mine.at) == (5, "a", "x", 2)
    record.rate("0002", "x", 1)
    assert [vote.stars for vote in record.window("p").votes()] == [1, other.stars]
    assert record.window("p").counts["a"] == replace(record.window("p").counts["a"], rated=2, stars=4, squares=10)
    record.rate("0002", "x", None)
    record.rate("0002", "x", None)
    assert list(record.window("p").votes()) == [other]


def test_stars_are_about_the_model_that_answered() -> None:
    record = Record()
    record.add(sample(1, "a", ok=False))
    record.rate("0001", "x", 5)
    assert list(record.window("p").votes()) == []
    record.add(sample(1, "b"))
    assert [vote.model for vote in record.window("p").votes()] == ["b"]
    assert record.window("p").counts["a"].rated == 0


def test_the_later_word_on_a_request_counts() -> None:
    record = Record()
    record.add(sample(1, ok=False))
    record.add(sample(1, ok=True))
    assert [one.ok for one in record.window("p").samples] == [True]
    assert record.window("p").counts["a"].failed == 0


def test_after_a_reset_nothing_older_counts() -> None:
    record = Record()
    record.load([sample(number) for number in range(9)], [Rating("0002", "x", 5), Rating("0007", "x", 4)])
    record.reset("p", 5)
    record.add(sample(4))
    assert [one.at for one in record.window("p").samples] == [5, 6, 7, 8]
    assert [vote.stars for vote in record.window("p").votes()] == [4]
    assert not record.rate("0002", "x", 1)


def test_idle_prompts_make_room() -> None:
    record = Record(most=10)
    for prompt in "pqr":
        record.load(Sample(f"{prompt}{number}", prompt, "a", number, True) for number in range(5))
    assert record.window("p").samples == []
    assert len(record.window("q").samples) == len(record.window("r").samples) == 5
    assert record.evictions == 1
    assert not record.rate("p1", "x", 5)


def test_other_targets_judge_all_samples_anew() -> None:
    window = SampleWindow({}, 10)
    window.add(sample(9))
    before = window.quality[0]
    window.set_targets(Targets(slow_ms=100, fast_ms=50))
    assert window.quality[0] < before
    assert window.faults[0] > 0


@pytest.mark.parametrize("stars", [0, 6, 2.5])
def test_other_than_1_to_5_stars_are_refused(stars: int) -> None:
    record = Record()
    record.add(sample(1))
    with pytest.raises(UserError, match="1 to 5"):
        record.rate("0001", "x", stars)
