"""Server-sent events from a byte stream: only the `data` lines matter here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from herding.errors import BadResponseError

_FIELD = "data:"

MAX_LINE = 1_000_000
MAX_BYTES = 8_000_000


async def data_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[str]]:
    """The data of the events, those together that came together.

    BadResponseError for a line, or a stream, that is too long, or is not UTF-8.
    """
    held, seen = b"", 0
    async for chunk in chunks:
        seen += len(chunk)
        block, _, held = (held + chunk).rpartition(b"\n")
        if seen > MAX_BYTES or len(held) > MAX_LINE:
            raise BadResponseError("The node sent more than an answer can be.")
        found: list[str] = []
        try:
            for line in _lines(block):
                if line.startswith(_FIELD) and (data := line[len(_FIELD) :].strip()):
                    found.append(data)
        finally:
            if found:  # also what came before a line that is not text
                yield found
    if found := [data for line in _lines(held) if line.startswith(_FIELD) and (data := line[len(_FIELD) :].strip())]:
        yield found


def _lines(block: bytes) -> Iterable[str]:
    """The lines of a block, decoded in one go; where not all is text, those before the bad one come first."""
    try:
        return block.decode().split("\n")
    except UnicodeDecodeError:
        return map(_text, block.split(b"\n"))


def _text(line: bytes) -> str:
    """A line with data; others may be what they like."""
    try:
        return line.decode() if line.startswith(_FIELD.encode()) else ""
    except UnicodeDecodeError:
        raise BadResponseError("The node sent bytes that are not text.") from None
