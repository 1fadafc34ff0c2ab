"""What a prompt says about who answers it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from herding.yaml_files import Strict

PolicyName = Literal["stars", "success_share", "round_robin", "random", "least_busy"]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class Routing(Strict):
    """How one of the target models is chosen; `pinned` is the only one that answers.

    Without `explore`, always the best so far is chosen. Answers within `fast_seconds` count a little more, those that
    take longer than `slow_seconds` less.
    """

    policy: PolicyName = "stars"
    pinned: Annotated[str, Field(min_length=1)] | None = None
    explore: bool = True
    fast_seconds: Seconds = 0.9
    slow_seconds: Seconds = 2.5

    @model_validator(mode="after")
    def _fast_before_slow(self) -> Routing:
        if self.fast_seconds > self.slow_seconds:
            raise ValueError("fast_seconds is not more than slow_seconds")
        return self
