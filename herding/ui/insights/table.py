"""The matrix of versions and models as a table; on a narrow screen, every row is a card."""

from __future__ import annotations

from herding.evaluation.insights import PromptInsights
from herding.evaluation.version_matrix import Cell
from herding.ui.kit.format import Html, chip, duration, el, join, plural

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


def table(found: PromptInsights) -> Html:
    """A row for each version and model, the served version with the share of each model."""
    head = el("thead", el("tr", *(_head(place, name) for place, name in enumerate(HEADS))))
    body = el("tbody", *(_row(cell, served=cell.version == found.version) for cell in found.cells))
    caption = el("caption", "Versions and models, with the figures of each", cls="sr")
    shown = el("table", caption, head, body, cls="matrix")
    title = el("div", el("h2", "Versions and models"), _counted(found), cls="page-head")
    frame = el("div", shown, cls="matrix-frame", role="region", tabindex="0", aria_label="Versions and models")
    return join([title, frame, _notes()])


def rate(part: float | None) -> str:
    """A part of a whole: `0 %`, `2.5 %`, `below 0.1 %`, `83 %`; nothing is `–`."""
    if part is None:
        return "–"
    percent = 100 * part
    if 0 < percent < 0.1:
        return "below 0.1 %"
    if 99.5 <= percent < 100:
        return "over 99 %"
    return f"{percent:.1f} %" if 0 < percent < 9.95 and round(percent, 1) % 1 else f"{percent:.0f} %"


def share_bar(part: float) -> Html:
    """A share as a thin bar with its number."""
    fill = el("span", style=f"width:{100 * part:.1f}%")
    return el("span", el("span", fill, cls="share-bar", aria_hidden="true"), el("span", rate(part)), cls="share")


def _counted(found: PromptInsights) -> Html:
    told = f"{plural(found.total, 'request')} in the last {found.days} days"
    if found.read < found.total:
        return chip(f"{told}: the newest {found.read:,} are shown", "warn")
    return el("span", told, cls="muted")


def _notes() -> Html:
    said = (
        "Small figures: the 95 % interval of the mean stars, and how many rated. Errors and breaches are parts of the "
        "tries of the model and of its answers that have checks. Times are of answers, without waiting; tokens are "
        "means. Requests that people stopped are not counted."
    )
    return el("p", said, cls="muted why")


def _head(place: int, name: str) -> Html:
    return el("th", name, scope="col", cls="number" if place >= FIRST_NUMBER else "")


def _row(cell: Cell, *, served: bool) -> Html:
    cells: tuple[object, ...] = (
        _version(cell, served=served),
        el("span", cell.model, cls="model"),
        f"{cell.requests:,}",
        _stars(cell),
        rate(cell.error_rate),
        rate(cell.check_failure_rate),
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


def _version(cell: Cell, *, served: bool) -> Html:
    name = el("b", f"v{cell.version}" if cell.version else "not saved")
    if cell.edited:
        return join([name, " ", chip("edited", "accent", title="changed for the run, and not saved like that")])
    return join([name, " ", chip("served", "good", title="what the prompt's key means") if served else None])


def _stars(cell: Cell) -> Html:
    if cell.mean_stars is None or cell.low is None or cell.high is None:
        return NONE
    small = el("small", f"{cell.low:.1f} to {cell.high:.1f} · {plural(cell.rated, 'rating')}", cls="muted")
    return join([el("span", f"{cell.mean_stars:.1f}", el("span", " ★", cls="lit", aria_hidden="true")), small])


def _tokens(mean: float | None) -> str:
    return "–" if mean is None else f"{mean:,.0f}" if mean >= 10 else f"{mean:.1f}"
