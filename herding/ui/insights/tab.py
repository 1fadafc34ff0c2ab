"""The tab "Insights": how the versions, models and nodes of a prompt did, and what the routing learned from it.

The address has `prompt` (a key) and `days` (7, 30 or 90).
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from herding.access.operations import INSIGHTS, PROMPTS, PUBLISH
from herding.errors import UserError
from herding.evaluation.insights import SPANS, PromptInsights
from herding.ui.insights.course import share_chart
from herding.ui.insights.report import node_table, routing, sample_note, totals, version_table
from herding.ui.insights.strips import colours, latency_chart, rating_chart
from herding.ui.kit import prompt_text
from herding.ui.kit.charts.bar_chart import bar_chart
from herding.ui.kit.charts.time_sums import Bar
from herding.ui.kit.fields import confirm_button, select_field
from herding.ui.kit.format import el, empty_state, join
from herding.ui.kit.links import tab_address
from herding.ui.kit.views import Call, Reply, View, fragment
from herding.values import Principal, PromptInfo

DAYS = 30
MIN_PERIODS = 23
"""Periods that the chart of requests shows at least, before the present one."""

REPORT = "#insights-report"
FILTERS = "#insights-filters"
RESET_QUESTION = (
    "Routing will no longer use the past requests and ratings of this prompt. Data of other prompts still counts, "
    "and the history stays. This can't be undone."
)


class InsightsTab(View):
    """The filters, and the report on a prompt."""

    key = "insights"
    label = "Insights"
    rights = frozenset({INSIGHTS})

    @fragment("GET", "", INSIGHTS)
    async def open(self, call: Call) -> Reply:
        """Return the whole tab for the prompt that the address names, else for the first one."""
        who, asked = call.principal, call.text("prompt")
        found = await self._orchestrator.prompts.list_all(who) if PROMPTS in who.rights else []
        known = {prompt.key: prompt for prompt in found}
        if not known:
            return Reply(no_prompts(who))
        chosen = asked if asked in known else next(iter(known))
        note = prompt_text.not_opened(asked) if asked and asked != chosen else None
        days = _days(call)
        shown = await self._report(chosen, days, who)
        address = {"prompt": chosen, "days": "" if days == DAYS else str(days)}
        report = el("div", shown, id=REPORT[1:], cls="insights-report")
        return Reply(join([filters(found, chosen, days), note, report]), address=address)

    @fragment("GET", "/report", INSIGHTS)
    async def report(self, call: Call) -> Reply:
        """Return the report on another prompt or period, which the address keeps."""
        key, days = call.text("prompt"), _days(call)
        address = {"prompt": key, "days": "" if days == DAYS else str(days)}
        return Reply(await self._report(key, days, call.principal), address=address)

    @fragment("POST", "/reset", PUBLISH)
    async def reset(self, call: Call) -> Reply:
        """Reset the routing data of the prompt."""
        key = call.text("prompt")
        if not key:
            raise UserError("Choose a prompt first.", param="prompt")
        await self._orchestrator.insights.reset(key, call.principal)
        return Reply(await self._report(key, _days(call), call.principal), notice="Routing data reset.")

    async def _report(self, key: str, days: int, who: Principal) -> Markup:
        return report_view(await self._orchestrator.insights.get(key, who, days=days), who)


def _days(call: Call) -> int:
    return call.whole("days", DAYS)


def no_prompts(who: Principal) -> Markup:
    """Return what stands in a tab without prompts."""
    href = tab_address("engineer", new="empty")
    link = el("a", "New prompt", href=href, cls="btn") if "engineer" in who.tabs else None
    return empty_state("No prompts yet", "Create one, or add a YAML file to the prompts directory.", link)


def filters(prompts: Sequence[PromptInfo], chosen: str, days: int) -> Markup:
    """Return the form with the prompt and the period; opened again, the tab is fetched anew."""
    options = [(prompt_text.picker_option(prompt), prompt.key) for prompt in prompts]
    form = el(
        "form",
        select_field("Prompt", "prompt", options, chosen, id="insights-prompt"),
        select_field("Period", "days", [(f"Last {n} days", str(n)) for n in SPANS], str(days), id="insights-days"),
        id=FILTERS[1:],
        cls="filters-row insights-filters",
        hx_get="ui/insights/report",
        hx_target=REPORT,
        hx_trigger="change, submit",
        hx_sync="this:replace",
    )
    again = el("div", hx_get="ui/insights", hx_include=FILTERS, hx_trigger="shown from:closest .view",
               hx_target="closest .view", hidden="")  # fmt: skip
    return join([form, again])


def report_view(report: PromptInsights, who: Principal) -> Markup:
    """Return the whole report, its head with the links that lead on."""
    routed = el("section", routing(report), _reset(who), id="insights-routing", cls="insights-card")
    head = el("div", sample_note(report), links(report, who), cls="insights-head")
    moved = _card(share_chart(report), "insights-shares")
    requests = _card(_activity(report), "insights-requests") if report.total else None
    beside = el("div", moved, requests, cls="insights-column") if moved or requests else None
    shares = el("div", routed, beside, cls="insights-grid")
    if not report.total:
        return join([head, no_requests(report, who), shares])
    ratings, latencies = (
        _card(chart, name)
        for chart, name in ((rating_chart(report), "insights-ratings"), (latency_chart(report), "insights-latency"))
    )
    return join(
        [
            head,
            totals(report),
            shares,
            el("div", ratings, latencies, cls="insights-grid"),
            el("section", version_table(report), id="insights-matrix", cls="insights-card"),
            _card(node_table(report), "insights-nodes"),
        ]
    )


def _reset(who: Principal) -> Markup | None:
    if PUBLISH not in who.rights:
        return None
    return confirm_button(
        "Reset routing data",
        RESET_QUESTION,
        "Reset",
        kind="",
        id="insights-reset",
        hx_post="ui/insights/reset",
        hx_include=FILTERS,
        hx_target=REPORT,
    )


def _activity(report: PromptInsights) -> Markup | None:
    """Return the requests of each model over time: since the first ones if all are recent, else over the period."""
    width = report.timeline_ms
    recent = width < report.bucket_ms and report.timeline
    since = min(report.timeline[0].at, report.until - MIN_PERIODS * width) if recent else report.since
    return bar_chart(
        (Bar(one.at, one.model, one.requests) for one in report.timeline),
        title="Requests",
        value="Requests",
        since=since,
        until=report.until,
        width_ms=width,
        tones=colours(report),
    )


def _card(content: Markup | None, name: str | None = None) -> Markup | None:
    return el("section", content, id=name, cls="insights-card") if content else None


def links(report: PromptInsights, who: Principal) -> Markup:
    """Return links to the same prompt in other tabs."""
    tabs = {"engineer": "Open in engineer", "history": "History", "compare": "Compare", "versions": "Versions"}
    known = ((tab, label) for tab, label in tabs.items() if tab in who.tabs)
    found = [el("a", label, href=tab_address(tab, prompt=report.prompt)) for tab, label in known]
    return el("nav", *found, cls="insights-links", aria_label="This prompt in other tabs")


def no_requests(report: PromptInsights, who: Principal) -> Markup:
    """Return what stands instead of the metrics before the first request."""
    run = None
    if "engineer" in who.tabs:
        href = tab_address("engineer", prompt=report.prompt)
        run = el("a", "Run this prompt", href=href, cls="btn primary")
    text = "Run this prompt and rate the responses, or choose a longer period."
    return empty_state("No requests in this period", text, run)
