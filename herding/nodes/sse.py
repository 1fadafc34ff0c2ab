"""Server-sent events and other streams of text, from the bytes that come."""

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
    """The `data` lines without blanks around them, those together that came together: for events of one line of JSON.

    BadResponseError for a line, or a stream, that is too long, or is not UTF-8. Who does not read to the end closes
    it, and with it `chunks`: what is left to the garbage collector costs a task, and the event loop a call to itself.
    """
    return _lines(chunks, _FIELD)


def text_lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[list[str], None]:
    """The lines that are not empty, of a stream that is no more than lines. Raises what `data_lines` raises."""
    return _lines(chunks, "")


async def event_data(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The data of each event to the letter: its lines joined, and only the one blank after each colon taken away.

    Raises what `data_lines` raises.
    """
    held, data, returned = "", list[str](), False
    async for text in plain_text(chunks):
        more = text.removeprefix("\n") if returned else text  # the other half of the end of a line
        returned = text.endswith("\r")
        *lines, held = (held + more.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
        if len(held) > MAX_LINE:
            raise BadResponseError("The node sent more than an answer can be.")
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
    """The text as it comes. BadResponseError where it is too long, or not UTF-8."""
    decoder, seen = getincrementaldecoder("utf-8-sig")(), 0
    try:
        async for chunk in chunks:
            seen += len(chunk)
            if seen > MAX_BYTES:
                raise BadResponseError("The node sent more than an answer can be.")
            if text := decoder.decode(chunk):
                yield text
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise BadResponseError("The node sent bytes that are not text.") from None


async def _lines(chunks: AsyncIterator[bytes], field: str) -> AsyncGenerator[list[str], None]:
    """What follows `field` in the lines that begin with it."""
    held, seen, size = b"", 0, len(field)
    async with aclosing(cast(AsyncGenerator[bytes, None], chunks)):
        async for chunk in chunks:
            seen += len(chunk)
            block, _, held = (held + chunk.replace(b"\r", b"\n")).rpartition(b"\n")
            if seen > MAX_BYTES or len(held) > MAX_LINE:
                raise BadResponseError("The node sent more than an answer can be.")
            found: list[str] = []
            try:
                for line in _split(block.removeprefix(_BOM), field):
                    if line.startswith(field) and (data := line[size:].strip()):
                        found.append(data)
            finally:
                if found:  # also what came before a line that is not text
                    yield found
    last = _split(held.removeprefix(_BOM), field)
    if found := [data for line in last if line.startswith(field) and (data := line[size:].strip())]:
        yield found


def _split(block: bytes, field: str) -> Iterable[str]:
    """The lines of a block, decoded in one go; where not all is text, those before the bad one come first."""
    try:
        return block.decode().split("\n")
    except UnicodeDecodeError:
        return map(partial(_text, field.encode()), block.split(b"\n"))


def _text(field: bytes, line: bytes) -> str:
    """A line with data; others may be what they like."""
    try:
        return line.decode() if line.startswith(field) else ""
    except UnicodeDecodeError:
        raise BadResponseError("The node sent bytes that are not text.") from None
