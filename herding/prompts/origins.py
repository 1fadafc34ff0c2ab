"""Origins: whose web pages may call a prompt, in the words that browsers use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

ANY = "*"
MAX_ORIGIN = 300

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?")
_IMPLIED = {"http": "80", "https": "443"}
_FORM = "an origin is written as browsers send it: scheme://host or scheme://host:port, in small letters"


def is_origin(text: str) -> bool:
    """Whether `text` is an origin as browsers send it."""
    found = _ORIGIN.fullmatch(text) if len(text) <= MAX_ORIGIN else None
    return found is not None and (found[1] is None or int(found[1]) < 65_536)


def _checked(text: str) -> str:
    if text == ANY:
        return text
    if not is_origin(text):
        raise ValueError(f"{_FORM}, without a path; '*' alone stands for all")
    scheme, _, rest = text.partition("://")
    if rest.endswith(f":{_IMPLIED.get(scheme)}"):
        raise ValueError(f"browsers leave out the port {_IMPLIED[scheme]} of {scheme}; leave it out here too")
    return text


Origin = Annotated[str, AfterValidator(_checked)]
"""An origin, or `*`."""


def welcome(origins: Sequence[str] | None, origin: str) -> bool:
    """Whether a page of `origin` is among those that `origins` name."""
    if not origins:
        return False
    return origin in origins if ANY not in origins else origin == "null" or is_origin(origin)
