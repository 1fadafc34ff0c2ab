"""Server-sent events from a byte stream: only the `data` lines matter here."""

from __future__ import annotations

from collections.abc import AsyncIterator

from herding.errors import BadResponseError

MAX_LINE = 1_000_000
MAX_BYTES = 8_000_000


async def data_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The data of each event. BadResponseError for a line, or a stream, that is too long, or is not UTF-8."""
    held, seen = b"", 0
    async for chunk in chunks:
        seen += len(chunk)
        *lines, held = (held + chunk).replace(b"\r\n", b"\n").split(b"\n")
        if seen > MAX_BYTES or len(held) > MAX_LINE:
            raise BadResponseError("The node sent more than an answer can be.")
        for line in lines:
            if data := _data(line):
                yield data
    if data := _data(held):
        yield data


def _data(line: bytes) -> str | None:
    if not line.startswith(b"data:"):
        return None
    try:
        return line[5:].decode().strip()
    except UnicodeDecodeError:
        raise BadResponseError("The node sent bytes that are not text.") from None
