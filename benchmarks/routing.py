"""How much is lost by asking the wrong model: the policies against each other in simulated herds.

python benchmarks/routing.py [--seeds 20] [--from 0]

Each seed makes another herd of four models. A model has a quality, a typical time, and how often it fails and breaks
the checks; better models fail them less, but neither time nor failures tell quality. A policy sees what it sees in
the product: `success_share` times, checks and failures, `stars` also the stars, `round_robin` and `random` nothing.
Regret is what the best model of the moment would have been worth less what the chosen one is, added up over all
requests, where worth is the chance to answer times the mean quality of the answers as users would rate it (0 to 1).
Printed are medians over the seeds. Twelve users rate 30 % of the answers, most within minutes, unless a scene says
otherwise. The constants of `stars` were chosen on the seeds 1000 to 1015, which are none of those that this shows.
"""

from __future__ import annotations

import argparse
import heapq
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import mean, median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from herding.routing.policies import Policies, RoutingSettings
from herding.routing.quality import Sample
from herding.routing.record import Record

PROMPT = "p"
POLICIES = ("stars", "success_share", "round_robin", "random")
MODELS = ("amber", "birch", "cedar", "dogwood")
RATERS = 12
GAP_MS = 20_000
"""A request comes every 20 seconds, on average."""

CHECK_EVERY = 10
HOSTILE_VOTES = 100
HOSTILE_FROM = 300
"""The hostile rater, from this request on, gives every fifth one 1 star if it is of the best model, otherwise 5."""


@dataclass
class Model:
    """What a model is like: quality (0-1) of its answers, typical time, chances to fail and to fail a check."""

    quality: float
    ms: float
    fails: float
    check_failures: float
    swing: float = 0.0
    period: float = 1.0
    phase: float = 0.0
    broken: range = field(default_factory=lambda: range(0))

    def quality_at(self, number: int) -> float:
        """The mean quality of its answers at the request of that number."""
        wave = self.swing * math.sin(2 * math.pi * number / self.period + self.phase)
        return min(0.98, max(0.02, self.quality + wave))

    def fails_at(self, number: int) -> float:
        """How likely it is to fail then."""
        return 0.95 if number in self.broken else self.fails

    def worth(self, number: int) -> float:
        """What a request is worth with it then."""
        return (1 - self.fails_at(number)) * self.quality_at(number)


@dataclass(frozen=True)
class Scene:
    """A kind of herd, and how its users rate: what part of the answers, and how late (median, in seconds)."""

    name: str
    requests: int = 1_500
    rated: float = 0.3
    late_s: float = 60
    drifts: bool = False
    breaks: range = range(0)
    hostile: bool = False


SCENES = (
    Scene("a stable"),
    Scene("b drifting", drifts=True),
    Scene("c breaks, recovers", requests=1_000, breaks=range(400, 700)),
    Scene("d sparse and late", rated=0.05, late_s=3_600),
    Scene("e hostile rater", hostile=True),
)


@dataclass
class Run:
    """What came of a run: the regret, the requests until the recovered model leads again, and how far shares moved."""

    regret: float = 0.0
    returned: int | None = None
    moved: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)


def herd(scene: Scene, rng: Random) -> dict[str, Model]:
    """Four models; better ones tend to fail checks less, and neither time nor failures tell quality."""
    models = {}
    for name in MODELS:
        quality = rng.uniform(0.35, 0.9)
        check_failures = min(0.6, max(0.0, 0.35 * (1 - quality) + rng.uniform(-0.08, 0.08)))
        models[name] = Model(quality, rng.uniform(600, 3_500), rng.uniform(0, 0.05), check_failures)
        if scene.drifts:
            models[name].swing = rng.uniform(0.15, 0.35)
            models[name].period = rng.uniform(500, 1_500)
            models[name].phase = rng.uniform(0, 2 * math.pi)
    if scene.breaks:
        first, second = sorted(models.values(), key=lambda model: -model.worth(0))[:2]
        first.quality = min(0.95, max(first.quality, second.quality + 0.1))
        first.broken = scene.breaks
    return models


