"""CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

BYTE_ORDER_MARK = "\ufeff"
"""At the begin of a file: spreadsheets take CSV for UTF-8 only with it."""

MAX_CELL = 32_767
"""The most characters that spreadsheets keep in a cell."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_line(cells: Iterable[Any]) -> str:
    """Return a line of CSV.

    A text that a spreadsheet would run as a formula gets a quote in front, and one that is too long for a cell is cut,
    with a mark that says so.
    """
    buffer = io.StringIO()
    csv.writer(buffer).writerow([_cell(cell) for cell in cells])
    return buffer.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
    return _cut(f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text)


def _cut(text: str) -> str:
    """Return a text that fits into a cell. Spreadsheets count UTF-16 units: two for an emoji."""
    units = text.encode("utf-16-le", "surrogatepass") if len(text) > MAX_CELL // 2 else b""
    if len(units) <= 2 * MAX_CELL:
        return text
    mark = f" [cut: {len(text):,} characters in history.jsonl]"
    return units[: 2 * (MAX_CELL - len(mark))].decode("utf-16-le", "ignore") + mark
