"""Changes values in the text of a YAML file and keeps all other characters, with comments and quotes.

The positions of keys and values come from the loader that reads prompt files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

import yaml

from herding.prompts.yaml_dump import ORDER, dump, dump_file
from herding.yaml_files import Loader

_COMMENT = re.compile(r"[ \t]+#[^\n]*")
_COMMA = re.compile(r"\s*,[ \t]*")
_COMMA_BEFORE = re.compile(r",[ \t]*\Z")
_MARK = "\ufeff"
_PLAIN = (type(None), bool, int, float, str)


class _Edit(NamedTuple):
    """A replacement for the characters of the old text from `start` to `end`."""

    start: int
    end: int
    text: str


class _RewriteNeededError(Exception):
    """A value cannot be changed in parts: the value around it must be written anew."""


def merge_text(text: str, data: Mapping[str, Any]) -> str:
    """Return `text`, changed to hold `data`.

    If that fails, the file is written anew, without the comments of `text`. Line ends and a byte order mark are kept.
    """
    return copy_newlines(text, _merge_plain(normalize_newlines(text), data))


def copy_newlines(other: str, text: str) -> str:
    """Return `text` with the line ends and the byte order mark of `other`."""
    mark = _MARK if other.startswith(_MARK) else ""
    return mark + normalize_newlines(text).replace("\n", "\r\n" if "\r\n" in other else "\n")


def normalize_newlines(text: str) -> str:
    """Return `text` with line feeds as line ends and without a byte order mark."""
    return text.removeprefix(_MARK).replace("\r\n", "\n").replace("\r", "\n")


def _merge_plain(text: str, data: Mapping[str, Any]) -> str:
    if not text.endswith("\n"):
        text += "\n"
    try:
        root, old = yaml.compose(text, Loader=Loader), _load(text)
        made = _apply(text, _Merge(text).mapping(root, old, data))
        if is_same(_load(made), dict(data)):
            return made
    except (_RewriteNeededError, yaml.YAMLError, ValueError):
        pass
    return dump_file(data)


def _load(text: str) -> Any:
    return yaml.load(text, Loader=Loader)  # noqa: S506 (it is a safe one)


def restore_spelling(raw: Any, known: Any, wanted: Any, texts: Any = None) -> Any:
    """Return `wanted`, spelled as in `raw` wherever `known`, the meaning of `raw`, is the same.

    `texts` are the characters of `raw`: where they are the meaning, a number stands for a text.
    """
    if is_same(known, wanted) and (type(raw) is type(known) or (isinstance(texts, str) and texts == known)):
        return raw
    if isinstance(raw, dict) and isinstance(known, dict) and isinstance(wanted, dict):
        inner = texts if isinstance(texts, dict) else {}
        return {
            key: restore_spelling(raw[key], known[key], value, inner.get(key)) if key in raw and key in known else value
            for key, value in wanted.items()
        }
    if isinstance(raw, list) and isinstance(known, list) and isinstance(wanted, list) and len(raw) == len(known):
        items = texts if isinstance(texts, list) else [None] * len(raw)
        four = zip(raw, known, wanted, items, strict=False)
        return [restore_spelling(*parts) for parts in four] + wanted[len(raw) :]
    return wanted


def is_same(one: Any, other: Any) -> bool:
    """Return whether two values are equal and of one type: true is not 1, and 1 is not 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return type(one) is type(other) and one == other


