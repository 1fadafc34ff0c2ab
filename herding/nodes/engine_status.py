"""What an engine tells of itself, read so that nothing else passes for one."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError, field_validator

from herding.errors import BadResponseError
from herding.values import NodeState, NodeStatus, System

_STATES: dict[str, NodeState] = {"idle": "starting", "loading": "loading", "ready": "ready", "failed": "down"}


class _Told(BaseModel):
    state: str
    model: str | None
    loading: str | None = None
    progress: float | None = None
    stage: str | None = None
    error: str | None = None
    context_length: int | None = None
    active: int = 0
    waiting: int = 0
    device: str | None = None
    system: System | None = None

    @field_validator("system", mode="before")
    @classmethod
    def _not_measured_yet(cls, system: Any) -> Any:
        return system or None

    @property
    def detail(self) -> str:
        if self.loading:
            return f"Loading {self.loading}: {self.stage or 'starting'}"
        return self.error or ""


def read_status(data: Any, *, node: str, offers: tuple[str, ...]) -> NodeStatus:
    """The status of `node` in the answer to `GET /status`; BadResponseError where it is another program's."""
    try:
        told = _Told.model_validate(data)
    except ValidationError:
        raise BadResponseError(f"What answers at node '{node}' is no engine of ours.", node=node) from None
    return NodeStatus(
        state=_STATES.get(told.state, "down"),
        serves=(told.model,) if told.state == "ready" and told.model else (),
        offers=offers,
        detail=told.detail,
        loading=told.loading,
        progress=told.progress,
        context_length=told.context_length,
        active=told.active,
        waiting=told.waiting,
        device=told.device,
        system=told.system,
    )
