"""Cuts Python source into its definitions, each with its signature and docstring."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace

from herding.knowledge.parsing.chunks import Chunker
from herding.values import TextChunk

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def cut_source(text: str, chunker: Chunker, *, module: str) -> list[TextChunk]:
    """Return a chunk for each definition, or several for a long one; source with an error is cut as text."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return chunker.cut(text)
    return list(_Source(text, chunker).chunks(tree, module))


class _Source:
    """The lines of a module while it is cut."""

    def __init__(self, text: str, chunker: Chunker) -> None:
        self._lines = text.split("\n")  # as Python counts them; other separators may stand in texts and between parts
        self._chunker = chunker

    def chunks(self, tree: ast.Module, module: str) -> Iterator[TextChunk]:
        """Yield the module's own statements, without imports, and its definitions."""
        statements = [node for node in tree.body if not isinstance(node, _Definition | ast.Import | ast.ImportFrom)]
        for group in _neighbours(statements):
            yield from self._cut(group[0].lineno, group[-1].end_lineno or group[-1].lineno, module)
        for node in tree.body:
            if isinstance(node, _Definition):
                yield from self._definition(node, module)

    def _definition(self, node: _Definition, owner: str) -> Iterator[TextChunk]:
        name = f"{owner}.{node.name}" if owner else node.name
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        last = node.end_lineno or node.lineno
        if isinstance(node, ast.ClassDef):
            members = [member for member in node.body if isinstance(member, _Definition)]
            if members:
                last = min(min([m.lineno, *(d.lineno for d in m.decorator_list)]) for m in members) - 1
            yield from self._cut(first, max(first, last), name)
            for member in members:
                yield from self._definition(member, name)
            return
        yield from self._cut(first, last, name)

    def _cut(self, first: int, last: int, name: str) -> Iterator[TextChunk]:
        """Yield the chunks of some lines."""
        text = textwrap.dedent("\n".join(self._lines[first - 1 : last])).rstrip()
        for chunk in self._chunker.cut(text, heading=name):
            start, end = chunk.first_line or 1, chunk.last_line or 1
            yield replace(chunk, first_line=first + start - 1, last_line=first + end - 1)


def _neighbours(nodes: Sequence[ast.stmt]) -> Iterator[list[ast.stmt]]:
    """Yield the statements in groups without anything else between them."""
    group: list[ast.stmt] = []
    for node in nodes:
        if group and node.lineno > (group[-1].end_lineno or 0) + 3:
            yield group
            group = []
        group.append(node)
    if group:
        yield group
