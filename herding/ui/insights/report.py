"""The metrics of a prompt as HTML: totals, the table by version and model, nodes, and the routing."""

from __future__ import annotations

from markupsafe import Markup

from herding.evaluation.insights import PromptInsights, RoutingPrediction
from herding.evaluation.version_matrix import NodeModelStats, VersionModelStats
from herding.routing.policies import BUILT_IN, STARS, RoutingSettings
from herding.ui.kit.charts.bars import percent_text, share_bar
from herding.ui.kit.format import chip, datetime_tag, duration, el, join, plural
from herding.ui.kit.links import tab_address
from herding.ui.kit.tables import matrix, matrix_row, total_tiles
from herding.values import format_dollars, to_nano

HEADS = (
    "Version",
    "Model",
    "Requests",
    "Mean rating",
    "Error rate",
    "Check failures",
    "Latency p50",
    "Latency p95",
    "Input tokens",
    "Output tokens",
    "Cost",
    "Traffic share",
)
FIRST_NUMBER = 2
"""Columns from this one on are numbers."""

NODE_HEADS = ("Node", "Model", "Attempts", "Mean rating", "Error rate", "Latency p50", "Latency p95")
SMALL = 10
"""Attempts or ratings below which a number says little."""

NOTES = (
    "Mean rating: shown with its 95% interval. Error rate: failed attempts. "
    "Check failures: responses that failed a check. Latency excludes time in the queue. "
    "Token counts are means. Cost: the sum of the requests with a known price. Stopped requests are not counted."
)
NO_VALUE = el("span", "–", cls="muted")


def totals(report: PromptInsights) -> Markup:
    """Return the totals of all versions and models, each with the number that it is made from."""
    whole = report.whole
    if whole is None:
        return Markup()
    success = None if whole.error_rate is None else 1 - whole.error_rate
    passed = None if whole.check_failure_rate is None else 1 - whole.check_failure_rate
    tiles = [
        ("Requests", f"{report.total:,}", f"last {report.days} days"),
        ("Mean rating", _stars(whole.mean_stars), _interval_text(whole) or "no ratings yet"),
        ("Success", percent_text(success), f"n={whole.requests:,}"),
        ("Checks passed", percent_text(passed), f"n={whole.judged:,}" if whole.judged else "no checks"),
        ("Latency p50", duration(whole.p50_ms), f"p95 {duration(whole.p95_ms)}"),
        ("Tokens", f"{_tokens(whole.input_tokens)} → {_tokens(whole.output_tokens)}", "input → output, mean"),
        ("Cost", "–" if whole.cost is None else format_dollars(to_nano(whole.cost)), _cost_text(whole)),
    ]
    return total_tiles(tiles)


def _cost_text(whole: VersionModelStats) -> str:
    return "no known price" if whole.cost is None else "known prices only"


def _stars(mean: float | None) -> Markup | str:
    return "–" if mean is None else join([f"{mean:.1f}", el("span", " ★", cls="lit", aria_hidden="true")])


def sample_note(report: PromptInsights) -> Markup | None:
    """Return that the numbers are small, or that they do not cover all requests."""
    if report.read < report.total:
        text = f"{plural(report.total, 'request')}; metrics cover the latest {report.read:,}"
        return chip(text, "warn")
    if 0 < report.total < SMALL:
        title = "Differences between versions or models may be chance."
        return chip(f"Small sample: n={report.total}", "busy", title=title)
    return None


def version_table(report: PromptInsights) -> Markup:
    """Return a table with a row for each version and model; on narrow screens each row is a card."""
    title = el("div", el("h2", "Versions and models"), _request_count(report), cls="page-head")
    rows = (_row(cell, report) for cell in report.cells)
    frame = matrix("Metrics by version and model", HEADS, rows, label="Versions and models", numbers=FIRST_NUMBER)
    return join([title, frame, el("p", NOTES, cls="muted notes")])


def node_table(report: PromptInsights) -> Markup | None:
    """Return a table with a row for each node and model; None for less than two."""
    if len(report.nodes) < 2:
        return None
    rows = map(_node_row, report.nodes)
    frame = matrix("Metrics by node", NODE_HEADS, rows, label="Nodes", numbers=FIRST_NUMBER)
    return join([el("h2", "Nodes"), frame])


