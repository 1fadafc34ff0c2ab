"""Statistics of requests: totals, a chart over time, and a table by user, token, prompt, model, node or day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from markupsafe import Markup

from herding.access.operations import HISTORY_ALL, TOKENS
from herding.evaluation.usage import UsageReport
from herding.orchestrator import Orchestrator
from herding.store import now_ms
from herding.ui.kit.charts.bar_chart import bar_chart
from herding.ui.kit.charts.bars import share_bar
from herding.ui.kit.charts.time_sums import Bar, bucket_width
from herding.ui.kit.fields import select_field
from herding.ui.kit.format import KINDS, STATUS, cost_text, duration, el, empty_state, join
from herding.ui.kit.period import CUSTOM, PRESETS, period_fields, read_period
from herding.ui.kit.tables import matrix, matrix_row, total_tiles
from herding.ui.kit.views import Call
from herding.values import GroupName, HistoryFilter, Principal, UsageGroup, UsageSum, format_dollars
from herding.values.durations import DAY_MS, HOUR_MS, MINUTE_MS

MONTH = "29"
ANY = ""
MAX_ROWS = 50
FIRST_BARS = 24
"""Places that the chart has at least while all requests are recent."""

FINER: tuple[tuple[GroupName, int, int], ...] = (
    ("hour", 2 * DAY_MS, HOUR_MS),
    ("minute", 2 * HOUR_MS, 5 * MINUTE_MS),
)
"""Shorter steps of the chart: the group, how old the first request may be for it, and the step."""

GROUPS: dict[GroupName, str] = {
    "user": "User",
    "token": "Token",
    "prompt": "Prompt",
    "kind": "Kind",
    "model": "Model",
    "node": "Node",
    "status": "Status",
    "day": "Day",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """A sum that can be plotted; `single`: of all requests together, since it does not add up."""

    label: str
    value: Callable[[UsageSum], float]
    show: Callable[[float], str]
    single: bool = False


METRICS = {
    "requests": Metric("Requests", lambda sums: sums.requests, "{:,.4g}".format),
    "tokens": Metric("Tokens", lambda sums: sums.input_tokens + sums.output_tokens, lambda value: f"{value:,.0f}"),
    "cost": Metric("Cost", lambda sums: sums.cost or 0, lambda value: format_dollars(round(value))),
    "latency": Metric("Mean latency", lambda sums: sums.mean_ms or 0, duration, single=True),
}
HEADS = ("Requests", "Share", "Succeeded", "Failed", "Input tokens", "Output tokens", "Cost", "Mean latency",
         "First token")  # fmt: skip
NOTES = (
    "Days are in UTC. Failed includes incomplete responses. Cost: the sum of the requests with a known price. "
    "Latency and first token: means of the succeeded requests, from their arrival."
)
NO_REQUESTS = empty_state("No requests in this period", "Choose a longer period, or remove a filter.")


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices of the reader, as the address has them."""

    by: GroupName
    metric: str
    user: str
    period: str
    begin: str
    end: str

    @classmethod
    def read(cls, call: Call) -> Choices:
        """Return the choices of a request; what is not known is as at first."""
        group, metric, period = call.text("group"), call.text("metric"), call.text("period")
        return cls(
            by=group if group in GROUPS else "model",
            metric=metric if metric in METRICS else "requests",
            user=call.text("user"),
            period=period if period in {value for _, value in PRESETS} else MONTH,
            begin=call.text("from"),
            end=call.text("to"),
        )

    def address(self) -> dict[str, str]:
        """Return the fields of the address, empty for what is as at first."""
        custom = self.period == CUSTOM
        return {
            "group": "" if self.by == "model" else self.by,
            "metric": "" if self.metric == "requests" else self.metric,
            "user": self.user,
            "period": "" if self.period == MONTH else self.period,
            "from": self.begin if custom else "",
            "to": self.end if custom else "",
        }


