"""Statistics of requests: totals, a plot over time, and a table by user, token, prompt, model, node or day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import gradio as gr
from markupsafe import Markup

from herding.access.operations import HISTORY_ALL, TOKENS, USAGE
from herding.evaluation.usage import UsageReport
from herding.orchestrator import Orchestrator
from herding.store import now_ms
from herding.ui.kit.day_plot import Bar, bucket_width, day_plot, update_plot
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import KINDS, STATUS, cost_text, duration, el, empty_state, join
from herding.ui.kit.latest import choice_key, shown_field
from herding.ui.kit.period import PeriodPicker, read_period
from herding.values import GroupName, HistoryFilter, Principal, UsageGroup, UsageSum, to_dollars

MONTH = "29"
ANY = ""
MAX_ROWS = 50
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
METRICS: dict[str, tuple[str, Callable[[UsageSum], float]]] = {
    "requests": ("Requests", lambda sums: sums.requests),
    "tokens": ("Tokens", lambda sums: sums.input_tokens + sums.output_tokens),
    "cost": ("Cost ($)", lambda sums: to_dollars(sums.cost or 0)),
    "latency": ("Mean latency (s)", lambda sums: round((sums.mean_ms or 0) / 1000, 3)),
}
"""The sums that can be plotted, each with its label. Latency is plotted for all requests together."""

HEADS = (*("Requests", "Succeeded", "Failed", "Input tokens", "Output tokens", "Cost", "Mean latency", "First token"),)
NOTES = (
    "Days are in UTC. Failed includes incomplete responses. Cost: the sum of the requests with a known price. "
    "Latency and first token: means of the succeeded requests, from their arrival."
)
NO_REQUESTS = empty_state("No requests in this period", "Choose a longer period, or remove a filter.")


class StatisticsPane:
    """The section: its layout and its handlers."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self.shown = shown_field("usage-shown")
        with gr.Column(elem_classes=["sheet", "insights"], elem_id="usage-statistics"):
            gr.HTML(el("h2", "Statistics"))
            with gr.Row(elem_classes=["filters", "many"]):
                self.period = PeriodPicker("usage", right=USAGE, name="usage", preset=MONTH, optional=False)
                self.group = _picker([(name, key) for key, name in GROUPS.items()], "model", "Group by", "usage-group")
                metrics = [(name, key) for key, (name, _) in METRICS.items()]
                self.metric = _picker(metrics, "requests", "Plot", "usage-metric")
                self.user = _picker([("All users", ANY)], ANY, "User", "usage-user")
            self.totals = gr.HTML(elem_id="usage-totals")
            self.plot = day_plot("usage-plot", value="Requests", name="Model")
            self.table = gr.HTML(elem_id="usage-table")
        self._wire()

    def _wire(self) -> None:
        now: dict[str, Any] = {"queue": False, "trigger_mode": "always_last"}
        changed = [*self.period.events, self.group.input, self.metric.input, self.user.input]
        on(changed, self.apply, self.inputs, self.content, name="usage_statistics", **now)
        checked = [self.shown, *self.inputs]
        on(self.shown.change, self.check_shown, checked, self.content, name="usage_check", **now)

    @property
    def inputs(self) -> list[Any]:
        return [self.group, self.metric, self.user, *self.period.fields]

    @property
    def content(self) -> list[Any]:
        """The components that follow the choices."""
        return [self.shown, self.totals, self.plot, self.table]

    @property
    def outputs(self) -> list[Any]:
        """All components, for opening the tab."""
        return [self.group, self.user, *self.content]

    async def show(self, principal: Principal, choices: Sequence[Any]) -> list[Any]:
        """Return updates of `outputs`; groups and filters by user are for readers who see all of them."""
        everything = HISTORY_ALL in principal.rights
        users = await self._orchestrator.usage.users(principal)
        names = [("All users", ANY), *((user, user) for user in users)]
        groups = [(name, key) for key, name in GROUPS.items() if everything or key != "user"]
        content = await self._content(choices, principal)
        return [gr.update(choices=groups), gr.update(choices=names, visible=everything), *content]

    @requires(USAGE)
    async def apply(self, group: Any, request: gr.Request, *choices: Any) -> list[Any]:
        """Show the statistics for other choices."""
        return await self._content((group, *choices), principal_of(request))

    @requires(USAGE)
    async def check_shown(self, shown: str, group: Any, request: gr.Request, *choices: Any) -> list[Any]:
        """Show the statistics for the current choices, if others are shown."""
        if not shown or shown == choice_key(group, *choices):
            return [gr.skip()] * len(self.content)
        return await self._content((group, *choices), principal_of(request))

    async def _content(self, choices: Sequence[Any], principal: Principal) -> list[Any]:
        """Return updates of `content`."""
        group, metric, user, preset, begin, end = choices
        by: GroupName = group if group in GROUPS else "model"
        now = now_ms()
        since, until = read_period(preset, begin, end, now)
        where = HistoryFilter(principal=user or None, since=since, until=until)
        report = await self._orchestrator.usage.report((by,), where, principal)
        if not report.total.requests:
            return [choice_key(*choices), NO_REQUESTS, gr.update(visible=False), ""]
        plot = await self._plot(by, str(metric), where, principal, now)
        names = await self._token_names(principal) if by == "token" else {}
        return [choice_key(*choices), totals(report.total), plot, table(report, names)]

    async def _plot(self, by: GroupName, metric: str, where: HistoryFilter, principal: Principal, now: int) -> Any:
        """Return an update of the plot over the days of the period."""
        title, value = METRICS.get(metric, METRICS["requests"])
        single = by == "day" or metric == "latency"
        names: tuple[GroupName, ...] = ("day",) if single else ("day", by)
        report = await self._orchestrator.usage.report(names, where, principal)
        days = [int(group.key[0] or 0) for group in report.groups]
        since = where.since if where.since is not None else min(days)
        until = (where.until if where.until is not None else max([*days, now + 1])) - 1
        bars = (
            Bar(day, "All requests" if single else label(by, group.key[1]), value(group.sums))
            for day, group in zip(days, report.groups, strict=True)
        )
        width = bucket_width(since, until)
        legend = "" if single else GROUPS[by]
        return update_plot(bars, since=since, until=until, width_ms=width, y_title=title, color_title=legend)

    async def _token_names(self, principal: Principal) -> Mapping[str, str]:
        """Return the names of the tokens that the reader may list, by id."""
        if TOKENS not in principal.rights:
            return {}
        tokens = await self._orchestrator.accounts.tokens(principal)
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
    return el("dl", *(_tile(*tile) for tile in tiles), cls="tiles")


