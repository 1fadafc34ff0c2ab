"""Numbers about prompts and nodes, added up by the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, case, func, select

from herding.store.tables import attempt, request, score
from herding.values import NodeStats, PromptStats


def prompt_stats(connection: Connection) -> dict[str, PromptStats]:
    """Uses, stars (of all principals) and last use of every prompt that occurs."""
    uses = select(request.c.prompt, func.count(), func.max(request.c.created_at)).group_by(request.c.prompt)
    rated = (
        select(request.c.prompt, func.count(), func.avg(score.c.stars))
        .select_from(score.join(request, request.c.id == score.c.request_id))
        .group_by(request.c.prompt)
    )
    stars = {prompt: (count, float(mean)) for prompt, count, mean in connection.execute(rated)}
    found = {}
    for prompt, count, last in connection.execute(uses):
        rated_by, mean = stars.get(prompt, (0, None))
        found[prompt] = PromptStats(count, rated_by, mean, last)
    return found


def node_stats(connection: Connection, *, since: int) -> dict[str, NodeStats]:
    """What every node did with the attempts that started at `since` (Unix milliseconds) or later.

    A try that failed counts as a request and as a failure. Tokens are of the requests that the node answered.
    """
    tokens = {node: (int(read), int(written)) for node, read, written in connection.execute(_tokens(since))}
    return {
        row.node: NodeStats(
            requests=row.requests,
            failures=row.failures,
            input_tokens=tokens.get(row.node, (0, 0))[0],
            output_tokens=tokens.get(row.node, (0, 0))[1],
            total_ms=row.total_ms,
            busy_ms=row.busy_ms,
            mean_ms=row.total_ms / row.requests,
        )
        for row in connection.execute(_attempts(since))
    }


def _attempts(since: int) -> Select[Any]:
    """Counts and times by node. Each span adds to the busy time what lies beyond the latest end of those before it."""
    spans = _spans(since).subquery()
    begun, reach = func.coalesce(spans.c.before, spans.c.start), spans.c.end
    return select(
        spans.c.node,
        func.count().label("requests"),
        func.count(spans.c.error_type).label("failures"),
        func.sum(spans.c.total_ms).label("total_ms"),
        func.sum(
            case(
                (reach <= begun, 0.0),
                (begun > spans.c.start, reach - begun),
                else_=spans.c.total_ms,
            )
        ).label("busy_ms"),
    ).group_by(spans.c.node)


def _spans(since: int) -> Select[Any]:
    """Every attempt with its end, and the latest end of the earlier ones of its node (None for the first)."""
    end = attempt.c.started_at + attempt.c.total_ms
    before = func.max(end).over(partition_by=attempt.c.node, order_by=(attempt.c.started_at, end), rows=(None, -1))
    columns = (attempt.c.node, attempt.c.total_ms, attempt.c.error_type, attempt.c.started_at.label("start"))
    return select(*columns, end.label("end"), before.label("before")).where(attempt.c.started_at >= since)


def _tokens(since: int) -> Select[Any]:
    """Tokens by the node that answered; the requests are found by their attempts, which have the fitting index."""
    recent = select(attempt.c.request_id).where(attempt.c.started_at >= since)
    sums = (func.sum(request.c.input_tokens), func.sum(request.c.output_tokens))
    answered = select(request.c.node, *sums).where(request.c.id.in_(recent), request.c.node.is_not(None))
    return answered.group_by(request.c.node)