async def filters(choices: Choices, orchestrator: Orchestrator, who: Principal) -> Markup:
    """Return the form with the choices; groups and filters by user are for readers who see all of them."""
    everything = HISTORY_ALL in who.rights
    users = await orchestrator.usage.users(who) if everything else ()
    groups = [(name, str(key)) for key, name in GROUPS.items() if everything or key != "user"]
    metrics = [(metric.label, key) for key, metric in METRICS.items()]
    names = [("All users", ANY), *((user, user) for user in dict.fromkeys([*users, *filter(None, [choices.user])]))]
    return el(
        "form",
        period_fields("usage", choices.period, choices.begin, choices.end, optional=False),
        select_field("Group by", "group", groups, choices.by, id="usage-group"),
        select_field("Plot", "metric", metrics, choices.metric, id="usage-metric"),
        select_field("User", "user", names, choices.user, id="usage-user") if everything else None,
        id="usage-filters",
        cls="filters-row",
        hx_get="ui/usage/statistics",
        hx_target="#usage-statistics",
        hx_trigger="change, submit, shown from:closest .view",
        hx_sync="this:replace",
    )


async def statistics(choices: Choices, orchestrator: Orchestrator, who: Principal) -> Markup:
    """Return the totals, the chart and the table."""
    now = now_ms()
    since, until = read_period(choices.period, choices.begin, choices.end, now)
    where = HistoryFilter(principal=choices.user or None, since=since, until=until)
    report = await orchestrator.usage.report((choices.by,), where, who)
    if not report.total.requests:
        return NO_REQUESTS
    names = await _token_names(orchestrator, who) if choices.by == "token" else {}
    return join([totals(report.total), await _chart(choices, where, names, orchestrator, who), table(report, names)])


async def _chart(
    choices: Choices, where: HistoryFilter, names: Mapping[str, str], orchestrator: Orchestrator, who: Principal
) -> Markup | None:
    """Return the chart over the days of the period; in shorter steps while all requests are recent."""
    metric, now = METRICS[choices.metric], now_ms()
    single = choices.by == "day" or metric.single
    by: tuple[GroupName, ...] = () if single else (choices.by,)
    report = await orchestrator.usage.report(("day", *by), where, who)
    first = _first(report)
    since = where.since if where.since is not None else first
    until = min(where.until if where.until is not None else now + 1, max(first + DAY_MS, now + 1))
    width = bucket_width(since, until)
    for unit, span, step in FINER:
        if now - first > span:
            break
        report = await orchestrator.usage.report((unit, *by), where, who)
        first, width = _first(report), step
        until = min(until, now + 1)  # hours to come would squeeze the few minutes there are
        since = min(first, until - FIRST_BARS * step)
    bars = _bars(report, metric, width, lambda group: _series(choices.by, group, names, single=single))
    title = metric.label if single else f"{metric.label} by {GROUPS[choices.by].lower()}"
    return bar_chart(
        bars, title=title, value=metric.label, since=since, until=until - 1, width_ms=width, show=metric.show
    )


def _first(report: UsageReport) -> int:
    """Return the first time with requests."""
    return min(int(group.key[0] or 0) for group in report.groups if group.sums.requests)


