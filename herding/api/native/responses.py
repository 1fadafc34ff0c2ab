"""What front doors show of requests, prompts and nodes, as plain data for JSON."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from herding.values import (
    Entry,
    Limit,
    LimitUse,
    NodeEvent,
    NodeInfo,
    NodeRecord,
    Outcome,
    Principal,
    PromptInfo,
    Score,
    Token,
    User,
)

Json = dict[str, Any]


def answer(outcome: Outcome) -> Json:
    """A finished request, as whoever sent it sees it. Times are in milliseconds."""
    considered = [asdict(candidate) for candidate in outcome.candidates] or None
    routing = {"policy": outcome.policy, "reason": outcome.reason, "candidates": considered}
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
        "checks": asdict(outcome.checks),
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
        "parameters": outcome.parameters.given(),
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
        "version": info.version,
        "newest": info.newest,
        "label": info.label,
        "labels": dict(info.labels),
        "roles": info.roles,
        "cors": info.cors,
        "chat": info.chat,
        "target_models": info.target_models,
        "variables": dict(info.variables),
        "body": info.body,
        "parameters": info.parameters.given(),
        "checks": dict(info.checks),
        "served": dict(info.served),
        "stats": asdict(info.stats),
        "notes": info.notes,
    }


def node(info: NodeInfo) -> Json:
    """A node, its state, and what it did in the last 24 hours."""
    return asdict(info)


def node_record(found: NodeRecord) -> Json:
    """A node that was added at run time, as it was given, without its secrets."""
    return {
        "name": found.name,
        "kind": found.kind,
        "config": dict(found.config),
        "origin": found.origin,
        "owner": found.owner,
        "added_by": found.added_by,
        "at": instant(found.at),
    }


def node_event(event: NodeEvent) -> Json:
    """A change of a node."""
    return {"at": instant(event.at_ms), "node": event.node, "kind": event.kind, "detail": event.detail}


def user(found: User) -> Json:
    """A user with the limits of their own."""
    return {
        "id": found.id,
        "name": found.name,
        "role": found.role,
        "limits": [limit(own) for own in found.limits],
        "opt_out_history_content": found.opt_out,
        "disabled": found.disabled,
        "created_at": instant(found.created_at),
    }


def limit(found: Limit) -> Json:
    """A limit; its interval is in hours."""
    return {"type": found.type, "interval": found.interval_hours, "limit": found.limit}


def limit_use(use: LimitUse) -> Json:
    """A limit, how much of it is used, and when some of that comes back."""
    return limit(use.limit) | {"used": use.used, "frees_at": use.frees_at and instant(use.frees_at)}


def token(found: Token) -> Json:
    """A token without its secret. Null times mean never; the role is null where it is the user's."""
    times = {name: getattr(found, name) for name in ("expires_at", "revoked_at", "last_used_at")}
    return {
        "id": found.id,
        "user": found.user,
        "name": found.name,
        "role": found.role,
        "created_at": instant(found.created_at),
        "created_by": found.created_by,
        **{name: ms and instant(ms) for name, ms in times.items()},
    }


def principal(who: Principal, found: User | None) -> Json:
    """Somebody as they are told of themselves."""
    return {
        "id": who.id,
        "name": found.name if found else who.id,
        "role": who.role,
        "rights": sorted(who.rights),
        "tabs": who.tabs,
        "nodes": who.nodes,
        "prompts": who.prompts,
        "limits": [limit(own) for own in who.limits],
        "opt_out_history_content": found.opt_out if found else who.opt_out,
        "token": {"id": who.token, "expires_at": who.expires_at and instant(who.expires_at)} if who.token else None,
    }


def instant(ms: int) -> str:
    """A moment in ISO 8601, UTC, from Unix milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
