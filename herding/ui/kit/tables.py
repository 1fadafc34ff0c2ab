"""Tables of numbers: wide ones scroll, and on narrow screens each row is a card. Tiles of totals above them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from herding.ui.kit.format import el


def head_row(*names: str, numbers: int | None = None) -> Markup:
    """Return the head of a table; the columns from number `numbers` on are aligned as numbers."""
    return el("thead", el("tr", *(el("th", name, scope="col", cls=_align(n, numbers)) for n, name in enumerate(names))))


def matrix(caption: str, heads: Sequence[str], rows: Iterable[Markup], *, label: str, numbers: int) -> Markup:
    """Return a table of `matrix_row`s that scrolls in a frame named `label`."""
    table = el("table", el("caption", caption, cls="sr"), head_row(*heads, numbers=numbers), el("tbody", *rows),
               cls="matrix")  # fmt: skip
    return el("div", table, cls="matrix-frame", role="region", tabindex="0", aria_label=label)


def matrix_row(heads: Sequence[str], values: Sequence[object], *, numbers: int, cls: str = "") -> Markup:
    """Return a row; each cell knows the name of its column, which a card shows."""
    cells = (
        el("td", el("span", value, cls="held"), data_label=name, cls=_align(n, numbers))
        for n, (name, value) in enumerate(zip(heads, values, strict=True))
    )
    return el("tr", *cells, cls=cls)


def total_tiles(tiles: Iterable[tuple[str, object, str]]) -> Markup:
    """Return totals as tiles, each a name, a value and a note."""
    shown = (
        el("div", el("dt", name), el("dd", value), el("dd", note, cls="muted") if note else None)
        for name, value, note in tiles
    )
    return el("dl", *shown, cls="totals")


def _align(column: int, numbers: int | None) -> str:
    return "number" if numbers is not None and column >= numbers else ""
