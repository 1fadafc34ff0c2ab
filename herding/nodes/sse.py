"""Server-sent events from a byte stream: only the `data` lines matter here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from functools import partial

from herding.errors import BadResponseError

_FIELD = "data:"

MAX_LINE = 1_000_000
MAX_BYTES = 8_000_000


def data_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[str]]:
    """The data of the events, those together that came together.

    BadResponseError for a line, or a stream, that is too long, or is not UTF-8.
    """
    return _lines(chunks, _FIELD)


def text_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[str]]:
    """The lines that are not empty, of a stream that is no more than lines. Raises what `data_lines` raises."""
    return _lines(chunks, "")


async def _lines(chunks: AsyncIterator[bytes], field: str) -> AsyncIterator[list[str]]:
    """What follows `field` in the lines that begin with it."""
    held, seen, size = b"", 0, len(field)
    async for chunk in chunks:
        seen += len(chunk)
        block, _, held = (held + chunk).rpartition(b"\n")
        if seen > MAX_BYTES or len(held) > MAX_LINE:
            raise BadResponseError("The node sent more than an answer can be.")
        found: list[str] = []
        try:
            for line in _split(block, field):
                if line.startswith(field) and (data := line[size:].strip()):
                    found.append(data)
        finally:
            if found:  # also what came before a line that is not text
                yield found
    if found := [data for line in _split(held, field) if line.startswith(field) and (data := line[size:].strip())]:
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
