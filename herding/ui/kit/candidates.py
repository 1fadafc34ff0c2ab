"""Who could have answered a request, with what chance, and what spoke against the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from herding.ui.insights.table import share_bar
from herding.ui.kit.format import Html, chip, el
from herding.values import Considered, Outcome


def why(outcome: Outcome) -> Html | None:
    """The models that were considered, folded away; nothing where there was no choice, or it is not known any more."""
    if len(outcome.candidates) < 2:
        return None
    models: dict[str, list[Considered]] = {}
    for one in outcome.candidates:
        models.setdefault(one.model, []).append(one)
    rows = [_row(model, held, chosen=model == outcome.model) for model, held in models.items()]
    return el("details", el("summary", "Why this model"), el("ul", *rows, cls="plain"), cls="candidates")


def _row(model: str, held: Sequence[Considered], *, chosen: bool) -> Html:
    share, mark = held[0].share, chip("answered", "good") if chosen else None
    shown = share_bar(share) if share is not None else el("span", "no chance then", cls="muted")
    head = el("div", el("b", model, cls="model"), shown, mark, cls="outlook-head")
    return el("li", head, el("p", _nodes(held), cls="muted"))


def _nodes(held: Iterable[Considered]) -> str:
    """The nodes of a model, each with what spoke against it."""
    said = [": ".join(part for part in (one.node and f"on {one.node}", one.excluded) if part) for one in held]
    return "; ".join(said)
