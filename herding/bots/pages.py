"""Divides a response into messages that a chat platform takes."""

from __future__ import annotations

import re

MAX_PAGE = 1_900
"""Characters of a message; Discord takes 2,000, and counts some signs twice."""

_CODE = r"(?:```.*?```|``[^\n]+?``|`[^`\n]+`)"
_LINK = r"<https?://[^\s<>]*>|(?P<link>https?://(?:[^\s<>()`]|\([^\s<>()`]*\))+)"
_CODE_OR_LINK = re.compile(f"{_CODE}|{_LINK}", re.DOTALL | re.IGNORECASE)
_AFTER_LINK = ".,;:!?*_~|'\""

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_BREAKS = ("\n\n", "\n", ". ", " ")
"""Places to divide a text, the best first."""


def divide(text: str, *, limit: int = MAX_PAGE) -> list[str]:
    """Return the pieces of a text, each of at most `limit` characters and none empty.

    A block of code that fits into one piece stays whole; a longer one is closed and opened again. A text that grows
    keeps its earlier pieces, except around an open block of code.
    """
    pieces: list[str] = []
    rest = text.strip("\n")
    while width(rest) > limit:
        head, rest = _cut(rest, limit)
        pieces.append(head)
    pieces.append(rest)
    return [piece.rstrip() for piece in pieces if piece.strip()]


def to_pages(text: str) -> list[str]:
    """Return the pieces of a text, without previews of its links."""
    return [page for piece in divide(text) for page in _without_previews(piece)]


def _without_previews(piece: str) -> list[str]:
    """Return a piece whose links, outside of code, the platform does not open by itself; several if it has too many.

    A model that was misled by a document could put what it knows into the address of a link.
    """
    page = _CODE_OR_LINK.sub(_closed, piece)
    if width(page) <= MAX_PAGE + 90:
        return [page]
    return [_CODE_OR_LINK.sub(_closed, part) for part in divide(piece, limit=MAX_PAGE // 2)]


def _closed(match: re.Match[str]) -> str:
    link = match["link"]
    if not link:
        return match[0]
    end = len(link.rstrip(_AFTER_LINK))
    return f"<{link[:end]}>{link[end:]}"


def shorten(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters, with a sign where it was cut."""
    return text if width(text) <= limit else f"{text[: _fitting(text, limit - 1)]}…"


def _cut(text: str, limit: int) -> tuple[str, str]:
    """Return the first piece of a text that is too long, and what remains."""
    end = _fitting(text, limit)
    fence = _open_fence(text, end)
    if fence is None:
        at = _best_break(text, end)
        return text[:at], text[at:].lstrip("\n")
    start, opening, mark = fence
    closing = f"\n{mark}"
    if start > 0 and width(text[start : _end_of_fence(text, start, mark)]) <= limit:
        return text[:start], text[start:]
    end = _fitting(text, limit - len(closing))
    at = text.rfind("\n", start + len(opening) + 1, end)
    if at <= start + len(opening):
        at = end
    return f"{text[:at]}{closing}", f"{opening}\n{text[at:].removeprefix(chr(10))}"


def _open_fence(text: str, end: int) -> tuple[int, str, str] | None:
    """Return start, first line and mark of the block of code that `end` is in."""
    found: tuple[int, str, str] | None = None
    for match in _FENCE.finditer(text):
        if match.start() >= end:
            break
        if found is None:
            found = match.start(), match[0], match[1]
        elif match[1].startswith(found[2]) and not match[2].strip():
            if match.end() > end:
                return found
            found = None
    return found


def _end_of_fence(text: str, start: int, mark: str) -> int:
    closing = re.compile(rf"^ {{0,3}}{re.escape(mark)}[`~]*[ \t]*$", re.MULTILINE)
    match = closing.search(text, text.find("\n", start) if "\n" in text[start:] else len(text))
    return match.end() if match else len(text)


def _best_break(text: str, end: int) -> int:
    """Return where to divide a text before `end`, in its second half if there is a place."""
    for mark in _BREAKS:
        at = text.rfind(mark, end // 2, end)
        if at > 0:
            return at + len(mark.rstrip("\n"))
    return end


def _fitting(text: str, limit: int) -> int:
    """Return the number of characters of the longest beginning of a text that fits into `limit`."""
    if width(text[:limit]) <= limit:
        return limit
    end = limit
    while width(text[:end]) > limit:
        end -= max(1, (width(text[:end]) - limit) // 2)
    return end


def width(text: str) -> int:
    """Return the length of a text in UTF-16, as browsers count it."""
    return len(text) + sum(sign > "\uffff" for sign in text)