class Simulation:
    """One policy in one herd. The same seed makes the same herd and the same users for every policy."""

    def __init__(self, scene: Scene, policy: str, seed: int, *, hostile_votes: int = HOSTILE_VOTES) -> None:
        self.scene, self.settings = scene, RoutingSettings(policy=policy)
        self.models = herd(scene, Random(f"{seed} herd"))
        self.users = Random(f"{seed} users")
        self.bias = [self.users.gauss(0, 0.08) for _ in range(RATERS)]
        self.now = 0
        self.record, self.shadow = Record(), Record()
        self.policies = Policies(self.record, Random(f"{seed} {policy}"), lambda: self.now)
        self.without = Policies(self.shadow, Random(0), lambda: self.now)
        self.shadowed = scene.hostile and policy == "stars"
        self.hostile_votes = hostile_votes if scene.hostile else 0
        self.best = max(self.models, key=lambda name: self.models[name].worth(0))
        self.coming: list[tuple[int, int, str, str, int]] = []
        self.run = Run()

    def play(self) -> Run:
        """All requests."""
        for number in range(self.scene.requests):
            self.now += int(self.users.expovariate(1 / GAP_MS))
            self._deliver()
            choice = self.policies.choose(PROMPT, MODELS, self.settings, busy={})
            worth = {name: model.worth(number) for name, model in self.models.items()}
            self.run.regret += max(worth.values()) - worth[choice.order[0]]
            self._watch(number, choice.shares)
            self._answer(number, choice.order)
        return self.run

    def _watch(self, number: int, shares: Mapping[str, float]) -> None:
        share = shares[self.best]
        self.run.share.append(share)
        back = bool(self.scene.breaks) and number >= self.scene.breaks.stop and share == max(shares.values())
        if back and self.run.returned is None:
            self.run.returned = number - self.scene.breaks.stop
        if self.shadowed and number >= HOSTILE_FROM and number % CHECK_EVERY == 0:
            calm = self.without.shares(PROMPT, MODELS, self.settings)
            self.run.moved.append(max(abs(calm[name] - shares[name]) for name in MODELS))

    def _answer(self, number: int, order: tuple[str, ...]) -> None:
        for name in order:
            model = self.models[name]
            ok = self.users.random() >= model.fails_at(number)
            good = min(1.0, max(0.0, self.users.gauss(model.quality_at(number), 0.15)))
            kept = self.users.random() >= model.check_failures * (1.6 - 1.2 * good)
            ms = model.ms * self.users.lognormvariate(0, 0.35)
            sample = Sample(f"{number:08}", PROMPT, name, self.now, ok, kept if ok else None, ms)
            self.record.add(sample)
            if self.shadowed:
                self.shadow.add(sample)
            if ok:
                self._rate(number, name, good)
                return

    def _rate(self, number: int, name: str, good: float) -> None:
        rater = self.users.randrange(RATERS)
        felt = good + self.bias[rater] + self.users.gauss(0, 0.1)
        stars = round(1 + 4 * min(1.0, max(0.0, felt)))
        late = int(1_000 * self.scene.late_s * self.users.lognormvariate(0, 1))
        if self.users.random() < self.scene.rated:
            heapq.heappush(self.coming, (self.now + late, number, f"rater{rater}", f"{number:08}", stars))
        if self.hostile_votes and number >= HOSTILE_FROM and number % 5 == 0:
            self.hostile_votes -= 1
            against = 1 if name == self.best else 5
            heapq.heappush(self.coming, (self.now, number, "hostile", f"{number:08}", against))

    def _deliver(self) -> None:
        while self.coming and self.coming[0][0] <= self.now:
            _, _, rater, request_id, stars = heapq.heappop(self.coming)
            self.record.rate(request_id, rater, stars)
            if self.shadowed and rater != "hostile":
                self.shadow.rate(request_id, rater, stars)


def main() -> None:
    """Prints a table of regrets, and what came of breaking and of the hostile rater."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--from", type=int, default=0, dest="first")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    print(f"regret, median of {len(seeds)} seeds; ratio is stars / success_share\n")
    print(f"{'':20}" + "".join(f"{policy:>15}" for policy in POLICIES) + f"{'ratio':>10}")
    for scene in SCENES:
        _row(scene, seeds)


def _row(scene: Scene, seeds: range) -> None:
    regret = {policy: [run.regret for run in runs(scene, policy, seeds)] for policy in POLICIES if policy != "stars"}
    stars = runs(scene, "stars", seeds)
    regret["stars"] = [run.regret for run in stars]
    ratio = median(regret["stars"]) / median(regret["success_share"])
    print(f"{scene.name:20}" + "".join(f"{median(regret[policy]):15.1f}" for policy in POLICIES) + f"{ratio:10.2f}")
    if scene.breaks:
        back = [math.inf if run.returned is None else run.returned for run in stars]
        print(f"{'':20}stars returns to the recovered model after {median(back):.0f} requests (most: {max(back):.0f})")
    if scene.hostile:
        _hostile(scene, stars, seeds)
    sys.stdout.flush()


def _hostile(scene: Scene, stars: list[Run], seeds: range) -> None:
    """What the hostile votes did: share by share with the same evidence without them, and against runs without them."""
    usually, most = [mean(run.moved) for run in stars], [max(run.moved) for run in stars]
    calm = runs(scene, "stars", seeds, hostile_votes=0)
    less = [mean(c.share) - mean(s.share) for c, s in zip(calm, stars, strict=True)]
    for line in (
        f"{HOSTILE_VOTES} hostile votes move shares by {100 * median(usually):.1f} points on average of a run",
        f"and at most by {100 * median(most):.1f} (most of all runs: {100 * max(most):.1f}); against a run without",
        f"them the best model gets {100 * -mean(less):+.1f} points; its regret is "
        f"{median(run.regret for run in calm):.1f}",
    ):
        print(f"{'':20}{line}")


def runs(scene: Scene, policy: str, seeds: range, hostile_votes: int = HOSTILE_VOTES) -> list[Run]:
    """One run for each seed."""
    return [Simulation(scene, policy, seed, hostile_votes=hostile_votes).play() for seed in seeds]


if __name__ == "__main__":
    main()