def _node_row(node: NodeModelStats) -> Markup:
    rating = NO_VALUE
    if node.mean_stars is not None:
        rating = join([_stars(node.mean_stars), el("small", plural(node.rated, "rating"), cls="muted")])
    values: tuple[object, ...] = (
        el("b", node.node),
        el("span", node.model, cls="model"),
        f"{node.requests:,}",
        rating,
        percent_text(node.error_rate),
        duration(node.p50_ms),
        duration(node.p95_ms),
    )
    return matrix_row(NODE_HEADS, values, numbers=FIRST_NUMBER)


def routing(report: PromptInsights) -> Markup:
    """Return the routing policy, and each model with its share of the traffic."""
    reset = report.reset
    since = el("span", "Data since ", datetime_tag(reset.at), f", reset by {reset.by}", cls="muted") if reset else None
    title = el("div", el("h2", "Routing now"), since, cls="page-head")
    rows = el("ul", *(_model(model) for model in report.models), cls="plain outlook")
    return join([title, policy(report.routing), rows])


def policy(routing: RoutingSettings) -> Markup:
    """Return the routing policy in words."""
    exploring = ""
    if routing.policy == STARS:
        exploring = ", exploring" if routing.explore else ", not exploring (always the best model so far)"
    words = BUILT_IN[routing.policy].about if routing.policy in BUILT_IN else "of a plugin"
    parts = ["Policy: ", el("b", routing.policy), " (", words, ")", exploring, ". "]
    pinned = ["Pinned: ", el("b", routing.pinned or "none"), ". "]
    hint = el("span", "To change it, edit ", el("code", "routing:"), " in the prompt's YAML.", cls="muted")
    return el("p", *parts, *pinned, hint, cls="policy")


def _request_count(report: PromptInsights) -> Markup:
    text = f"{plural(report.total, 'request')} in the last {report.days} days"
    if report.read < report.total:
        return chip(f"{text}; metrics cover the latest {report.read:,}", "warn")
    return el("span", text, cls="muted")


def _row(cell: VersionModelStats, report: PromptInsights) -> Markup:
    live = cell.version == report.version
    values: tuple[object, ...] = (
        _version(cell, live=live),
        el("span", cell.model, cls="model"),
        _requests(cell, report),
        _rating(cell),
        percent_text(cell.error_rate),
        percent_text(cell.check_failure_rate),
        duration(cell.p50_ms),
        duration(cell.p95_ms),
        _tokens(cell.input_tokens),
        _tokens(cell.output_tokens),
        NO_VALUE if cell.cost is None else format_dollars(to_nano(cell.cost)),
        NO_VALUE if cell.share is None else share_bar(cell.share),
    )
    return matrix_row(HEADS, values, numbers=FIRST_NUMBER, cls="served" if live and not cell.edited else "")


def _requests(cell: VersionModelStats, report: PromptInsights) -> object:
    """Return the number of requests, as a link to them in the history."""
    if not cell.requests:
        return "0"
    href = tab_address("history", prompt=report.prompt, model=cell.model)
    return el("a", f"{cell.requests:,}", href=href, title="Show them in the history")


def _version(cell: VersionModelStats, *, live: bool) -> Markup:
    name = el("b", f"v{cell.version}" if cell.version else "unsaved")
    if cell.edited:
        return join([name, " ", chip("edited", "accent", title="Ran with unsaved changes")])
    return join([name, " ", chip("live", "good", title="Used when a request names no version") if live else None])


def _rating(cell: VersionModelStats) -> Markup:
    text = _interval_text(cell)
    return join([_stars(cell.mean_stars), el("small", text, cls="muted")]) if text else NO_VALUE


def _interval_text(cell: VersionModelStats) -> str:
    if cell.mean_stars is None or cell.low is None or cell.high is None:
        return ""
    return f"{cell.low:.1f} to {cell.high:.1f} · {plural(cell.rated, 'rating')}"


def _tokens(mean: float | None) -> str:
    return "–" if mean is None else f"{mean:,.0f}" if mean >= 10 else f"{mean:.1f}"


def _model(model: RoutingPrediction) -> Markup:
    if model.against:
        share = chip(model.against, "calm")
    elif model.share is None:
        share = el("span", "decided per request", cls="muted")
    else:
        share = share_bar(model.share)
    score = el(
        "span", f"Score {model.quality:.2f}", cls="muted", title="Expected quality of a response, from 0 (worst) to 1"
    )
    head = el("div", el("b", model.model, cls="model"), share, score, cls="outlook-head")
    return el("li", head, el("p", model.why, cls="muted"))
