"""Reads the JSON texts of a response by its content, whatever its label says.

Understands server-sent events, one JSON object, and a JSON object a line.
"""

from __future__ import annotations

from typing import Literal

import orjson

from herding.errors import BadResponseError, NodeError
from herding.nodes import http
from herding.nodes.responses.reported_error import page_title, read_error_text, shorten
from herding.nodes.responses.sse import MAX_BYTES, MAX_LINE

_BOM = b"\xef\xbb\xbf"
_DATA, _EVENT = b"data:", b"event:"
_ERROR_NAMES = (b"error", b"exception")
_SHOWN_BYTES = 2_000

Format = Literal["", "events", "lines", "whole", "page"]


class EventReader:
    """Splits a response into the texts of its events or objects; words that are no JSON are among them.

    `failure` is set by what ends the reading: an event that is named an error, a web page, or too many bytes.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._format: Format = ""
        self._held = b""
        self._head = b""
        self._seen = 0
        self._name = b""
        self._has_found = False
        self.failure: NodeError | None = None
        self.ended = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the texts that are complete after `chunk`."""
        self._seen += len(chunk)
        if self._format != "events":
            return self._feed_other(chunk)
        block, _, self._held = (self._held + chunk.replace(b"\r", b"\n")).rpartition(b"\n")
        if self._seen > MAX_BYTES or len(self._held) > MAX_LINE:
            self._fail("sent a response that is too long")
        found = self._events(block) if block else []
        self._has_found = self._has_found or bool(found)
        return found

    def end(self) -> list[bytes]:
        """Return the texts that the end of the response completes."""
        held, self._held, self.ended = self._held, b"", True
        match self._format:
            case "events":
                found = self._events(held)
                if not found and not self._has_found and not self.failure and self._head.strip():
                    self._fail_as_text()
                return found
            case "lines" | "whole":
                return [held] if held.strip() else []
            case "page":
                title = page_title(held.decode("utf-8", "replace"))
                self._fail(f"sent a web page instead of a response: '{title}'. Check its URL and its key")
        return []

    def _feed_other(self, chunk: bytes) -> list[bytes]:
        """Find out the format, and read the formats other than events."""
        self._held += chunk
        if self._seen > MAX_BYTES:
            self._fail("sent a response that is too long")
            return []
        if not self._format:
            start = self._held.removeprefix(_BOM).lstrip()
            if not start or (len(start) < len(_BOM) and _BOM.startswith(start)):
                return []
            self._held, self._head = start, start[:_SHOWN_BYTES]
            self._format = "page" if start[:1] == b"<" else "whole" if start[:1] in (b"{", b"[") else "events"
            if self._format == "events":
                self._held, self._seen = b"", self._seen - len(start)
                return self.feed(start)
            if self._format == "whole" and b"\n" in start and _is_object(start.partition(b"\n")[0]):
                self._format = "lines"
        elif self._format == "whole" and b"\n" in chunk and self._is_first_line(chunk):
            self._format = "lines"
        if self._format != "lines":
            return []
        block, _, self._held = self._held.rpartition(b"\n")
        return [line for line in block.split(b"\n") if line.strip()]

    def _is_first_line(self, chunk: bytes) -> bool:
        """True if `chunk` completes the first line, and that is an object."""
        before = self._held[: len(self._held) - len(chunk)]
        return b"\n" not in before and _is_object(self._held.partition(b"\n")[0])

    def _events(self, block: bytes) -> list[bytes]:
        """Return the data of the lines of a block."""
        if self._name or _EVENT in block:
            return self._named_events(block)
        return [data for line in block.split(b"\n") if line.startswith(_DATA) and (data := line[5:].strip())]

    def _named_events(self, block: bytes) -> list[bytes]:
        """Return the data of a block in which events have names; one that is named an error ends the reading."""
        lines: list[bytes] = []
        for line in block.split(b"\n"):
            if line.startswith(_EVENT):
                self._name = line[6:].strip().lower()
            elif not line:
                self._name = b""
            elif line.startswith(_DATA) and (data := line[5:].strip()):
                if self._name in _ERROR_NAMES:
                    self.failure = self.failure or http.error_of(read_error_text(data), self._node)
                    break
                lines.append(data)
        return lines

    def _fail_as_text(self) -> None:
        words = shorten(self._head.decode("utf-8", "replace"))
        if not words.startswith((":", "event:", "id:", "retry:", "data:")):
            self._fail(f"sent text instead of a response: '{words.rstrip('.')}'")

    def _fail(self, what: str) -> None:
        self.failure = self.failure or BadResponseError(f"Node '{self._node}' {what}.", node=self._node)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False
