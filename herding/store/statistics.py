"""Statistics of prompts, nodes and models, and what routing learns from."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, ScalarSelect, Select, Subquery, case, desc, func, or_, select, union

from herding.store.database import Reader
from herding.store.rows import storable
from herding.store.tables import attempt, learning_reset, request, score, upsert
from herding.store.writer import Writer
from herding.values import CONCLUSIVE_STATUSES, AttemptEvidence, AttemptStats, ModelStats, NodeStats, PromptStats, Reset
from herding.values.durations import DAY_MS


@dataclass(frozen=True, slots=True)
class PromptRequests:
    """The requests of a prompt since an instant (Unix ms).

    `versions` are those that count, None for all of them. Without `edited`, only runs of saved texts count.
    """

    prompt: str
    since: int
    versions: frozenset[int] | None = None
    edited: bool = True


class StatisticsStore:
    """The part of the store that adds up statistics. What is written is durable when a method returns."""

    _writer: Writer
    _reader: Reader

    async def reset_learning(self, reset: Reset) -> None:
        """Save a reset of a prompt's routing data, replacing an earlier one."""
        row = {"prompt": storable(reset.prompt), "at": reset.at, "by": storable(reset.by)}
        await self._writer.call(lambda c: c.execute(upsert(c.dialect.name, learning_reset), row).rowcount)

    async def learning_resets(self) -> dict[str, Reset]:
        """Return the last reset of every prompt that was reset, by prompt key."""
        rows = await self._reader.run(lambda c: c.execute(select(learning_reset)).all())
        return {row.prompt: Reset(row.prompt, row.at, row.by) for row in rows}

    async def trials(self, *, limit: int) -> list[AttemptEvidence]:
        """Return the attempts of the newest `limit` requests, and of as many rated last, oldest request first."""
        return await self._reader.run(lambda c: _trials(c, limit))

    async def attempts(self, where: PromptRequests, *, limit: int) -> tuple[int, list[AttemptStats]]:
        """Return the number of requests of a prompt, and the attempts of the newest `limit`.

        Oldest first. Requests that were stopped are not counted, since they say nothing about a model.
        """
        return await self._reader.run(lambda c: (_count(c, where), _prompt_attempts(c, where, limit)))

    async def prompt_stats(self) -> dict[str, PromptStats]:
        """Return uses, stars (of all principals) and last use of every prompt, by key."""
        return await self._reader.run(_prompt_stats)

    async def node_stats(self, *, since: int) -> dict[str, NodeStats]:
        """Return the statistics of every node over the attempts since an instant (Unix ms), by name.

        A failed attempt counts as a request and as a failure. Tokens are of the requests that the node answered.
        """
        return await self._reader.run(lambda c: _node_stats(c, since))

    async def model_stats(self, *, since: int) -> dict[str, ModelStats]:
        """Return the statistics of every model over the attempts since an instant (Unix ms), by id."""
        return await self._reader.run(lambda c: _model_stats(c, since))


def _matching(query: Select[Any], where: PromptRequests) -> Select[Any]:
    """Restrict a query to the requests of a prompt that count, for a chain to its steps; an index answers it."""
    columns = request.c
    found = query.where(
        columns.created_at >= where.since,
        columns.prompt == storable(where.prompt),
        columns.status.in_(CONCLUSIVE_STATUSES),
        columns.kind != "chain",
    )
    if where.versions is not None:
        found = found.where(columns.version.in_(sorted(where.versions)))
    return found if where.edited else found.where(columns.edited.is_(False))


def _count(connection: Connection, where: PromptRequests) -> int:
    query = _matching(select(func.count()).select_from(request), where)
    return int(connection.execute(query).scalar_one())


def _prompt_attempts(connection: Connection, where: PromptRequests, limit: int) -> list[AttemptStats]:
    newest = _matching(select(request.c.id), where).order_by(desc(request.c.created_at), desc(request.c.id))
    ids = newest.limit(limit).subquery()
    stars: dict[str, tuple[int, ...]] = defaultdict(tuple)
    for request_id, given in connection.execute(_stars(ids)):
        stars[request_id] += (given,)
    rows = connection.execute(_attempt_rows(ids)).all()
    last = {row.id: row.number for row in rows}
    return [
        AttemptStats(
            version=row.version,
            edited=row.edited,
            model=row.model,
            at=row.created_at,
            ok=row.error_type is None,
            checks_passed=None if row.error_type else row.checks_passed,
            total_ms=row.total_ms,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            stars=() if row.error_type else stars.get(row.id, ()),
            cost=row.cost if row.number == last[row.id] else None,
            node=row.node or "",
        )
        for row in rows
    ]


def _attempt_rows(ids: Subquery) -> Select[Any]:
    asked = (request.c.id, request.c.version, request.c.edited, request.c.created_at, request.c.checks_passed)
    tokens = (request.c.input_tokens, request.c.output_tokens, request.c.cost)
    tried = (attempt.c.number, attempt.c.model, attempt.c.node, attempt.c.error_type, attempt.c.total_ms)
    whole = ids.join(request, request.c.id == ids.c.id).join(attempt, attempt.c.request_id == ids.c.id)
    ordered = (request.c.created_at, request.c.id, attempt.c.number)
    return select(*asked, *tokens, *tried).select_from(whole).order_by(*ordered)


