"""Which model a request goes to first, and why."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herding.errors import ConfigError
from herding.routing.policies import BUILT_IN, Policies, ResultCache, RoutingSettings
from herding.routing.quality import Sample, Targets
from herding.routing.record import ModelCounts, Rating, Record

MODELS = ("a", "b", "c")
HOUR = 3_600_000


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


class NoChance(Random):
    """Fails the test that draws from it."""

    def random(self) -> float:
        raise AssertionError("drawn")


def known(*, rated: bool = True) -> Record:
    """Model a is good, b is middling, c fails half of the time."""
    record = Record()
    for number in range(60):
        model = MODELS[number % 3]
        ok = model != "c" or number % 2 > 0
        record.add(Sample(f"{number}", "p", model, number, ok, model == "a" or number % 6 > 2, 1_500))
        if rated:
            record.rate(f"{number}", "x", 5 if model == "a" else 3)
    return record


def policies(record: Record | None = None, seed: int = 1) -> Policies:
    return Policies(record or Record(), Random(seed), Clock())


@given(st.sampled_from(sorted(BUILT_IN)), st.permutations(MODELS), st.booleans(), st.integers(0, 99))
def test_every_policy_orders_all_candidates_and_tells_its_shares(
    policy: str, models: list[str], explore: bool, seed: int
) -> None:
    chooser = policies(known(), seed)
    choice = chooser.choose("p", models, RoutingSettings(policy=policy, explore=explore), busy={"b": 2})
    assert sorted(choice.order) == sorted(models) == sorted(choice.shares)
    assert sum(choice.shares.values()) == pytest.approx(1)
    assert choice.shares[choice.order[0]] > 0
    assert choice.policy == policy
    assert choice.order[0] in choice.why


@pytest.mark.parametrize("policy", ["stars", "success_share", "random"])
def test_the_told_share_is_the_chance_to_be_chosen(policy: str) -> None:
    chooser, settings = policies(known()), RoutingSettings(policy=policy)
    shares = chooser.choose("p", MODELS, settings, busy={}).shares
    drawn = Counter(chooser.choose("p", MODELS, settings, busy={}).order[0] for _ in range(4_000))
    for model in MODELS:
        assert drawn[model] / 4_000 == pytest.approx(shares[model], abs=0.03)


def test_the_only_candidate_is_taken_without_any_work() -> None:
    chooser = Policies(known(), NoChance(), Clock())
    choice = chooser.choose("p", ["b"], RoutingSettings(), busy={})
    assert (choice.order, choice.shares, choice.policy) == (("b",), {"b": 1.0}, "only")


def test_a_pinned_model_is_the_only_one_while_it_is_a_candidate() -> None:
    chooser = Policies(known(), NoChance(), Clock())
    choice = chooser.choose("p", MODELS, RoutingSettings(pinned="c"), busy={})
    assert (choice.order, choice.policy) == (("c",), "pinned")
    alone = chooser.choose("p", ["c"], RoutingSettings(pinned="c"), busy={})
    assert (alone.policy, alone.why) == ("pinned", "c is pinned for this prompt")
    assert chooser.shares("p", MODELS, RoutingSettings(pinned="c")) == {"a": 0, "b": 0, "c": 1}
    assert len(policies(known()).choose("p", MODELS, RoutingSettings(pinned="z"), busy={}).order) == 3


def test_without_exploring_the_best_is_always_taken() -> None:
    for seed in range(20):
        choice = policies(known(), seed).choose("p", MODELS, RoutingSettings(explore=False), busy={})
        assert choice.order == ("a", "b", "c")
        assert choice.shares == {"a": 1, "b": 0, "c": 0}


def test_after_the_pick_the_better_comes_first() -> None:
    chooser = policies(known())
    orders = {chooser.choose("p", MODELS, RoutingSettings(), busy={}).order for _ in range(2_000)}
    assert orders == {("a", "b", "c"), ("b", "a", "c"), ("c", "a", "b")}


def test_round_robin_takes_turns_on_each_prompt() -> None:
    chooser, settings = policies(), RoutingSettings(policy="round_robin")
    picks = [chooser.choose(prompt, MODELS, settings, busy={}).order[0] for prompt in "ppqpp"]
    assert picks == ["a", "b", "a", "c", "a"]


def test_the_least_busy_goes_first_and_between_equals_the_order_of_the_prompt() -> None:
    chooser, settings = policies(), RoutingSettings(policy="least_busy")
    assert chooser.choose("p", MODELS, settings, busy={"a": 2.5, "c": 1}).order == ("b", "c", "a")
    assert chooser.choose("p", MODELS, settings, busy={}).order == MODELS


def test_success_share_follows_the_errors_of_the_prompt() -> None:
    shares = policies(known()).shares("p", MODELS, RoutingSettings(policy="success_share"))
    assert shares["a"] > shares["b"] > shares["c"] > 0.02
    assert set(policies(known()).shares("q", MODELS, RoutingSettings(policy="success_share")).values()) == {1 / 3}


def test_shares_hold_until_the_evidence_changes_or_an_hour_is_over() -> None:
    record, clock = known(), Clock()
    chooser = Policies(record, Random(1), clock)
    first = chooser.posterior("p", MODELS, RoutingSettings())
    clock.now = HOUR - 1
    assert chooser.posterior("p", MODELS, RoutingSettings()) is first
    record.rate("3", "x", 1)
    second = chooser.posterior("p", MODELS, RoutingSettings())
    assert second.shares[0] < first.shares[0]
    clock.now += HOUR
    assert chooser.posterior("p", MODELS, RoutingSettings()) is not second
    record.reset("p", HOUR)
    assert chooser.posterior("p", MODELS, RoutingSettings()).shares == pytest.approx((1 / 3,) * 3)


def test_a_replay_of_the_same_facts_thinks_the_same() -> None:
    record, replay = known(), Record()
    samples = record.window("p").samples
    stars = [Rating(one.request_id, "x", given) for one in samples for given in record.window("p").stars(one)]
    replay.load(reversed(samples), reversed(stars))
    lived = policies(record).posterior("p", MODELS, RoutingSettings())
    assert policies(replay).posterior("p", MODELS, RoutingSettings()) == lived


def test_the_targets_of_the_prompt_decide_what_is_slow() -> None:
    record = Record()
    for number in range(80):
        record.add(Sample(f"{number}", "p", "ab"[number % 2], number, True, None, 1_000 if number % 2 else 2_000))
    chooser = policies(record)
    strict, lax = (RoutingSettings(slow_ms=slow, fast_ms=500) for slow in (1_200, 9_000))
    assert chooser.shares("p", "ab", strict)["b"] > 0.8
    assert chooser.shares("p", "ab", lax)["b"] == pytest.approx(0.5, abs=0.1)
    assert chooser.shares("p", "ab", strict)["b"] > 0.8


def test_the_reason_tells_stars_failures_and_share() -> None:
    chooser = policies(known())
    whys, others = (
        {
            choice.order[0]: choice.why
            for choice in (chooser.choose(prompt, MODELS, RoutingSettings(), busy={}) for _ in range(2_000))
        }
        for prompt in ("p", "q")
    )
    assert "5.0 stars from 20 ratings; no failures in 20 requests" in whys["a"]
    assert all("mean latency " in why for why in whys.values())
    assert "on other prompts" not in whys["a"]
    assert "fails checks in" in whys["b"]
    assert "fails 50 % of the time" in whys["c"]
    assert "% of the requests" in whys["c"]
    assert others["a"].endswith("no data for this prompt yet; on other prompts: 5.0 stars from 20 ratings")
    assert others["c"].endswith(", fails 50 % of the time")
    assert chooser.choose("q", ("x", "y"), RoutingSettings(), busy={}).why.endswith("no data for this prompt yet")


@pytest.mark.parametrize("wrong", [{"slow_ms": 10, "fast_ms": 20}, {"fast_ms": 0}, {"slow_ms": float("nan")}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        RoutingSettings(**wrong)  # type: ignore[arg-type]


def test_nothing_to_choose_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        policies().choose("p", [], RoutingSettings(), busy={})


def test_insights_tell_of_each_model_what_it_did_and_gets() -> None:
    record = known()
    chooser = policies(record)
    best, middling, failing = chooser.estimates("p", MODELS, RoutingSettings())
    assert (best.model, middling.model, failing.model) == MODELS
    assert best.why == record.window("p").counts["a"].describe(ModelCounts()) != failing.why
    assert best.quality > middling.quality > failing.quality
    assert {line.model: line.share for line in (best, middling, failing)} == chooser.shares(
        "p", MODELS, RoutingSettings()
    )
    assert chooser.estimates("p", (), RoutingSettings()) == ()
    (unknown,) = chooser.estimates("p", ("z",), RoutingSettings())
    assert (unknown.share, unknown.why) == (1.0, ModelCounts().describe(ModelCounts()))


def test_the_interval_of_the_stars_stays_within_the_stars() -> None:
    count = ModelCounts()
    for stars in (1, 5, 5, 5):
        count.count_rating(stars, 1)
    mean, low, high = count.stars_interval()
    assert mean == 4
    assert low == pytest.approx(4 - 1.96 * 2 / 2)
    assert high == 5


def test_fresh_results_are_few() -> None:
    fresh: ResultCache[int] = ResultCache(size=2, max_age_ms=10)
    numbers = iter(range(99))
    asked = [
        fresh.get(key, revision, now, lambda: next(numbers))
        for key, revision, now in [
            ("x", 1, 0),
            ("x", 1, 9),
            ("x", 2, 9),
            ("x", 2, 19),
            ("y", 0, 19),
            ("x", 2, 20),
            ("z", 0, 20),
            ("y", 0, 20),
        ]
    ]
    assert asked == [0, 0, 1, 2, 3, 2, 4, 5]


def test_the_reason_names_the_latency_where_it_decided() -> None:
    record = Record()
    for number in range(80):
        record.add(Sample(f"{number}", "p", "ab"[number % 2], number, True, True, 4_000 if number % 2 else 300))
    for settings in (RoutingSettings(explore=False), RoutingSettings(policy="success_share")):
        chooser = policies(record)
        choices = [chooser.choose("p", ("a", "b"), settings, busy={}) for _ in range(100)]
        whys = {choice.order[0]: choice.why for choice in choices}
        why = whys.get("a", "")
        assert why.endswith("no stars yet; no failures in 40 requests; passed all checks; mean latency 300 ms (fast)")
    counts = record.window("p").counts["b"]
    assert counts.describe(ModelCounts()).endswith("passed all checks; mean latency 4.0 s (slow)")
    assert counts.describe(ModelCounts(), Targets(slow_ms=9_000)).endswith("mean latency 4.0 s")
