"""How the shares of models moved with the evidence."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from herding.routing.policies import Policies, RoutingSettings
from herding.routing.quality import Sample
from herding.routing.record import Record
from herding.routing.share_history import MAX_STEPS, copy_evidence, replay_shares

NOW = 10_000_000
MODELS = ("good", "bad")


def learned(count: int, prompt: str = "p") -> Record:
    """A record of responses of both models in turn, with 5 and 1 stars."""
    record = Record()
    for number in range(count):
        model = MODELS[number % 2]
        record.add(Sample(f"r{prompt}{number}", prompt, model, number * 1_000, ok=True, total_ms=100.0))
        record.rate(f"r{prompt}{number}", "ada", 5 if model == "good" else 1)
    return record


def replay(record: Record, models: tuple[str, ...] = MODELS, **settings: Any) -> Any:
    return replay_shares(copy_evidence(record, "p", models), models, RoutingSettings(**settings), now=NOW)


@pytest.mark.parametrize("policy", ["stars", "success_share"])
def test_it_ends_with_the_shares_of_now(policy: str) -> None:
    record = learned(12)
    for number in range(9):  # another prompt, which the models are known from
        record.add(Sample(f"o{number}", "other", "bad", number, ok=False))
    settings = RoutingSettings(policy=policy)
    now = Policies(record, Random(1), lambda: NOW).shares("p", MODELS, settings)
    steps = replay(record, policy=policy)
    assert dict(steps[-1].shares) == pytest.approx(now)
    assert [step.responses for step in steps] == list(range(13))
    assert (steps[0].at, steps[-1].at) == (0, 11_000)


def test_stars_move_the_share_step_by_step_to_the_better_model() -> None:
    shares = [step.shares["good"] for step in replay(learned(20))]
    assert shares[0] == pytest.approx(0.5)
    assert shares[0] < shares[4] < shares[-1]
    assert all(sum(step.shares.values()) == pytest.approx(1) for step in replay(learned(20)))


def test_many_responses_are_a_bounded_number_of_steps() -> None:
    steps = replay(learned(333))
    assert len(steps) == MAX_STEPS + 1
    assert steps[-1].responses == 333


def test_the_record_itself_stays_as_it_is() -> None:
    record = learned(6)
    revision = record.window("p").revision
    before = record.other_prompts("elsewhere", "good")
    replay(record)
    assert record.window("p").revision == revision
    assert record.other_prompts("elsewhere", "good") == before


def test_without_evidence_or_a_choice_there_is_no_course() -> None:
    assert replay(Record()) == ()
    assert replay(learned(5), ("good",)) == ()
    assert replay(learned(5), pinned="good") == ()
    for policy in ("round_robin", "least_busy", "of a plugin"):
        assert replay(learned(5), policy=policy) == ()
