"""What is known of how models did: tries of the newest requests, and of those that were rated lately."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, Select, desc, select, union

from herding.store.tables import attempt, request, score
from herding.values import TELLING, Trial


def trials(connection: Connection, *, limit: int) -> list[Trial]:
    """Every try of a prompt's newest requests, oldest request first, with the stars that its answer got.

    At most `limit` requests, and as many of those that were rated last: ratings are few, and tell most.
    """
    ids = select(union(_newest(limit), _rated(limit)).subquery().c.id)
    stars: dict[str, dict[str, int]] = defaultdict(dict)
    given = select(score.c.request_id, score.c.principal, score.c.stars).where(score.c.request_id.in_(ids))
    for request_id, principal, number in connection.execute(given):
        stars[request_id][principal] = number
    return [
        Trial(
            request_id=row.id,
            prompt=row.prompt,
            model=row.model,
            at=row.created_at,
            error_type=row.error_type,
            checks_passed=None if row.error_type else row.checks_passed,
            total_ms=row.total_ms,
            stars={} if row.error_type else stars.get(row.id, {}),
        )
        for row in connection.execute(_tries(ids))
    ]


def _newest(limit: int) -> Select[Any]:
    newest = select(request.c.id).where(request.c.prompt != "", request.c.status.in_(TELLING))
    return select(newest.order_by(desc(request.c.created_at), desc(request.c.id)).limit(limit).subquery())


def _rated(limit: int) -> Select[Any]:
    rated = select(score.c.request_id.label("id")).order_by(desc(score.c.updated_at), score.c.request_id).limit(limit)
    return select(rated.subquery())


def _tries(ids: Select[Any]) -> Select[Any]:
    columns = (request.c.id, request.c.prompt, request.c.created_at, request.c.checks_passed)
    tried = (attempt.c.model, attempt.c.error_type, attempt.c.total_ms)
    return (
        select(*columns, *tried)
        .select_from(request.join(attempt, attempt.c.request_id == request.c.id))
        .where(request.c.id.in_(ids), request.c.prompt != "", request.c.status.in_(TELLING))
        .order_by(request.c.created_at, request.c.id, attempt.c.number)
    )
