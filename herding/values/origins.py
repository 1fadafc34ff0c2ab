"""The form of origins of web pages, as browsers send them."""

from __future__ import annotations

import re

MAX_ORIGINS = 20

_FORM = re.compile(r"\*|[A-Za-z][A-Za-z0-9+.-]*://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


def clean_origin(origin: str) -> str:
    """Return an origin, or `*` for all, in lower case. Raises ValueError for another form."""
    if len(origin) > 300 or not _FORM.fullmatch(origin):
        raise ValueError(f"'{origin[:80]}' is not an origin; write https://example.com, without a path")
    return origin.lower()
