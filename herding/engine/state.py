"""What the engine is doing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["idle", "loading", "ready", "failed"]


@dataclass(slots=True)
class State:
    """`model` answers now; `loading` is on its way. `progress` is the share done of `stage`, 0 to 1.

    While a model is downloaded the earlier one goes on answering: the phase is still `ready` then.
    """

    phase: Phase = "idle"
    model: str | None = None
    loading: str | None = None
    progress: float | None = None
    stage: str | None = None
    error: str | None = None
