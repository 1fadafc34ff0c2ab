"""Who answers a prompt next, by which policy, and why, as HTML."""

from __future__ import annotations

from markupsafe import Markup

from herding.evaluation.insights import Outlook, PromptInsights
from herding.routing.policies import LEAST_BUSY, RANDOM, ROUND_ROBIN, STARS, SUCCESS_SHARE, RoutingSettings
from herding.ui.kit.bars import share_bar
from herding.ui.kit.format import chip, datetime_tag, el, join

POLICIES = {
    STARS: "by stars, failures, checks and time",
    SUCCESS_SHARE: "by the part of requests that succeed",
    ROUND_ROBIN: "each in its turn",
    RANDOM: "by lot",
    LEAST_BUSY: "whoever has the least to do",
}


def outlook(found: PromptInsights) -> Markup:
    """The policy, the models with their shares, and since when is learned."""
    title = el("div", el("h2", "Who answers next"), _reset(found), cls="page-head")
    rows = el("ul", *(_model(model) for model in found.models), cls="plain outlook")
    return join([title, policy(found.routing), rows])


def policy(routing: RoutingSettings) -> Markup:
    """How a model is chosen, and where to change that."""
    explores = None
    if routing.policy == STARS:
        explores = "exploring" if routing.explore else "not exploring: always the best so far"
    said = join([" (", POLICIES[routing.policy], ")"])
    where = el("span", "To change it, edit ", el("code", "routing:"), " in the prompt's YAML.", cls="muted")
    words = ["Policy: ", el("b", routing.policy), said, ", " if explores else None, explores]
    return el("p", *words, "; pinned: ", el("b", routing.pinned or "none"), ". ", where, cls="policy")


def _reset(found: PromptInsights) -> Markup | None:
    if found.reset is None:
        return None
    return el("span", "learns since ", datetime_tag(found.reset.at), f", reset by {found.reset.by}", cls="muted")


def _model(model: Outlook) -> Markup:
    if model.against:
        state = chip(model.against, "calm")
    elif model.share is None:
        state = el("span", "whenever it has the least to do", cls="muted")
    else:
        state = share_bar(model.share)
    expected = el(
        "span", f"expected worth {model.quality:.2f} of 1", cls="muted", title="what an answer is expected to be worth"
    )
    head = el("div", el("b", model.model, cls="model"), state, expected, cls="outlook-head")
    return el("li", head, el("p", model.why, cls="muted"))
