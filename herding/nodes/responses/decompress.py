"""Reads the body of a response, decompressed where the server compressed it although it was asked not to."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

import httpx

from herding.errors import BadResponseError

MAX_PIECE = 256_000
"""The most bytes that are decompressed at once: a few bytes can become gigabytes, and readers stop before that."""

_GZIP, _ZLIB, _RAW = 31, 15, -15
"""Window bits of zlib for its formats."""


def body_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """Return the bytes of a response as they arrive. Raises BadResponseError for an encoding that is not supported.

    Close the iterator unless it is read to the end.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    raw = aiter(cast(httpx.AsyncByteStream, response.stream))  # `aiter_raw` adds two steps to each piece
    if encoding in ("", "identity"):
        return raw
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _inflated(raw, encoding)
    raise BadResponseError(
        f"The node sent a response that is compressed with '{encoding[:40]}', which was not asked for."
    )


async def _inflated(chunks: AsyncIterator[bytes], encoding: str) -> AsyncGenerator[bytes, None]:
    inflater = None
    try:
        async with aclosing(cast(AsyncGenerator[bytes, None], chunks)):
            async for chunk in chunks:
                if not chunk:
                    continue
                inflater = inflater or zlib.decompressobj(_format_of(chunk, encoding))
                left, piece = chunk, b""
                while (left or len(piece) == MAX_PIECE) and not inflater.eof:
                    piece = inflater.decompress(left, MAX_PIECE)
                    yield piece
                    left = inflater.unconsumed_tail
    except zlib.error:
        raise BadResponseError("The node sent a compressed response that can't be decompressed.") from None


def _format_of(chunk: bytes, encoding: str) -> int:
    """Return the format of compressed data; `deflate` stands for two of them."""
    if encoding != "deflate":
        return _GZIP
    return _ZLIB if chunk[0] & 0x0F == 8 else _RAW
