"""Server-sent events from a byte stream: only the `data` lines matter here."""

from __future__ import annotations

from collections.abc import AsyncIterator

from herding.errors import BadResponseError

_FIELD = b"data:"

MAX_LINE = 1_000_000
MAX_BYTES = 8_000_000


async def data_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[str]]:
    """The data of the events, those together that came together.

    BadResponseError for a line, or a stream, that is too long, or is not UTF-8.
    """
    async for found in _lines(chunks, _FIELD):
        yield found


async def text_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[str]]:
    """The lines that are not empty, of a stream that is no more than lines. Raises what `data_lines` raises."""
    async for found in _lines(chunks, b""):
        yield found


async def _lines(chunks: AsyncIterator[bytes], field: bytes) -> AsyncIterator[list[str]]:
    """What follows `field` in the lines that begin with it."""
    held, seen = b"", 0
    async for chunk in chunks:
        seen += len(chunk)
        *lines, held = (held + chunk).replace(b"\r\n", b"\n").split(b"\n")
        if seen > MAX_BYTES or len(held) > MAX_LINE:
            raise BadResponseError("The node sent more than an answer can be.")
        found: list[str] = []
        try:
            for line in lines:
                if line.startswith(field) and (data := _data(line, field)):
                    found.append(data)
        finally:
            if found:  # also what came before a line that is not text
                yield found
    if held.startswith(field) and (data := _data(held, field)):
        yield [data]


def _data(line: bytes, field: bytes) -> str:
    try:
        return line[len(field) :].decode().strip()
    except UnicodeDecodeError:
        raise BadResponseError("The node sent bytes that are not text.") from None