def _apply(text: str, edits: Iterator[_Edit]) -> str:
    """Apply the edits from the end of the text on. At one position, insertions come before removals."""
    inner_first = list(edits)
    for edit in sorted(reversed(inner_first), key=lambda edit: edit[:2], reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


class _Merge:
    """Finds the edits that change the values of a text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def mapping(self, node: Any, old: Any, new: Any) -> Iterator[_Edit]:
        """Yield the edits within a map."""
        if not isinstance(node, yaml.MappingNode) or not isinstance(old, dict) or not isinstance(new, Mapping):
            raise _RewriteNeededError
        flow, stays = bool(node.flow_style), [name in new for name in old]
        if not any(stays):
            raise _RewriteNeededError
        for (key, value), name in zip(node.value, old, strict=True):
            if name not in new:
                yield self._without(key, value, flow=flow)
            elif not is_same(old[name], new[name]):
                yield from self._changed(key, value, old[name], new[name], name=name, flow=flow)
        more = [name for name in new if name not in old]
        ordered = sorted(more, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
        if more and flow:
            at = max(value.end_mark.index for (_, value), stay in zip(node.value, stays, strict=True) if stay)
            pairs = (_inline({name: new[name]}, None, flow=True)[1:-1] for name in ordered)
            yield _Edit(at, at, "".join(f", {pair}" for pair in pairs))
        elif more:
            at, column = self._after(self._end(node)), node.value[0][0].start_mark.column
            yield _Edit(at, at, _indent(dump_file({name: new[name] for name in ordered}), column))

    def _without(self, key: Any, value: Any, *, flow: bool) -> _Edit:
        """Return the edit that removes a key with its value, and its line, or its comma within braces."""
        start, end = key.start_mark.index, value.end_mark.index
        if not flow:
            self._alone(key.start_mark)
            return _Edit(self._line(start), self._after(self._end(value)), "")
        if comma := _COMMA.match(self._text, end):
            return _Edit(start, comma.end(), "")
        before = _COMMA_BEFORE.search(self._text[:start])
        return _Edit(before.start() if before else start, end, "")

    def sequence(self, node: Any, old: Sequence[Any], new: Sequence[Any]) -> Iterator[_Edit]:
        """Yield the edits within a list."""
        before, after = ([json.dumps(item, sort_keys=True) for item in items] for items in (old, new))
        runs = self._flow_items if node.flow_style else self._items
        for _, i, k, j, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
            yield from runs(node, i, old[i:k], new[j:m])

    def _flow_items(self, node: Any, first: int, old: Sequence[Any], new: Sequence[Any]) -> Iterator[_Edit]:
        """Yield the edits within brackets. If items are removed, the list is written anew."""
        if len(new) < len(old):
            raise _RewriteNeededError
        end = first + len(old)
        for child, one, other in zip(node.value[first:end], old, new, strict=False):
            if not is_same(one, other):
                yield from self._value(child, one, other, flow=True)
        more = [_inline(item, None, flow=True) for item in new[len(old) :]]
        if more and end:
            at = node.value[end - 1].end_mark.index
            yield _Edit(at, at, "".join(f", {item}" for item in more))
        elif more:
            at = node.value[0].start_mark.index
            yield _Edit(at, at, "".join(f"{item}, " for item in more))

    def _items(self, node: Any, first: int, old: Sequence[Any], new: Sequence[Any]) -> Iterator[_Edit]:
        """Yield the edits that replace the items `old`, from number `first` on, with `new`."""
        for number, (one, other) in enumerate(zip(old, new, strict=False), first):
            if not is_same(one, other):
                yield from self._changed(None, node.value[number], one, other)
        for child in node.value[first + len(new) : first + len(old)]:
            yield _Edit(self._dash(child, node), self._after(self._end(child)), "")
        if len(new) > len(old):
            end = first + len(old)
            at = self._after(self._end(node.value[end - 1])) if end else self._dash(node.value[0], node)
            items = "".join(_item(item) for item in new[len(old) :])
            yield _Edit(at, at, _indent(items, node.start_mark.column))

    def _changed(self, key: Any, node: Any, old: Any, new: Any, *, name: Any = "", flow: bool = False) -> list[_Edit]:
        """Return the edits of a value, in parts if possible, else of all of it with its key."""
        try:
            return list(self._value(node, old, new, flow=flow))
        except _RewriteNeededError:
            if flow:
                return [self._in_place(node, _inline(new, None, flow=True))]
        whole = _item(new) if key is None else dump_file({name: new})
        if key is None:
            start, column = node.start_mark.index, node.start_mark.column - 2
            if self._text[start - 2 : start] != "- ":
                raise _RewriteNeededError
            start -= 2
        else:
            start, column = key.start_mark.index, key.start_mark.column
        indented = _indent(whole, column).strip(" ").removesuffix("\n")
        head, line, rest = indented.partition("\n")
        comment, end = self._comment(node)
        return [_Edit(start, end, head + comment + line + rest)]

    def _value(self, node: Any, old: Any, new: Any, *, flow: bool) -> Iterator[_Edit]:
        """Yield the edits within a value that keeps its place."""
        if old and new and isinstance(old, dict) and isinstance(new, dict):
            yield from self.mapping(node, old, new)
        elif old and new and isinstance(old, list) and isinstance(new, list):
            yield from self.sequence(node, old, new)
        else:
            one_line = isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">")
            if not one_line and not (flow or getattr(node, "flow_style", False)):
                raise _RewriteNeededError
            text = _inline(new, node.style if isinstance(node, yaml.ScalarNode) else None, flow=flow)
            if not flow and (len(text) > 60 or not isinstance(new, _PLAIN)):
                raise _RewriteNeededError
            yield self._in_place(node, text)

    def _in_place(self, node: Any, text: str) -> _Edit:
        start, end = node.start_mark.index, node.end_mark.index
        return _Edit(start, end, text if end > start else f" {text}")

    def _end(self, node: Any) -> int:
        """Return the end of a value, before comments and empty lines."""
        if not isinstance(node, yaml.ScalarNode) and not node.flow_style and node.value:
            last = node.value[-1]
            return self._end(last[1] if isinstance(last, tuple) else last)
        start, end = node.start_mark.index, node.end_mark.index
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            return int(start + len(self._text[start:end].rstrip()))
        return int(end)

    def _comment(self, node: Any) -> tuple[str, int]:
        """Return the comment after the value, or after the first line of a block, and the end of both."""
        end = self._end(node)
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            start = node.start_mark.index
            found = _COMMENT.search(self._text, start, self._after(start))
            return (found[0] if found else "", end)
        found = _COMMENT.match(self._text, end)
        return (found[0], found.end()) if found else ("", end)

    def _alone(self, mark: Any) -> None:
        """Raise unless a key is the first text in its line."""
        if self._text[self._line(mark.index) : mark.index].strip(" "):
            raise _RewriteNeededError

    def _dash(self, child: Any, node: Any) -> int:
        """Return the start of the line of a list item."""
        start = self._line(child.start_mark.index)
        if self._text[start : child.start_mark.index] != " " * node.start_mark.column + "- ":
            raise _RewriteNeededError
        return start

    def _line(self, index: int) -> int:
        return self._text.rfind("\n", 0, index) + 1

    def _after(self, index: int) -> int:
        """Return the start of the next line."""
        found = self._text.find("\n", index)
        return len(self._text) if found < 0 else found + 1


def _inline(value: Any, style: str | None, *, flow: bool) -> str:
    """Return a value in one line, quoted in `style`. Within braces (`flow`) line breaks are escaped."""
    quoted = style if style in ("'", '"') and isinstance(value, str) else None
    options: Any = {"default_flow_style": True, "width": 10**9, "allow_unicode": True, "sort_keys": False}
    text: str = yaml.safe_dump([value], **options, default_style=quoted).strip()[1:-1]
    if "\n" in text and flow:
        text = json.dumps(value, ensure_ascii=False)
    if "\n" in text:
        raise _RewriteNeededError
    return text


def _item(value: Any) -> str:
    """Return a value as a list item in lines of its own."""
    if isinstance(value, dict) and value:
        first, *others = dump(value).splitlines(keepends=True)
        return "- " + first + "".join(f"  {line}" if line.strip() else line for line in others)
    return "-" + dump({"k": value}).removeprefix("k:")


def _indent(text: str, column: int) -> str:
    """Return the text indented by `column` spaces."""
    return "".join(" " * column + line if line.strip() else line for line in text.splitlines(keepends=True))
