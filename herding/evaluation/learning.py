"""Learning from requests and ratings which model should respond to a prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

from herding.errors import (
    BadResponseError,
    DeadlineError,
    NoModelError,
    StatusError,
    StreamInterruptedError,
)
from herding.plugins import Plugins
from herding.prompts.model import Prompt, Routing
from herding.routing.policies import Choice, Policies, RoutingSettings
from herding.routing.quality import Sample
from herding.routing.record import Rating, Record
from herding.store import Store
from herding.values import CONCLUSIVE_STATUSES, AttemptEvidence, Outcome, Reset

MAX_EVIDENCE = 20_000
"""The most requests, and the most rated requests, that are read at the start."""

MODEL_FAULTS = frozenset(
    kind.type for kind in (BadResponseError, StreamInterruptedError, DeadlineError, NoModelError, StatusError)
)
"""Errors that count against a model. An unreachable or busy node, or a refused key, says nothing about it."""


class Learning:
    """Keeps the evidence of the store in memory, and lets the policies of the prompts choose by it."""

    def __init__(self, *, store: Store, rng: Random, clock: Callable[[], int], plugins: Plugins | None = None) -> None:
        self._store = store
        self.record = Record()
        self.policies = Policies(self.record, rng, clock, plugins)

    async def load(self) -> None:
        """Read the evidence of the store, before the first choice."""
        for reset in (await self._store.learning_resets()).values():
            self.record.reset(reset.prompt, reset.at)
        for evidence in await self._store.trials(limit=MAX_EVIDENCE):
            self._add(evidence)

    async def reset(self, reset: Reset) -> None:
        """Reset the routing data of a prompt; durable on return."""
        await self._store.reset_learning(reset)
        self.record.reset(reset.prompt, reset.at)

    def choose(self, key: str, models: Sequence[str], prompt: Prompt, *, busy: Mapping[str, float]) -> Choice:
        """Choose the model for a request of `prompt` among the `models` that can respond now."""
        return self.policies.choose(key, models, settings(prompt), busy=busy)

    def ended(self, outcome: Outcome) -> None:
        """Learn from the attempts of a request that ended."""
        if not outcome.prompt or outcome.status not in CONCLUSIVE_STATUSES:
            return
        for attempt in outcome.attempts:
            self._add(
                AttemptEvidence(
                    request_id=outcome.request_id,
                    prompt=outcome.prompt,
                    model=attempt.model,
                    at=outcome.created_at,
                    error_type=attempt.error_type,
                    checks_passed=None if attempt.error_type else outcome.checks.ok,
                    total_ms=attempt.total_ms,
                )
            )

    def rated(self, request_id: str, principal: str, stars: int | None) -> None:
        """Learn from the stars of a principal on a request; None removes them."""
        self.record.rate(request_id, principal, stars)

    def _add(self, evidence: AttemptEvidence) -> None:
        if evidence.error_type is not None and evidence.error_type not in MODEL_FAULTS:
            return
        self.record.add(
            Sample(
                request_id=evidence.request_id,
                prompt=evidence.prompt,
                model=evidence.model,
                at=evidence.at,
                ok=evidence.error_type is None,
                checks_passed=evidence.checks_passed,
                total_ms=evidence.total_ms,
            )
        )
        if evidence.stars:
            self.record.load((), (Rating(evidence.request_id, who, stars) for who, stars in evidence.stars.items()))


def settings(prompt: Prompt) -> RoutingSettings:
    """Return the routing settings of a prompt, or the defaults."""
    return _settings_of(prompt.routing) if prompt.routing else _DEFAULTS


def _settings_of(routing: Routing) -> RoutingSettings:
    return RoutingSettings(
        policy=routing.policy,
        pinned=routing.pinned,
        explore=routing.explore,
        slow_ms=routing.slow_seconds * 1000,
        fast_ms=routing.fast_seconds * 1000,
    )


_DEFAULTS = _settings_of(Routing())
"""For prompts without routing settings."""
