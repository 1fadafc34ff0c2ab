"""Small versions of the simulations of benchmarks/routing.py: what the policies are chosen for holds."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean, median

import pytest

from benchmarks.routing import SCENES, runs

pytestmark = pytest.mark.slow

STABLE, DRIFTING, BREAKING, SPARSE, HOSTILE = SCENES
SEEDS = range(5)


@pytest.mark.parametrize("scene", [STABLE, DRIFTING, SPARSE], ids=lambda scene: scene.name)
def test_stars_loses_much_less_than_the_share_of_success(scene: object) -> None:
    stars, success = (median(run.regret for run in runs(scene, policy, SEEDS)) for policy in ("stars", "success_share"))
    assert stars < 0.6 * success


def test_a_recovered_model_returns() -> None:
    back = [run.returned for run in runs(replace(BREAKING, requests=900), "stars", range(12))]
    assert None not in back
    assert median(back) <= 60


def test_a_hostile_rater_moves_little() -> None:
    moved = [run.moved for run in runs(replace(HOSTILE, requests=900), "stars", range(4))]
    assert median(max(one) for one in moved) < 0.1
    assert median(mean(one) for one in moved) < 0.05
    assert max(map(max, moved)) > 0


def test_the_share_of_success_does_better_than_chance() -> None:
    success, chance = (
        mean(run.regret for run in runs(STABLE, policy, SEEDS)) for policy in ("success_share", "random")
    )
    assert success < chance
