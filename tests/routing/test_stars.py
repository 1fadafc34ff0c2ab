"""The policy `stars`: who is believed, how far, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from herding.routing.policies import Policies, RoutingSettings
from herding.routing.quality import Sample
from herding.routing.record import Record
from herding.routing.shares import probability_best, with_floor

MODELS = ("a", "b")
DAY = 86_400_000


class House:
    """One prompt and its users; a request comes every ten seconds, and all signals are the same."""

    def __init__(self, models: tuple[str, ...] = MODELS, seed: int = 1) -> None:
        self.models, self.now, self.requests = models, 0, 0
        self.record = Record()
        self.policies = Policies(self.record, Random(seed), lambda: self.now)

    @property
    def shares(self) -> dict[str, float]:
        return self.policies.shares("p", self.models, RoutingSettings())

    def ask(self, rate: Callable[[str], int | None], who: str = "x", model: str | None = None) -> str:
        """One request, answered by `model` or whom the policy chooses; `rate` gives the stars."""
        self.now += 10_000
        self.requests += 1
        chosen = model or self.policies.choose("p", self.models, RoutingSettings(), busy={}).order[0]
        request_id = f"{self.requests:05}"
        self.record.add(Sample(request_id, "p", chosen, self.now, True, None, 1_500))
        self.record.rate(request_id, who, rate(chosen))
        return chosen

    def fail(self, model: str) -> None:
        self.now += 10_000
        self.requests += 1
        self.record.add(Sample(f"{self.requests:05}", "p", model, self.now, False))


def likes(model: str) -> Callable[[str], int]:
    return lambda chosen: 5 if chosen == model else 2


@pytest.mark.parametrize("seed", range(10))
def test_a_single_rater_moves_the_routing_and_turns_it(seed: int) -> None:
    house = House(seed=seed)
    for _ in range(40):
        house.ask(likes("a"))
    assert house.shares["a"] > 0.8
    for _ in range(60):
        house.ask(likes("b"))
    assert house.shares["b"] > 0.8


def test_without_evidence_all_are_equal() -> None:
    assert House().shares == pytest.approx({"a": 0.5, "b": 0.5})


def test_every_model_keeps_a_share() -> None:
    house = House()
    for _ in range(200):
        house.ask(likes("a"))
    assert 0.01 <= house.shares["b"] < 0.05


def test_stars_outweigh_signals() -> None:
    """The slow model that fails checks is liked; the quick one is not."""
    house = House()
    for number in range(60):
        house.record.add(Sample(f"a{number}", "p", "a", number, True, False, 9_000))
        house.record.add(Sample(f"b{number}", "p", "b", number, True, True, 500))
    assert house.shares["a"] < 0.05
    for number in range(60):
        house.record.rate(f"a{number}", "x", 5)
        house.record.rate(f"b{number}", "x", 3)
    assert house.shares["a"] > 0.9


def test_signals_decide_where_nobody_rates() -> None:
    house = House()
    for number in range(60):
        house.record.add(Sample(f"a{number}", "p", "a", number, True, True, 800))
        house.record.add(Sample(f"b{number}", "p", "b", number, True, number % 2 > 0, 4_000))
    assert house.shares["a"] > 0.9


def test_a_model_that_fails_loses_its_share_whatever_its_stars_and_gets_it_back() -> None:
    house = House()
    for _ in range(60):
        house.ask(likes("a"))
    for _ in range(15):
        house.fail("a")
    assert house.shares["a"] < 0.2
    for _ in range(60):
        house.ask(lambda chosen: None)
    assert house.shares["a"] > 0.5


def test_old_evidence_fades_with_time() -> None:
    house = House()
    for _ in range(60):
        house.ask(likes("a"))
    known = house.shares["a"]
    house.now += 400 * DAY
    assert 0.5 <= house.shares["a"] < known - 0.2


def test_other_prompts_are_a_weak_hint() -> None:
    house = House()
    for number in range(50):
        for model, stars in (("a", 5), ("b", 2)):
            house.record.add(Sample(f"{model}{number}", "other", model, number, True, None, 1_500))
            house.record.rate(f"{model}{number}", "x", stars)
    assert 0.55 < house.shares["a"] < 0.99
    for _ in range(30):
        house.ask(likes("b"))
    assert house.shares["b"] > 0.8


def test_one_vote_of_a_second_rater_does_not_silence_the_first() -> None:
    house = House()
    for _ in range(40):
        house.ask(likes("a"))
    before = house.shares["a"]
    house.ask(likes("b"), who="y", model="a")
    assert house.shares["a"] > before - 0.1


def test_taken_back_stars_leave_no_trace() -> None:
    house = House()
    for _ in range(30):
        house.ask(likes("a"))
    before = house.shares
    house.record.rate("00030", "y", 1)
    assert house.shares != before
    house.record.rate("00030", "y", None)
    assert house.shares == before


@pytest.mark.parametrize("seed", range(12))
def test_nobody_moves_a_share_far_among_several(seed: int) -> None:
    """Somebody who votes again and again against what five to twenty others say of models of any quality."""
    rng = Random(seed)
    models = tuple("abcd"[: rng.randint(2, 4)])
    likings = {model: rng.uniform(0.1, 0.9) for model in models}
    raters, votes = rng.randint(5, 20), rng.randint(50, 200)
    top = max(likings, key=likings.__getitem__)
    calm, loud = House(models), House(models)
    for number in range(600):
        model, rater = rng.choice(models), rng.randrange(raters)
        stars = round(1 + 4 * min(1.0, max(0.0, rng.gauss(likings[model], 0.2))))
        for house in (calm, loud):
            house.ask(lambda _, stars=stars: stars, who=f"rater{rater}", model=model)
        if number >= 600 - votes:
            loud.record.rate(f"{number + 1:05}", "hostile", 1 if model == top else 5)
    assert max(abs(calm.shares[model] - loud.shares[model]) for model in models) < 0.05


def test_what_a_rater_moves_does_not_grow_with_more_votes() -> None:
    moved = []
    for votes in (20, 400):
        calm, loud = House(), House()
        for number in range(600):
            model = MODELS[number % 2]
            stars = (4 if model == "a" else 3) + (number // 2) % 2
            for house in (calm, loud):
                house.ask(lambda _, stars=stars: stars, who=f"rater{number % 7}", model=model)
            if number >= 600 - votes:
                loud.record.rate(f"{number + 1:05}", "hostile", 1 if model == "a" else 5)
        moved.append(abs(calm.shares["a"] - loud.shares["a"]))
    assert max(moved) < 0.05


def test_the_chance_to_be_best_of_two_is_the_one_of_the_difference() -> None:
    mean, sd = np.array([0.6, 0.5]), np.array([0.05, 0.1])
    exact = NormalDist().cdf(0.1 / np.hypot(0.05, 0.1))
    assert probability_best(mean, sd)[0] == pytest.approx(exact, abs=0.005)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.001, 1)), min_size=1, max_size=12))
def test_chances_add_up_and_the_better_has_the_greater(beliefs: list[tuple[float, float]]) -> None:
    mean = np.array([mean for mean, _ in beliefs])
    chances = probability_best(mean, np.full(len(mean), beliefs[0][1]))
    assert chances.sum() == pytest.approx(1)
    assert chances.argmax() in np.flatnonzero(mean >= mean.max() - 1e-3)
    shares = with_floor(probability_best(mean, np.array([sd for _, sd in beliefs])), 0.01)
    assert shares.sum() == pytest.approx(1)
    assert shares.min() >= 0.01
