"""Proves which variants of a prompt are used, and whether there is one for every input.

Where all conditions compare single variables with constants, the inputs fall into finitely many cells within which no
condition changes: one value of each is tried. Where they do not, nothing is proven and nothing is said.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, pairwise, product
from typing import Any

from herding.prompts.condition import Condition, inside
from herding.prompts.grammar import Compare, Constant, Items, Length, Name, Node
from herding.prompts.numbers import MAX_NUMBERS
from herding.prompts.variables import (
    BooleanVariable,
    ChoiceVariable,
    IntegerVariable,
    NumberListVariable,
    NumberVariable,
    TextVariable,
    Value,
    Variable,
    show,
)

MAX_TRIES = 100_000
"""How often a condition is tried at most for a proof."""

_GREATEST = sys.float_info.max
Cuts = dict[str, set[Any]]


class _UnprovenError(Exception):
    """The conditions are more than what is proven here."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """`gap` tells an input that fits no condition, None if all fit; `idle` are the conditions that are never first."""

    gap: str | None
    idle: tuple[int, ...]


def cover(conditions: Sequence[Condition], variables: Mapping[str, Variable]) -> Coverage | None:
    """What the conditions cover, None where that is not proven. Their kinds must have been checked."""
    try:
        cells = _cells(conditions, variables)
    except _UnprovenError:
        return None
    if math.prod(map(len, cells.values())) * len(conditions) > MAX_TRIES:
        return None
    gap, used = None, set[int]()
    for values in product(*cells.values()):
        given = dict(zip(cells, values, strict=True))
        first = next((n for n, condition in enumerate(conditions) if condition.holds(given)), None)
        if first is not None:
            used.add(first)
        elif gap is None:
            gap = ", ".join(_told(name, value) for name, value in given.items()) or "any input"
    return Coverage(gap, tuple(n for n in range(len(conditions)) if n not in used))


def _told(name: str, value: Value) -> str:
    if isinstance(value, list):
        return f"{len(value)} numbers in {name}"
    if isinstance(value, bool):
        return f"{name} = {str(value).lower()}"
    if isinstance(value, str):
        return f'{name} = "{value}"' if len(value) <= 40 else f"{len(value):,} characters in {name}"
    return f"{name} = {show(value)}"


def _cells(conditions: Iterable[Condition], variables: Mapping[str, Variable]) -> dict[str, list[Any]]:
    """A value of every cell, for each variable that the conditions ask for."""
    values: Cuts = defaultdict(set)
    lengths: Cuts = defaultdict(set)
    for condition in conditions:
        for node in inside(condition.tree):
            if isinstance(node, Compare):
                for sign, (left, right) in zip(node.signs, pairwise(node.terms), strict=True):
                    term, constants = _cut(sign, left, right, variables)
                    if isinstance(term, Name | Length):
                        (lengths if isinstance(term, Length) else values)[term.name].update(constants)
    names = sorted({name for condition in conditions for name in condition.names})
    return {name: list(_samples(variables[name], values.get(name), lengths.get(name))) for name in names}


def _cut(sign: str, left: Node, right: Node, variables: Mapping[str, Variable]) -> tuple[Node | None, tuple[Any, ...]]:
    """The term of a comparison that is open, if one is, and the constants with which it is compared."""
    open_terms = [node for node in (left, right) if _is_open(node, variables)]
    if not open_terms:
        return None, ()
    (term, *others), other = open_terms, right if open_terms[0] is left else left
    held = isinstance(other, Items) or (isinstance(other, Constant) and sign not in ("in", "not in"))
    if others or not held:
        raise _UnprovenError
    return term, other.values if isinstance(other, Items) else (other.value,) if isinstance(other, Constant) else ()


def _is_open(node: Node, variables: Mapping[str, Variable]) -> bool:
    """Whether a term has more values than can be tried one by one."""
    return isinstance(node, Name | Length) and not isinstance(variables[node.name], BooleanVariable | ChoiceVariable)


def _samples(variable: Variable, values: set[Any] | None, lengths: set[Any] | None) -> Iterator[Value]:
    least = 1 if variable.must_be_given else 0
    match variable:
        case BooleanVariable():
            yield from (True, False)
        case ChoiceVariable():
            yield from variable.choices
            if not variable.always_given and "" not in variable.choices:
                yield ""
        case NumberVariable():
            whole = isinstance(variable, IntegerVariable)
            yield from _numbers(values or set(), *variable.bounds, whole=whole)
        case NumberListVariable() if values is None:
            low, high = variable.bounds
            entry = min(max(0, -_GREATEST if low is None else low), _GREATEST if high is None else high)
            yield from ([entry] * int(size) for size in _numbers(lengths or set(), least, MAX_NUMBERS, whole=True))
        case TextVariable() if variable.pattern is None and values is None:
            yield from ("x" * int(n) for n in _numbers(lengths or set(), least, variable.max_chars, whole=True))
        case TextVariable() if variable.pattern is None and lengths is None:
            yield from _texts(values or set(), least, variable.max_chars)
        case _:
            raise _UnprovenError


def _texts(cuts: set[str], least: int, most: int) -> Iterator[str]:
    """The texts themselves, and another one."""
    yield from (text for text in sorted(cuts) if least <= len(text) <= most)
    yield next(letter for letter in map(chr, count(ord("a"))) if letter not in cuts)


def _numbers(cuts: set[Any], low: float | None, high: float | None, *, whole: bool) -> Iterator[int | float]:
    """The numbers between `low` and `high` at which something may change, and one between any two of them."""
    low, high = -_GREATEST if low is None else low, _GREATEST if high is None else high
    points = sorted({low, high, *(cut for cut in cuts if low < cut < high)})
    for left, right in pairwise(points):
        yield from _between(left, right, whole=whole)
    for point in sorted(points, key=abs):
        if not whole or point == int(point):
            yield int(point) if point == int(point) else point


def _between(left: float, right: float, *, whole: bool) -> Iterator[int | float]:
    """A number that lies between, if there is one; where it can be, a plain one close to a bound that was written."""
    near = (right - 1) if left == -_GREATEST else (math.floor(left) + 1)
    middle = (Fraction(left) + Fraction(right)) / 2
    found = [near, math.floor(left) + 1] if whole else [near, float(middle), math.floor(left) + 1]
    yield from [n for n in found if left < n < right and (not whole or n == int(n))][:1]
