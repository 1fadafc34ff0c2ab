"""Sizes in bytes as people write them."""

from __future__ import annotations

import re

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")


def parse_size(text: str | int) -> int:
    """Return the bytes of a size such as `8GB`, `1.5 GiB` or `800000000`; raise ValueError for any other text."""
    match = _SIZE.fullmatch(str(text).strip())
    unit = _UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None or not float(match[1]):
        raise ValueError(f"'{text}' is no size; write it like 8GB or 800MB")
    return int(float(match[1]) * unit)


def format_size(count: int) -> str:
    """Return bytes as `512 MB`, `1.4 GB`."""
    for unit, digits in (("B", 0), ("kB", 0), ("MB", 0), ("GB", 1)):
        if abs(count) < 1000:
            return f"{count:.{digits}f} {unit}"
        count = count / 1000  # type: ignore[assignment]
    return f"{count:.1f} TB"
