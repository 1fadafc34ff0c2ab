"""Headers that a configuration may send."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

MAX_HEADERS = 50

_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OURS = {
    *("host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"),
    *("accept-encoding", "proxy-authorization", "proxy-connection"),
}


def fits_header(value: str) -> bool:
    """Whether a header can carry this value."""
    return value.isascii() and (value.isprintable() or not value) and len(value) <= 8_000


def in_header(text: str) -> str:
    """A text as a header can carry it: what is not ASCII is percent-encoded."""
    return quote(text, safe=_PRINTABLE, errors="replace")


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """`headers`, if a request may have them; ValueError for names and values that no header has, or that are ours."""
    if len(headers) > MAX_HEADERS:
        raise ValueError(f"a request has at most {MAX_HEADERS} headers")
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"'{name}' is no name of a header")
        if name.lower() in _OURS:
            raise ValueError(f"the header {name} is not for a template to set")
        if not fits_header(value):
            raise ValueError(f"the header {name} has characters that no header carries")
    if len({name.lower() for name in headers}) != len(headers):
        raise ValueError("a header is given twice")
    return dict(headers)
