"""Cuts texts into chunks by their structure and by tokens, with an overlap."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from herding.values import TextChunk

CHARS_PER_TOKEN = 4
"""An estimate for where there is no tokenizer."""

MAX_CHARS_PER_TOKEN = 8
"""A chunk of more has words that are no language: it is cut by characters."""

MAX_HEADING = 500
"""Characters of a heading, or of several on top of each other, since each chunk below repeats them."""

_HEADING = re.compile(r"^(#{1,6})[ \t]+(\S.*)$", re.MULTILINE)
_FENCE = re.compile(r"^(```|~~~).*?(?:^\1|\Z)", re.MULTILINE | re.DOTALL)


class Chunker:
    """Cuts texts into chunks of at most `tokens` tokens, of which `overlap` are also in the chunk before.

    Tokens are counted with the tokenizer in the file `tokenizer`; without one, they are estimated.
    """

    def __init__(self, *, tokens: int, overlap: int, tokenizer: str | None) -> None:
        self.tokens, self._overlap = tokens, overlap
        self._tokenizer: Any = None
        self._splitters: dict[Any, Any] = {}
        if tokenizer is not None:
            from tokenizers import Tokenizer

            self._tokenizer = Tokenizer.from_file(tokenizer)
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()

    def count(self, text: str) -> int:
        """Return the number of tokens of a text."""
        if self._tokenizer is None:
            return -(-len(text) // CHARS_PER_TOKEN)
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def cut(self, text: str, *, markdown: bool = False, heading: str = "", page: int | None = None) -> list[TextChunk]:
        """Return the chunks of a text with their lines; of Markdown, with the path of their headings too."""
        headings = _Headings(text) if markdown else None
        lines = [match.start() for match in re.finditer("\n", text)]
        chunks = []
        for start, piece in self._pieces(text, markdown=markdown):
            first = bisect_right(lines, start - 1) + 1
            path = headings.above(start + len(piece) - len(piece.lstrip())) if headings else ""
            chunks.append(
                TextChunk(
                    number=0,
                    text=piece,
                    heading=" / ".join(filter(None, (heading, path)))[-MAX_HEADING:],
                    page=page,
                    first_line=None if page else first,
                    last_line=None if page else first + piece.count("\n"),
                    tokens=self.count(piece),
                )
            )
        return chunks

    def _pieces(self, text: str, *, markdown: bool) -> Iterator[tuple[int, str]]:
        longest = self.tokens * MAX_CHARS_PER_TOKEN
        if len(text) <= longest and self.count(text) <= self.tokens:
            yield 0, text
            return
        splitter = self._splitter(MarkdownSplitter if markdown else TextSplitter)
        for start, piece in splitter.chunk_indices(text):
            if len(piece) <= longest:
                yield start, piece
                continue
            step = self.tokens * CHARS_PER_TOKEN
            yield from ((start + at, piece[at : at + step]) for at in range(0, len(piece), step))

    def _splitter(self, kind: Any) -> Any:
        """Return the splitter of a kind; making one copies the tokenizer."""
        if kind not in self._splitters:
            if self._tokenizer is None:
                size = self.tokens * CHARS_PER_TOKEN
                self._splitters[kind] = kind(size, overlap=self._overlap * CHARS_PER_TOKEN)
            else:
                made = kind.from_huggingface_tokenizer(self._tokenizer, self.tokens, overlap=self._overlap)
                self._splitters[kind] = made
        return self._splitters[kind]


def numbered(chunks: Sequence[TextChunk]) -> list[TextChunk]:
    """Return the chunks with text, numbered from 1."""
    kept = [chunk for chunk in chunks if chunk.text.strip()]
    return [replace(chunk, number=number) for number, chunk in enumerate(kept, start=1)]


class _Headings:
    """The headings of a text, for places that are asked for in their order."""

    def __init__(self, text: str) -> None:
        self._next = _find_headings(text)
        self._path: list[tuple[int, str]] = []
        self._following = next(self._next, None)

    def above(self, place: int) -> str:
        """Return the headings above a place, from the outermost on."""
        while self._following and self._following[0] <= place:
            _, level, words = self._following
            while self._path and self._path[-1][0] >= level:
                self._path.pop()
            self._path.append((level, words))
            self._following = next(self._next, None)
        return " / ".join(name for _, name in self._path if name)


def _find_headings(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the place, the level and the words of each heading that is not in a block of code."""
    code = [(match.start(), match.end()) for match in _FENCE.finditer(text)]
    starts = [start for start, _ in code]
    for match in _HEADING.finditer(text):
        index = bisect_right(starts, match.start()) - 1
        if index < 0 or match.start() >= code[index][1]:
            yield match.start(), len(match[1]), match[2].rstrip(" \t#")[:MAX_HEADING]
