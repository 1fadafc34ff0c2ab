"""How a model is chosen: the names of the policies, what a prompt sets about them, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from herding.errors import ConfigError
from herding.routing.quality import Targets

STARS = "stars"
SUCCESS_SHARE = "success_share"
ROUND_ROBIN = "round_robin"
RANDOM = "random"
LEAST_BUSY = "least_busy"

POLICIES = (STARS, SUCCESS_SHARE, ROUND_ROBIN, RANDOM, LEAST_BUSY)

PINNED = "pinned"
ONLY = "only"
"""What a choice calls itself where no policy was asked: a pinned model, and the only candidate."""


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """How a prompt chooses its model.

    With a `pinned` model there is no choice as long as that is a candidate. Without `explore`, `stars` always takes the
    model that it thinks best. An answer that takes longer than `slow_ms` costs its model, one within `fast_ms` earns.
    """

    policy: str = STARS
    pinned: str | None = None
    explore: bool = True
    slow_ms: float = 2_500
    fast_ms: float = 900

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ConfigError(f"there is no policy '{self.policy}'; choose one of: {', '.join(POLICIES)}", key="policy")
        if not 0 < self.fast_ms <= self.slow_ms < float("inf"):
            raise ConfigError("fast_ms must be above 0 and at most slow_ms; both are milliseconds", key="fast_ms")

    @property
    def targets(self) -> Targets:
        """When an answer is slow and when it is fast."""
        return Targets(slow_ms=self.slow_ms, fast_ms=self.fast_ms)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which model to try, and in `order` which next should it fail; `order` starts with the pick.

    `shares` is the probability with which each candidate was to be chosen (they add up to 1), `why` one sentence.
    """

    policy: str
    order: tuple[str, ...]
    shares: Mapping[str, float]
    why: str