def _stars(ids: Subquery) -> Select[Any]:
    """Return each rating of each request."""
    whole = ids.join(score, score.c.request_id == ids.c.id)
    return select(score.c.request_id, score.c.stars).select_from(whole).order_by(score.c.updated_at)


def _model_stats(connection: Connection, since: int) -> dict[str, ModelStats]:
    counts = (func.count().label("total"), func.count(attempt.c.error_type).label("errors"))
    query = select(attempt.c.model, *counts).where(attempt.c.started_at >= since).group_by(attempt.c.model)
    rows = connection.execute(query).all()
    whole = sum(1 - row.errors / row.total for row in rows)
    return {row.model: ModelStats.counted(row.total, row.errors, whole) for row in rows}


def _prompt_stats(connection: Connection) -> dict[str, PromptStats]:
    uses = select(request.c.prompt, func.count(), func.max(request.c.created_at)).group_by(request.c.prompt)
    rated = (
        select(request.c.prompt, func.count(), func.avg(score.c.stars))
        .select_from(score.join(request, request.c.id == score.c.request_id))
        .where(or_(request.c.parent.is_(None), request.c.prompt != _chain_prompt()))
        .group_by(request.c.prompt)
    )
    stars = {prompt: (count, float(mean)) for prompt, count, mean in connection.execute(rated)}
    own = {prompt: count for prompt, count in connection.execute(_own_steps())}
    found = {}
    for prompt, count, last in connection.execute(uses):
        rated_by, mean = stars.get(prompt, (0, None))
        found[prompt] = PromptStats(count - own.get(prompt, 0), rated_by, mean, last)
    return found


def _chain_prompt() -> ScalarSelect[str]:
    """Select the prompt of the chain that a request is a step of."""
    chain = request.alias()
    return select(chain.c.prompt).where(chain.c.id == request.c.parent).scalar_subquery()


def _own_steps() -> Select[Any]:
    """Count the requests by which chains ran their own text: they belong to a use that is counted already."""
    chain = request.alias()
    both = request.join(chain, (chain.c.id == request.c.parent) & (chain.c.prompt == request.c.prompt))
    return select(request.c.prompt, func.count()).select_from(both).group_by(request.c.prompt)


def _node_stats(connection: Connection, since: int) -> dict[str, NodeStats]:
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
        for row in connection.execute(_node_attempts(since))
    }


def _node_attempts(since: int) -> Select[Any]:
    """Add up counts and times by node; a span adds to the busy time the part after the latest end before it."""
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
    """Select every attempt with its end, and the latest end of the earlier ones of its node (None for the first)."""
    end = attempt.c.started_at + attempt.c.total_ms
    before = func.max(end).over(partition_by=attempt.c.node, order_by=(attempt.c.started_at, end), rows=(None, -1))
    columns = (attempt.c.node, attempt.c.total_ms, attempt.c.error_type, attempt.c.started_at.label("start"))
    return select(*columns, end.label("end"), before.label("before")).where(attempt.c.started_at >= since)


def _tokens(since: int) -> Select[Any]:
    """Add up tokens by node; requests are found by their attempts, which have the matching index."""
    recent = select(attempt.c.request_id).where(attempt.c.started_at >= since)
    sums = (func.sum(request.c.input_tokens), func.sum(request.c.output_tokens))
    # The period lets an index of requests answer. No request waits for its attempts for as long as a day.
    within = request.c.created_at >= since - DAY_MS
    answered = select(request.c.node, *sums).where(within, request.c.id.in_(recent), request.c.node.is_not(None))
    return answered.group_by(request.c.node)


def _trials(connection: Connection, limit: int) -> list[AttemptEvidence]:
    """Return attempts with the stars of their responses; ratings are few and tell most, so the last rated are added."""
    ids = select(union(_newest(limit), _rated(limit)).subquery().c.id)
    stars: dict[str, dict[str, int]] = defaultdict(dict)
    given = select(score.c.request_id, score.c.principal, score.c.stars).where(score.c.request_id.in_(ids))
    for request_id, principal, number in connection.execute(given):
        stars[request_id][principal] = number
    return [
        AttemptEvidence(
            request_id=row.id,
            prompt=row.prompt,
            model=row.model,
            at=row.created_at,
            error_type=row.error_type,
            checks_passed=None if row.error_type else row.checks_passed,
            total_ms=row.total_ms,
            stars={} if row.error_type else stars.get(row.id, {}),
        )
        for row in connection.execute(_trial_rows(ids))
    ]


def _newest(limit: int) -> Select[Any]:
    newest = select(request.c.id).where(request.c.prompt != "", request.c.status.in_(CONCLUSIVE_STATUSES))
    return select(newest.order_by(desc(request.c.created_at), desc(request.c.id)).limit(limit).subquery())


def _rated(limit: int) -> Select[Any]:
    rated = select(score.c.request_id.label("id")).order_by(desc(score.c.updated_at), score.c.request_id).limit(limit)
    return select(rated.subquery())


def _trial_rows(ids: Select[Any]) -> Select[Any]:
    columns = (request.c.id, request.c.prompt, request.c.created_at, request.c.checks_passed)
    tried = (attempt.c.model, attempt.c.error_type, attempt.c.total_ms)
    return (
        select(*columns, *tried)
        .select_from(request.join(attempt, attempt.c.request_id == request.c.id))
        .where(request.c.id.in_(ids), request.c.prompt != "", request.c.status.in_(CONCLUSIVE_STATUSES))
        .order_by(request.c.created_at, request.c.id, attempt.c.number)
    )
