"""What was learned of models from the requests they got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Trial:
    """One try of a model on a prompt, as evidence of how good it is there.

    `at` is when the request came. `error_type` is None where the model answered; `stars` of the answer by principal.
    """

    request_id: str
    prompt: str
    model: str
    at: int
    error_type: str | None = None
    checks_passed: bool | None = None
    total_ms: float = 0.0
    stars: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tried:
    """One try of a model on a prompt, with the figures of its request.

    `at` is when the request came (Unix ms). `ok` is False where the model failed. Tokens are of the whole request;
    `stars` are how many rated the answer, the sum of their stars, and the sum of the squares of those.
    """

    version: int
    edited: bool
    model: str
    at: int
    ok: bool
    checks_passed: bool | None
    total_ms: float
    input_tokens: int
    output_tokens: int
    stars: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Reset:
    """What was learned of the models of a prompt before `at` (Unix ms) counts no more; `by` is who wanted that."""

    prompt: str
    at: int
    by: str


@dataclass(frozen=True, slots=True)
class ModelStats:
    """What a model did in a span of time: tries of it, and those that failed. Rates are 0-1, None without any try.

    `share` is its part of all tries of all models.
    """

    total: int = 0
    errors: int = 0
    error_rate: float | None = None
    ok_rate: float | None = None
    share: float | None = None

    @classmethod
    def counted(cls, total: int, errors: int, whole: int) -> ModelStats:
        """`total` tries of a model with `errors`, among `whole` tries of all."""
        if not total:
            return cls()
        return cls(total, errors, errors / total, 1 - errors / total, total / whole)
