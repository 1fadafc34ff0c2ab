"""Parses server-sent events and other text streams from bytes."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from functools import partial
from typing import cast

from herding.errors import BadResponseError

_FIELD = "data:"

_BOM = b"\xef\xbb\xbf"

MAX_LINE = 1_000_000
MAX_BYTES = 8_000_000


def data_lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[list[str], None]:
    """Stream the stripped `data` lines in batches as they arrive, for events with one line of JSON each.

    Raises BadResponseError for a line or stream that is too long or not UTF-8. Close the iterator unless it is read to
    the end; that closes `chunks` too.
    """
    return _lines(chunks, _FIELD)


def text_lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[list[str], None]:
    """Stream the non-empty lines in batches as they arrive. Raises the errors of `data_lines`."""
    return _lines(chunks, "")


async def event_data(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Stream the data of each event unchanged, its lines joined. Raises the errors of `data_lines`."""
    held, data, after_return = "", list[str](), False
    async for text in plain_text(chunks):
        more = text.removeprefix("\n") if after_return else text  # the second half of a line end
        after_return = text.endswith("\r")
        *lines, held = (held + more.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
        if len(held) > MAX_LINE:
            raise BadResponseError("The node sent a response that is too long.")
        for line in lines:
            if line.startswith(_FIELD):
                data.append(line.removeprefix(_FIELD).removeprefix(" "))
            elif not line and data:
                yield "\n".join(data)
                data = []
    if held.startswith(_FIELD):
        data.append(held.removeprefix(_FIELD).removeprefix(" "))
    if data:
        yield "\n".join(data)


async def plain_text(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Stream the text as it arrives; raise BadResponseError if it is too long or not UTF-8."""
    decoder, seen = getincrementaldecoder("utf-8-sig")(), 0
    try:
        async for chunk in chunks:
            seen += len(chunk)
            if seen > MAX_BYTES:
                raise BadResponseError("The node sent a response that is too long.")
            if text := decoder.decode(chunk):
                yield text
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise BadResponseError("The node sent a response that is not valid UTF-8.") from None


async def _lines(chunks: AsyncIterator[bytes], field: str) -> AsyncGenerator[list[str], None]:
    """Stream the rest of the lines that begin with `field`."""
    held, seen, size = b"", 0, len(field)
    async with aclosing(cast(AsyncGenerator[bytes, None], chunks)):
        async for chunk in chunks:
            seen += len(chunk)
            block, _, held = (held + chunk.replace(b"\r", b"\n")).rpartition(b"\n")
            if seen > MAX_BYTES or len(held) > MAX_LINE:
                raise BadResponseError("The node sent a response that is too long.")
            found: list[str] = []
            try:
                for line in _split(block.removeprefix(_BOM), field):
                    if line and line.startswith(field) and (data := line[size:].strip()):
                        found.append(data)
            finally:
                if found:  # also the lines before an invalid one
                    yield found
    last = _split(held.removeprefix(_BOM), field)
    if found := [data for line in last if line.startswith(field) and (data := line[size:].strip())]:
        yield found


def _split(block: bytes, field: str) -> Iterable[str]:
    """Return the decoded lines of a block; if it is not UTF-8, decode lazily so that earlier lines are returned."""
    try:
        return block.decode().split("\n")
    except UnicodeDecodeError:
        return map(partial(_decode_line, field.encode()), block.split(b"\n"))


def _decode_line(field: bytes, line: bytes) -> str:
    """Decode a line of the field; other lines need not be valid."""
    try:
        return line.decode() if line.startswith(field) else ""
    except UnicodeDecodeError:
        raise BadResponseError("The node sent a response that is not valid UTF-8.") from None