def _bars(report: UsageReport, metric: Metric, width: int, name: Callable[[UsageGroup], str]) -> Iterator[Bar]:
    """Return the values of the chart; means are weighted, so that those of one bar add up to its mean."""
    succeeded = Counter[int]()
    for group in report.groups:
        succeeded[int(group.key[0] or 0) // width] += group.sums.succeeded
    for group in report.groups:
        at, value = int(group.key[0] or 0), metric.value(group.sums)
        if metric.single:
            value *= group.sums.succeeded / max(1, succeeded[at // width])
        yield Bar(at, name(group), value)


def _series(by: GroupName, group: UsageGroup, names: Mapping[str, str], *, single: bool) -> str:
    return "All requests" if single else names.get(str(group.key[1])) or label(by, group.key[1])


async def _token_names(orchestrator: Orchestrator, who: Principal) -> Mapping[str, str]:
    """Return the names of the tokens that the reader may list, by id."""
    if TOKENS not in who.rights:
        return {}
    tokens = await orchestrator.accounts.tokens(who)
    return {token.id: f"{token.name} ({token.user})" for token in tokens}


def label(by: GroupName, value: str | int | None) -> str:
    """Return the value of a group as it is shown."""
    if by == "day" and isinstance(value, int):
        return f"{datetime.fromtimestamp(value / 1000, UTC):%-d %b %Y}"
    if value in (None, ""):
        return {"token": "No token", "prompt": "No prompt", "node": "No node", "model": "No model"}.get(by, "–")
    if by == "status":
        return STATUS.get(str(value), (str(value),))[0]
    return KINDS.get(str(value), "Prompt") if by == "kind" else str(value)


def totals(sums: UsageSum) -> Markup:
    """Return the sums of all requests as tiles."""
    ended = sums.succeeded + sums.failed
    share = f"{100 * sums.succeeded / ended:.0f} % succeeded" if ended else ""
    priced = "" if sums.priced == sums.requests else f"of {sums.priced:,} requests"
    tiles = (
        ("Requests", f"{sums.requests:,}", share),
        ("Input tokens", f"{sums.input_tokens:,}", ""),
        ("Output tokens", f"{sums.output_tokens:,}", ""),
        ("Cost", cost_text(sums.cost), priced if sums.cost is not None else ""),
        ("Mean latency", duration(sums.mean_ms), ""),
        ("First token", duration(sums.mean_first_token_ms), ""),
    )
    return total_tiles(tiles)


def table(report: UsageReport, names: Mapping[str, str]) -> Markup:
    """Return a row for each group, the most requests first; days in their order."""
    (by,) = report.by
    ranked = [group for group in report.groups if group.sums.requests or by == "day"]
    ranked.sort(key=lambda group: -int(group.key[0] or 0) if by == "day" else -group.sums.requests)
    heads = (GROUPS[by], *HEADS)
    rows = (_row(group, heads, report, names) for group in ranked[:MAX_ROWS])
    left = len(ranked) - MAX_ROWS
    more = el("p", f"{left:,} more rows in the CSV file.", cls="muted") if left > 0 else None
    title = el("div", el("h3", f"By {GROUPS[by].lower()}"), _download(report), cls="usage-table-head")
    frame = matrix(f"Statistics by {GROUPS[by].lower()}", heads, rows, label="Statistics", numbers=1)
    return join([title, frame, more, el("p", NOTES, cls="muted small")])


def _row(group: UsageGroup, heads: Sequence[str], report: UsageReport, names: Mapping[str, str]) -> Markup:
    sums, key, by = group.sums, group.key[0], report.by[0]
    partly = sums.cost is not None and sums.priced < sums.requests
    values: tuple[object, ...] = (
        el("b", names.get(str(key)) or label(by, key), cls="model"),
        f"{sums.requests:,}",
        share_bar(sums.requests / max(1, report.total.requests)),
        f"{sums.succeeded:,}",
        f"{sums.failed:,}",
        f"{sums.input_tokens:,}",
        f"{sums.output_tokens:,}",
        join([cost_text(sums.cost) if sums.requests else "–", _part(sums) if partly else None]),
        duration(sums.mean_ms),
        duration(sums.mean_first_token_ms),
    )
    return matrix_row(heads, values, numbers=1)


def _part(sums: UsageSum) -> Markup:
    return el("small", f"of {sums.priced:,} requests", cls="muted")


def _download(report: UsageReport) -> Markup:
    """Return a link that downloads the groups."""
    where = report.where
    given = {"group_by": report.by[0]} | ({"user": where.principal} if where.principal else {})
    for name, at in (("from", where.since), ("to", where.until)):
        if at is not None:
            given[name] = f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    link = el("a", "CSV", href=f"api/v1/usage.csv?{urlencode(given)}", download="usage.csv", cls="btn")
    return el("nav", "Download", link, cls="export", aria_label="Download")
