"""The share of success: each model gets requests in proportion to how seldom it erred.

After Rodrigo Ribeiro Gomes, "Orchestrating Small Language Models (SLM) using JavaScript and the Hugging Face Inference
API" (2024). Errors are fractions: a failure is one, a failed check and slowness are some of one, and speed takes
some back. The article does not give the amounts. Unlike there, no model ever falls to nothing, and where the numbers
say nothing all are equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from herding.routing.quality import Sample, Targets

LEAST = 0.02
"""The smallest share of a model; with many models, a fifth of an equal share."""

CHECK_FAILURE = 0.3
SLOW = 0.1
FAST = -0.1


def fault(sample: Sample, targets: Targets) -> float:
    """How much of an error one request is: 1 for a failure, otherwise from -0.1 to 0.4."""
    if not sample.ok:
        return 1.0
    amount = CHECK_FAILURE if sample.checks_passed is False else 0.0
    if sample.total_ms > targets.slow_ms:
        return amount + SLOW
    return amount + FAST if sample.total_ms < targets.fast_ms else amount


def success_shares(totals: Sequence[float], errors: Sequence[float], *, least: float = LEAST) -> list[float]:
    """The share of each model, from its requests and its errors; they add up to 1, and none is below `least`.

    Errors below 0 count as none and those above the total as all. Totals or errors that are no numbers, or totals that
    are not above 0, tell nothing: such a model counts as the mean of the known ones.
    """
    known = [_success(total, error) for total, error in zip(totals, errors, strict=True)]
    told = [success for success in known if success is not None]
    usual = sum(told) / len(told) if told else 0.0
    success = [usual if one is None else one for one in known]
    whole = sum(success)
    if whole <= 0:
        return [1 / len(success)] * len(success) if success else []
    least = min(least, 0.2 / len(success))
    rest = 1 - least * len(success)
    return [least + rest * one / whole for one in success]


def _success(total: float, errors: float) -> float | None:
    if not (math.isfinite(total) and math.isfinite(errors) and total > 0):
        return None
    return min(1.0, max(0.0, 1 - errors / total))
