"""The differences between two versions of a prompt by field, line and word."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import regex

from herding.prompts.edits import BODY
from herding.prompts.yaml_dump import ORDER, dump

Section = Literal["template", "variables", "parameters", "checks", "other"]
Kind = Literal["same", "removed", "added", "changed"]

MAX_COMPARED = 4_000_000
"""Maximum number of compared pairs of lines or words. Larger texts differ as a whole."""

_MAPS = ("variables", "parameters", "checks", "templates")

APART = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
"""A letter that counts as a word: these scripts have no spaces between words."""

_WORD = regex.compile(rf"{APART}|(?:(?!{APART})[\w\p{{M}}])+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Mark:
    """A part of a line. `changed` is true if the other side does not have it."""

    text: str
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line of one or both sides. `old` is None for an added line, `new` for a removed one.

    Numbers count from 1 on each side.
    """

    kind: Kind
    old: tuple[Mark, ...] | None
    new: tuple[Mark, ...] | None
    old_number: int | None
    new_number: int | None


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """A changed field: its text before and after (None: missing), and the lines of both."""

    section: Section
    name: str
    old: str | None
    new: str | None
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class PromptDiff:
    """All changed fields in the order of a prompt file."""

    fields: tuple[FieldDiff, ...]


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> PromptDiff:
    """Compare the data of two prompts."""
    one, other = dict(_fields(old)), dict(_fields(new))
    names = [*one, *(name for name in other if name not in one)]
    changed = [name for name in names if one.get(name) != other.get(name)]
    made = [_field(name, one.get(name), other.get(name)) for name in changed]
    return PromptDiff(tuple(sorted(made, key=lambda field: _place(field.name))))


def lines(old: str, new: str) -> tuple[Line, ...]:
    """Return the lines of two texts side by side."""
    one, other = old.split("\n"), new.split("\n")
    found: list[Line] = []
    for tag, i, k, j, m in _blocks(one, other):
        both = min(k - i, m - j) if tag == "replace" else 0
        if tag == "equal":
            found += [_both(one[i + n], other[j + n], i + n, j + n) for n in range(k - i)]
            continue
        found += [_both(one[i + n], other[j + n], i + n, j + n) for n in range(both)]
        found += [Line("removed", (Mark(one[n], True),), None, n + 1, None) for n in range(i + both, k)]
        found += [Line("added", None, (Mark(other[n], True),), None, n + 1) for n in range(j + both, m)]
    return tuple(found)


def _both(old: str, new: str, i: int, j: int) -> Line:
    if old == new:
        return Line("same", (Mark(old),), (Mark(new),), i + 1, j + 1)
    left, right = _words(old, new)
    return Line("changed", left, right, i + 1, j + 1)


def _words(old: str, new: str) -> tuple[tuple[Mark, ...], tuple[Mark, ...]]:
    """Return the parts of two lines, with those that differ marked as changed."""
    one, other = _WORD.findall(old), _WORD.findall(new)
    left: list[Mark] = []
    right: list[Mark] = []
    for tag, i, k, j, m in _blocks(one, other):
        if i < k:
            left.append(Mark("".join(one[i:k]), tag != "equal"))
        if j < m:
            right.append(Mark("".join(other[j:m]), tag != "equal"))
    return tuple(left), tuple(right)


def _blocks(one: Sequence[str], other: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    """Return the opcodes of two sequences. Equal ends are skipped to save time."""
    head = 0
    while head < min(len(one), len(other)) and one[head] == other[head]:
        head += 1
    tail = 0
    while tail < min(len(one), len(other)) - head and one[-1 - tail] == other[-1 - tail]:
        tail += 1
    k, m = len(one) - tail, len(other) - tail
    found = [("equal", 0, head, 0, head)] if head else []
    if (k - head) * (m - head) > MAX_COMPARED:
        found.append(("replace", head, k, head, m))
    else:
        inner = SequenceMatcher(None, one[head:k], other[head:m], autojunk=False).get_opcodes()
        found += [(tag, a + head, b + head, c + head, d + head) for tag, a, b, c, d in inner]
    return [*found, ("equal", k, len(one), m, len(other))] if tail else found


def _field(name: str, old: str | None, new: str | None) -> FieldDiff:
    if old is None:
        found = tuple(Line("added", None, (Mark(text, True),), None, n) for n, text in _numbered(new))
    elif new is None:
        found = tuple(Line("removed", (Mark(text, True),), None, n, None) for n, text in _numbered(old))
    else:
        found = lines(old, new)
    return FieldDiff(_section(name), name, old, new, found)


def _numbered(text: str | None) -> Iterator[tuple[int, str]]:
    return enumerate((text or "").split("\n"), 1)


def _section(name: str) -> Section:
    top = name.partition(".")[0]
    if top in BODY:
        return "template"
    if top == "variables":
        return "variables"
    if top == "parameters":
        return "parameters"
    return "checks" if top == "checks" else "other"


def _place(name: str) -> int:
    top = name.partition(".")[0]
    return ORDER.index(top) if top in ORDER else len(ORDER)


def _fields(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every field with its text."""
    for name, value in data.items():
        if name == "variants":
            yield f"{name}.order", "\n".join(variant["name"] for variant in value)  # the first match is used
            for variant in value:
                parts = _fields({part: inner for part, inner in variant.items() if part != "name"})
                yield from ((f"{name}.{variant['name']}.{part}", text) for part, text in parts)
        elif name == "messages":
            for number, message in enumerate(value, 1):
                yield from ((f"{name}.{number}.{part}", _text(inner)) for part, inner in message.items())
        elif name in _MAPS:
            yield from ((f"{name}.{part}", _text(inner)) for part, inner in value.items())
        else:
            yield name, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return dump(value).rstrip("\n")
    return json.dumps(value, ensure_ascii=False)
