"""Reads the pattern files in `data/`: lines under `[section]` headings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_DATA: Final = Path(__file__).resolve().parent / "data"
_HEADING: Final = re.compile(r"\[([a-z0-9_]+)\]")


def sections(name: str) -> Mapping[str, tuple[str, ...]]:
    """Return the non-empty lines of `data/<name>.txt` by section."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in (_DATA / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if heading := _HEADING.fullmatch(line.strip()):
            lines = found.setdefault(heading[1], [])
        elif line.strip():
            lines.append(line.strip())
    return {section: tuple(lines) for section, lines in found.items()}


def listed(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Return the comma-separated entries of some lines."""
    return tuple(entry.strip() for line in lines for entry in line.split(",") if entry.strip())
