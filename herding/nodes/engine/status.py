"""The status of an engine, as its HTTP API tells it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, ValidationError, field_validator

from herding.errors import BadResponseError
from herding.values import EngineModel, ModelMemory, NodeState, NodeStatus, System

_STATES: dict[str, NodeState] = {"idle": "ready", "loading": "loading", "ready": "ready", "failed": "down"}


class _StatusBody(BaseModel):
    state: str
    model: str | None
    loading: str | None = None
    progress: float | None = None
    stage: str | None = None
    error: str | None = None
    context_length: int | None = None
    active: int = 0
    waiting: int = 0
    features: tuple[str, ...] = ()
    embeds: tuple[str, ...] = ()
    embedding_errors: dict[str, str] = Field(default_factory=dict)
    reranks: tuple[str, ...] = ()
    reranking_errors: dict[str, str] = Field(default_factory=dict)
    device: str | None = None
    system: System | None = None
    models: tuple[EngineModel, ...] = ()
    memory: ModelMemory | None = None
    keep_alive: float | None = None

    @field_validator("system", mode="before")
    @classmethod
    def _empty_is_none(cls, system: Any) -> Any:
        return system or None

    @property
    def detail(self) -> str:
        if self.loading:
            return f"Loading {self.loading}: {self.stage or 'starting'}"
        return self.error or ""


def read_status(data: Any, *, node: str, offers: tuple[str, ...]) -> NodeStatus:
    """Return the status in the body of `GET /status`; raise BadResponseError for that of another program."""
    try:
        body = _StatusBody.model_validate(data)
    except ValidationError:
        raise not_an_engine(node) from None
    starts = body.model is None and body.state == "loading"
    return NodeStatus(
        state=_STATES.get(body.state, "down"),
        embeds=() if starts else body.embeds,  # the node is not ready before its first model
        reranks=() if starts else body.reranks,
        faults=body.embedding_errors | body.reranking_errors,
        serves=tuple(model.id for model in body.models if model.state == "loaded"),
        offers=tuple(dict.fromkeys([*offers, *(model.id for model in body.models)])),
        detail=body.detail,
        models=tuple(sorted(body.models, key=lambda model: _ORDER.index(model.state))),
        memory=body.memory,
        keep_alive=body.keep_alive,
        loading=body.loading,
        progress=body.progress,
        context_length=body.context_length,
        active=body.active,
        waiting=body.waiting,
        features=body.features,
        device=body.device,
        system=body.system,
    )


_ORDER = ("loaded", "loading", "failed", "available")


def not_an_engine(node: str) -> BadResponseError:
    """Return the error for a server that is no engine."""
    return BadResponseError(f"The server at node '{node}' is not a Herding engine.", node=node)
