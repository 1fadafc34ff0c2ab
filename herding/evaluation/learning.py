"""What the herd learns from every request and every star: which model should answer a prompt."""

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
from herding.prompts.model import Prompt, Routing
from herding.routing.policies import Choice, Policies, RoutingSettings
from herding.routing.quality import Sample
from herding.routing.record import Rating, Record
from herding.store import Store
from herding.values import CONCLUSIVE_STATUSES, AttemptEvidence, Outcome, Reset

REMEMBERED = 20_000
"""Requests that are read again at the start, and as many that were rated."""

BLAMED = frozenset(
    kind.type for kind in (BadResponseError, StreamInterruptedError, DeadlineError, NoModelError, StatusError)
)
"""Failures that speak against a model. That a node is away, busy or refuses us says nothing of what it runs."""


class Learning:
    """Keeps the record of how models did, as the store has it, and lets the prompts' policies choose by it."""

    def __init__(self, *, store: Store, rng: Random, clock: Callable[[], int]) -> None:
        self._store = store
        self.record = Record()
        self.policies = Policies(self.record, rng, clock)

    async def load(self) -> None:
        """Takes in what the store knows; at the start, before the first choice."""
        for reset in (await self._store.learning_resets()).values():
            self.record.reset(reset.prompt, reset.at)
        for trial in await self._store.trials(limit=REMEMBERED):
            self._take(trial)

    async def reset(self, reset: Reset) -> None:
        """Forgets what was learned of a prompt, for good: it is durable on return."""
        await self._store.reset_learning(reset)
        self.record.reset(reset.prompt, reset.at)

    def choose(self, key: str, models: Sequence[str], prompt: Prompt, *, busy: Mapping[str, float]) -> Choice:
        """The model for a request of `prompt`, out of the `models` that can answer it now."""
        return self.policies.choose(key, models, settings(prompt), busy=busy)

    def ended(self, outcome: Outcome) -> None:
        """A request ended; every try of a model tells of it."""
        if not outcome.prompt or outcome.status not in CONCLUSIVE_STATUSES:
            return
        for attempt in outcome.attempts:
            self._take(
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
        """Somebody rated an answer, or took that back."""
        self.record.rate(request_id, principal, stars)

    def _take(self, trial: AttemptEvidence) -> None:
        if trial.error_type is not None and trial.error_type not in BLAMED:
            return
        self.record.add(
            Sample(
                request_id=trial.request_id,
                prompt=trial.prompt,
                model=trial.model,
                at=trial.at,
                ok=trial.error_type is None,
                checks_passed=trial.checks_passed,
                total_ms=trial.total_ms,
            )
        )
        self.record.load((), (Rating(trial.request_id, who, stars) for who, stars in trial.stars.items()))


def settings(prompt: Prompt) -> RoutingSettings:
    """What a prompt says about its routing, in the words of the policies."""
    return _told(prompt.routing) if prompt.routing else _USUAL


def _told(said: Routing) -> RoutingSettings:
    return RoutingSettings(
        policy=said.policy,
        pinned=said.pinned,
        explore=said.explore,
        slow_ms=said.slow_seconds * 1000,
        fast_ms=said.fast_seconds * 1000,
    )


_USUAL = _told(Routing())
"""For prompts that say nothing of it, which are most."""
