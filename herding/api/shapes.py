"""What front doors show of requests, prompts and nodes, as plain data for JSON."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from herding.values import Entry, NodeInfo, Outcome, Parameters, PromptInfo, Score

Json = dict[str, Any]


def answer(outcome: Outcome) -> Json:
    """A finished request, as whoever sent it sees it. Times are in milliseconds."""
    routing = {"policy": outcome.policy, "reason": outcome.reason, "candidates": None}
    return {
        "request_id": outcome.request_id,
        "text": outcome.answer,
        "prompt": outcome.prompt,
        "version": outcome.version,
        "variant": outcome.variant,
        "model": outcome.model,
        "node": outcome.node,
        "finish_reason": outcome.finish_reason,
        "usage": asdict(outcome.usage),
        "timings": {name: ms and round(ms, 3) for name, ms in asdict(outcome.timings).items()},
        "contract": asdict(outcome.contract),
        "routing": {**routing, "attempts": [asdict(attempt) for attempt in outcome.attempts]},
    }


def older_answer(outcome: Outcome) -> Json:
    """A finished request, as clients of the older form expect it."""
    return {"text": outcome.answer, "inference_id": outcome.request_id, "model": outcome.model}


def entry(entry: Entry) -> Json:
    """One request of the history."""
    outcome = entry.outcome
    error = {"type": outcome.error_type, "message": outcome.error} if outcome.error_type else None
    return {
        **answer(outcome),
        "status": outcome.status,
        "error": error,
        "created_at": instant(outcome.created_at),
        "principal": outcome.principal,
        "session_id": outcome.session_id,
        "edited": outcome.edited,
        "variables": dict(outcome.variables),
        "parameters": given(outcome.parameters),
        "input": outcome.input,
        "score": entry.stars,
        "comment": entry.comment,
    }


def score(score: Score) -> Json:
    """Stars and comment of the caller on a request."""
    return {"request_id": score.request_id, "score": score.stars, "comment": score.comment}


def prompt(info: PromptInfo) -> Json:
    """A prompt with its text, who serves it and how it did."""
    return {
        "key": info.key,
        "name": info.name,
        "description": info.description,
        "tags": info.tags,
        "label": info.label,
        "chat": info.chat,
        "target_models": info.target_models,
        "variables": dict(info.variables),
        "body": info.body,
        "parameters": given(info.parameters),
        "contract": dict(info.contract),
        "served": dict(info.served),
        "stats": asdict(info.stats),
        "notes": info.notes,
    }


def node(info: NodeInfo) -> Json:
    """A node, its state, and what it did in the last 24 hours."""
    return asdict(info)


def instant(ms: int) -> str:
    """A moment in ISO 8601, UTC, from Unix milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def given(parameters: Parameters) -> Json:
    """The sampling parameters that are set."""
    return {name: value for name, value in asdict(parameters).items() if value not in (None, ())}
