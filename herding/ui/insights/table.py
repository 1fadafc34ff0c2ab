"""The matrix of versions and models as a table; on a narrow screen, every row is a card."""

from __future__ import annotations

from markupsafe import Markup

from herding.evaluation.insights import PromptInsights
from herding.evaluation.version_matrix import Cell
from herding.ui.kit.bars import percent_text, share_bar
from herding.ui.kit.format import chip, duration, el, join, plural

HEADS = (
    "Version",
    "Model",
    "Requests",
    "Mean stars",
    "Errors",
    "Breaches",
    "Time p50",
    "Time p95",
    "Tokens in",
    "Tokens out",
    "Share now",
)
FIRST_NUMBER = 2
"""The columns from here on are numbers."""

NONE = el("span", "–", cls="muted")


def table(found: PromptInsights) -> Markup:
    """A row for each version and model, the served version with the share of each model."""
    head = el("thead", el("tr", *(_head(place, name) for place, name in enumerate(HEADS))))
    body = el("tbody", *(_row(cell, served=cell.version == found.version) for cell in found.cells))
    caption = el("caption", "Versions and models, with the figures of each", cls="sr")
    shown = el("table", caption, head, body, cls="matrix")
    title = el("div", el("h2", "Versions and models"), _counted(found), cls="page-head")
    frame = el("div", shown, cls="matrix-frame", role="region", tabindex="0", aria_label="Versions and models")
    return join([title, frame, _notes()])


def _counted(found: PromptInsights) -> Markup:
    told = f"{plural(found.total, 'request')} in the last {found.days} days"
    if found.read < found.total:
        return chip(f"{told}: the newest {found.read:,} are shown", "warn")
    return el("span", told, cls="muted")


def _notes() -> Markup:
    said = (
        "Small figures: the 95 % interval of the mean stars, and how many rated. Errors and breaches are parts of the "
        "tries of the model and of its answers that have checks. Times are of answers, without waiting; tokens are "
        "means. Requests that people stopped are not counted."
    )
    return el("p", said, cls="muted why")


def _head(place: int, name: str) -> Markup:
    return el("th", name, scope="col", cls="number" if place >= FIRST_NUMBER else "")


def _row(cell: Cell, *, served: bool) -> Markup:
    cells: tuple[object, ...] = (
        _version(cell, served=served),
        el("span", cell.model, cls="model"),
        f"{cell.requests:,}",
        _stars(cell),
        percent_text(cell.error_rate),
        percent_text(cell.check_failure_rate),
        duration(cell.p50_ms),
        duration(cell.p95_ms),
        _tokens(cell.input_tokens),
        _tokens(cell.output_tokens),
        NONE if cell.share is None else share_bar(cell.share),
    )
    drawn = [
        el("td", el("span", shown, cls="held"), data_label=name, cls="number" if place >= FIRST_NUMBER else "")
        for place, (name, shown) in enumerate(zip(HEADS, cells, strict=True))
    ]
    return el("tr", *drawn, cls="served" if served and not cell.edited else "")


def _version(cell: Cell, *, served: bool) -> Markup:
    name = el("b", f"v{cell.version}" if cell.version else "not saved")
    if cell.edited:
        return join([name, " ", chip("edited", "accent", title="changed for the run, and not saved like that")])
    return join([name, " ", chip("served", "good", title="what the prompt's key means") if served else None])


def _stars(cell: Cell) -> Markup:
    if cell.mean_stars is None or cell.low is None or cell.high is None:
        return NONE
    small = el("small", f"{cell.low:.1f} to {cell.high:.1f} · {plural(cell.rated, 'rating')}", cls="muted")
    return join([el("span", f"{cell.mean_stars:.1f}", el("span", " ★", cls="lit", aria_hidden="true")), small])


def _tokens(mean: float | None) -> str:
    return "–" if mean is None else f"{mean:,.0f}" if mean >= 10 else f"{mean:.1f}"
