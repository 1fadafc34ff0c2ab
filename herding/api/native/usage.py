"""Limits with their use, and statistics of requests as JSON and CSV."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from herding.api.http.errors import error_responses, file_response
from herding.api.http.models import Instant, ResponseModel, format_instant
from herding.api.http.request import Caller
from herding.api.http.request_filter import RequestFilter
from herding.api.http.response import download_headers
from herding.api.http.spreadsheet import BYTE_ORDER_MARK, csv_line
from herding.api.native.accounts import LimitUseResponse
from herding.api.native.exports import plain_dollars
from herding.errors import AccessError, NotFoundError, UserError
from herding.evaluation.usage import SUMS, TIME_FORMATS, UsageReport
from herding.orchestrator import Orchestrator
from herding.values import GroupName, HistoryFilter, UsageGroup, UsageSum, to_dollars

_OTHERS = AccessError("The role 'user' sees only your own requests. Leave out 'user'.")
_NO_USER = NotFoundError("User not found.", param="user")
_NAMES: tuple[GroupName, ...] = get_args(GroupName)


class UsageSums(ResponseModel):
    """Sums of requests. Costs are in US dollars, of the `priced` requests; null: no price is known.

    Times are means of the succeeded requests in milliseconds.
    """

    requests: int
    succeeded: int
    failed: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    priced: int
    mean_ms: float | None
    mean_first_token_ms: float | None

    @classmethod
    def from_sums(cls, sums: UsageSum) -> UsageSums:
        """Return sums with their cost in dollars."""
        fields = {name: getattr(sums, name) for name in SUMS}
        return cls(**fields | {"cost": None if sums.cost is None else to_dollars(sums.cost)})


class UsageGroupEntry(ResponseModel):
    """The sums of the requests that have these values; times are in UTC, null is no value."""

    key: dict[GroupName, str | None]
    sums: UsageSums


class UsageStatistics(ResponseModel):
    """The sums of all matching requests, and of each group of them."""

    group_by: list[GroupName]
    since: Instant | None = Field(serialization_alias="from")
    until: Instant | None = Field(serialization_alias="to")
    total: UsageSums
    groups: list[UsageGroupEntry]

    @classmethod
    def from_report(cls, report: UsageReport) -> UsageStatistics:
        """Return a report."""
        groups = [
            UsageGroupEntry(key=_key(group, report.by), sums=UsageSums.from_sums(group.sums)) for group in report.groups
        ]
        return cls(
            group_by=list(report.by),
            since=format_instant(report.where.since),
            until=format_instant(report.where.until),
            total=UsageSums.from_sums(report.total),
            groups=groups,
        )


class UsageResponse(ResponseModel):
    """Your limits, or those of `user`; `statistics` only if the query asks for groups or has a filter."""

    limits: list[LimitUseResponse]
    statistics: UsageStatistics | None = None


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """A filter of requests, and the names to group them by."""

    by: tuple[GroupName, ...]
    where: HistoryFilter

    @property
    def plain(self) -> bool:
        """True without any parameter but the user."""
        return not self.by and replace(self.where, principal=None) == HistoryFilter()


async def usage_query(
    where: RequestFilter,
    *,
    group_by: Annotated[
        str | None,
        Query(max_length=100, description=f"up to three of {', '.join(_NAMES)}; comma-separated"),
    ] = None,
) -> UsageQuery:
    """Return the query of the parameters; an empty value matches all."""
    return UsageQuery(_names(group_by or ""), where)


Asked = Annotated[UsageQuery, Depends(usage_query)]


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the routes of the usage."""
    routes = APIRouter(prefix="/api/v1", tags=["me"])
    errors = error_responses(_OTHERS, _NO_USER, UserError("'to' must be after 'from'.", param="to"))

    @routes.get("/usage", responses=errors)
    async def get_usage(asked: Asked, who: Caller) -> UsageResponse:
        """Return your limits and how much of each is used, and with `group_by` or a filter, statistics of requests.

        They are of your own requests, or with the right `history_all` of all users.
        """
        user = asked.where.principal
        limits = [LimitUseResponse.from_use(use) for use in await orchestrator.accounts.usage(who, user=user)]
        if asked.plain and user is None:
            return UsageResponse(limits=limits)
        report = await orchestrator.usage.report(asked.by, asked.where, who)
        return UsageResponse(limits=limits, statistics=UsageStatistics.from_report(report))

    @routes.get("/usage.csv", response_class=Response, responses=file_response("text/csv", type="string") | errors)
    async def export_usage_as_csv(asked: Asked, who: Caller) -> Response:
        """Download statistics of requests as CSV for a spreadsheet; without `group_by`, by day."""
        report = await orchestrator.usage.report(asked.by or ("day",), asked.where, who)
        table = report.table()
        table["cost"] = table["cost"].map(plain_dollars, na_action="ignore")
        lines = (csv_line(row) for row in table.itertuples(index=False, name=None))
        text = BYTE_ORDER_MARK + csv_line(table.columns) + "".join(lines)
        return Response(text, media_type="text/csv; charset=utf-8", headers=download_headers("usage.csv"))

    return routes


def _names(text: str) -> tuple[GroupName, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = [name for name in _NAMES if name in names]
    if len(known) != len(set(names)):
        wrong = next(name for name in names if name not in _NAMES)
        message = f"Requests are not grouped by '{wrong[:40]}'. Choose from: {', '.join(_NAMES)}."
        raise UserError(message, param="group_by")
    return tuple(sorted(known, key=names.index))


def _key(group: UsageGroup, by: tuple[GroupName, ...]) -> dict[GroupName, str | None]:
    """Return the values of a group by name, with times as texts."""
    return {name: _text(name, value) for name, value in zip(by, group.key, strict=True)}


def _text(name: GroupName, value: str | int | None) -> str | None:
    if name in TIME_FORMATS and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC).strftime(TIME_FORMATS[name])
    return None if value is None else str(value)
