"""Charts as figures: a heading, a drawing that follows the width of the page, and the same data as a table."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from herding.ui.kit.format import el
from herding.ui.kit.tables import head_row

SERIES = 7
"""Colours of series; views/chart.css has them. Further series share one more colour."""


def figure(
    title: str, *content: object, note: object = None, heads: Sequence[str] = (), rows: Iterable[Sequence[object]] = ()
) -> Markup:
    """Return a chart with its heading; `heads` and `rows` are its data as a folded table."""
    caption = el("figcaption", el("h3", title), el("span", note, cls="muted") if note else None)
    body = [el("tr", *(el("td", value) for value in row)) for row in rows]
    data = (
        el(
            "details",
            el("summary", "Show as table"),
            el(
                "table",
                el("caption", title, cls="sr"),
                head_row(*heads),
                el("tbody", *body),
                cls="chart-table",
            ),
            cls="chart-data",
        )
        if body
        else None
    )
    return el("figure", caption, *content, data, cls="chart")


def drawing(title: str, description: str, *shapes: object, height: int) -> Markup:
    """Return an SVG as wide as its place; x coordinates are percentages, y coordinates pixels."""
    name = f"chart-{secrets.token_hex(4)}"
    return el(
        "svg",
        el("title", title, id=f"{name}-title"),
        el("desc", description, id=f"{name}-desc"),
        *shapes,
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        width="100%",
        height=str(height),
        cls="chart-area",
    )


def series(place: int) -> str:
    """Return the class with the colour of a series."""
    return f"series-{min(place, SERIES)}"


def legend(names: Mapping[str, int], notes: Mapping[str, object] | None = None) -> Markup:
    """Return the series with their colours, by the places in `names`; `notes` stand behind them."""
    items = []
    for name, place in names.items():
        note = (notes or {}).get(name)
        swatch = el("span", cls=f"swatch {series(place)}", aria_hidden="true")
        short = short_model(name)
        unique = sum(short_model(other) == short for other in names) == 1
        shown = el("span", short if unique else name, title=name)
        items.append(el("li", swatch, shown, el("span", note, cls="muted") if note else None))
    return el("ul", *items, cls="chart-legend")


def line(x1: str, y1: float, x2: str, y2: float, cls: str) -> Markup:
    """Return a line."""
    return el("line", x1=x1, y1=f"{y1:g}", x2=x2, y2=f"{y2:g}", cls=cls)


def percent(share: float) -> str:
    """Return a share (0-1) of the width as a coordinate."""
    return f"{100 * share:.2f}%"


def nice_maximum(value: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5, 10, 20 … that is not below `value`; 1 for 0."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 2.5, 5) if value <= step * power * (1 + 1e-9)), 10 * power)


def short_model(model: str) -> str:
    """Return a model id without its organisation."""
    return model.rpartition("/")[2] or model
