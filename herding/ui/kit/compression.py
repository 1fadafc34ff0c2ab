"""Compressed responses: files are compressed once, pages each time."""

from __future__ import annotations

from collections.abc import Mapping

import brotli
from starlette.datastructures import Headers
from starlette.responses import Response

MIN_BYTES = 500
QUICK, SMALL = 4, 9
"""Levels of brotli: for what is made for one response, and for files."""


class StaticFile:
    """A file in memory, and once a browser asked for it, its compressed form."""

    def __init__(self, content: bytes, media_type: str) -> None:
        self.content, self.media_type = content, media_type
        self._packed = b""

    def response(self, asked: Headers, headers: Mapping[str, str]) -> Response:
        """Return the file, compressed if the browser takes it."""
        if len(self.content) < MIN_BYTES or not takes_brotli(asked):
            return Response(self.content, media_type=self.media_type, headers=dict(headers))
        self._packed = self._packed or brotli.compress(self.content, quality=SMALL)
        return Response(self._packed, media_type=self.media_type, headers={**headers, **ENCODED})


ENCODED = {"Content-Encoding": "br", "Vary": "Accept-Encoding"}


def takes_brotli(asked: Headers) -> bool:
    """Return True if a request allows brotli."""
    return "br" in {part.partition(";")[0].strip() for part in asked.get("accept-encoding", "").split(",")}


def packed(content: bytes) -> bytes:
    """Return content that was made for one response, compressed."""
    return bytes(brotli.compress(content, quality=QUICK))