def table(report: UsageReport, names: Mapping[str, str]) -> Markup:
    """Return a row for each group, the most requests first; days in their order."""
    (by,) = report.by
    ranked = [group for group in report.groups if group.sums.requests or by == "day"]
    ranked.sort(key=lambda group: -int(group.key[0] or 0) if by == "day" else -group.sums.requests)
    heads = (GROUPS[by], *HEADS)
    columns = (el("th", name, scope="col", cls="number" if n else "") for n, name in enumerate(heads))
    head = el("thead", el("tr", *columns))
    body = el("tbody", *(_row(group, heads, by, names) for group in ranked[:MAX_ROWS]))
    rows = el("table", el("caption", f"Statistics by {GROUPS[by].lower()}", cls="sr"), head, body, cls="matrix")
    left = len(ranked) - MAX_ROWS
    more = el("p", f"{left:,} more rows in the CSV file.", cls="muted") if left > 0 else None
    title = el("div", el("h2", f"By {GROUPS[by].lower()}"), _download(report), cls="page-head")
    frame = el("div", rows, cls="matrix-frame", role="region", tabindex="0", aria_label="Statistics")
    return join([title, frame, more, el("p", NOTES, cls="muted why")])


def _row(group: UsageGroup, heads: Sequence[str], by: GroupName, names: Mapping[str, str]) -> Markup:
    sums, key = group.sums, group.key[0]
    partly = sums.cost is not None and sums.priced < sums.requests
    values: tuple[object, ...] = (
        el("b", names.get(str(key)) or label(by, key), cls="model"),
        f"{sums.requests:,}",
        f"{sums.succeeded:,}",
        f"{sums.failed:,}",
        f"{sums.input_tokens:,}",
        f"{sums.output_tokens:,}",
        join([cost_text(sums.cost) if sums.requests else "–", _part(sums) if partly else None]),
        duration(sums.mean_ms),
        duration(sums.mean_first_token_ms),
    )
    cells = (
        el("td", el("span", value, cls="held"), data_label=name, cls="number" if n else "")
        for n, (name, value) in enumerate(zip(heads, values, strict=True))
    )
    return el("tr", *cells)


def _part(sums: UsageSum) -> Markup:
    return el("small", f"of {sums.priced:,} requests", cls="muted")


def _tile(name: str, value: str, note: str) -> Markup:
    return el("div", el("dt", name), el("dd", value), el("dd", note, cls="muted") if note else None)


def _download(report: UsageReport) -> Markup:
    """Return a link that downloads the groups."""
    where = report.where
    given = {"group_by": report.by[0]} | ({"user": where.principal} if where.principal else {})
    for name, at in (("from", where.since), ("to", where.until)):
        if at is not None:
            given[name] = f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    link = el("a", "CSV", href=f"api/v1/usage.csv?{urlencode(given)}", download="usage.csv", cls="button")
    return el("nav", "Download", link, cls="export", aria_label="Download")


def _picker(choices: list[tuple[str, Any]], value: str, name: str, elem_id: str) -> Any:
    return gr.Dropdown(
        choices, value=value, label=name, filterable=False, interactive=True, min_width=130, elem_id=elem_id
    )
