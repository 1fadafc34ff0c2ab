"""Reads the body of a response, decompressed where the server compressed it although it was asked not to."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import cast

import httpx

from herding.errors import BadResponseError

MAX_PIECE = 64_000
"""The most bytes that are decompressed at once: a few bytes can become gigabytes, and readers stop before that."""

_GZIP_MARK = b"\x1f"
_GZIP, _ZLIB, _RAW = 31, 15, -15
"""Window bits of zlib for its formats."""


def body_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """Return the bytes of a response as they arrive. Raises BadResponseError for an encoding that is not supported."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    raw = aiter(cast(httpx.AsyncByteStream, response.stream))  # `aiter_raw` adds two steps to each piece
    if encoding in ("", "identity"):
        return raw
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _Inflated(raw, encoding)
    raise BadResponseError(
        f"The node sent a response that is compressed with '{encoding[:40]}', which was not asked for."
    )


class _Inflated(AsyncIterator[bytes]):
    """Decompressed pieces."""

    def __init__(self, chunks: AsyncIterator[bytes], encoding: str) -> None:
        self._chunks, self._encoding = chunks, encoding
        self._inflater: zlib._Decompress | None = None
        self._left, self._has_more = b"", False

    async def __anext__(self) -> bytes:
        if self._has_more:  # without this, all that a few bytes become would be read before anybody else's turn
            await asyncio.sleep(0)
        while not self._left and not self._has_more:
            self._left = await anext(self._chunks)
        if self._inflater and self._inflater.eof:  # servers may compress each part by itself
            if not self._left.startswith(_GZIP_MARK):  # zeros that fill up, or nothing of the response
                self._left = b""
                return b""
            self._inflater = None
        inflater = self._inflater = self._inflater or zlib.decompressobj(_format_of(self._left, self._encoding))
        try:
            piece = inflater.decompress(self._left, MAX_PIECE)
        except zlib.error:
            raise BadResponseError("The node sent a compressed response that can't be decompressed.") from None
        self._left, self._has_more = inflater.unconsumed_tail, len(piece) == MAX_PIECE and not inflater.eof
        if inflater.eof:
            self._left = inflater.unused_data
        return piece


def _format_of(chunk: bytes, encoding: str) -> int:
    """Return the format of compressed data; `deflate` stands for two of them."""
    if encoding != "deflate":
        return _GZIP
    return _ZLIB if chunk[0] & 0x0F == 8 else _RAW
