"""Conditions of variants: comparisons over the checked values of a prompt's variables.

They have a grammar of their own (see `herding.prompts.grammar`); nothing is ever evaluated as code.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from herding.prompts.grammar import Compare, Constant, Group, Items, Length, Name, Node, Not, parse

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "in": lambda item, group: item in group,
    "not in": lambda item, group: item not in group,
}


class Condition:
    """A parsed condition; ValueError if the text is not one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = parse(text)
        self.names = frozenset(node.name for node in inside(self.tree) if isinstance(node, Name | Length))

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition holds for `values`; ValueError if they cannot be compared."""
        try:
            return bool(_evaluate(self.tree, values))
        except TypeError:
            raise ValueError(f"the condition '{self.text}' compares values of different kinds") from None


def inside(node: Node) -> Iterator[Node]:
    """The node, and all nodes below it."""
    yield node
    match node:
        case Compare(terms=parts) | Group(parts=parts):
            for part in parts:
                yield from inside(part)
        case Not(part=part):
            yield from inside(part)


def _evaluate(node: Node, values: Mapping[str, Any]) -> Any:
    match node:
        case Constant(value=value):
            return value
        case Items(values=items):
            return items
        case Name(name=name):
            return values[name]
        case Length(name=name):
            return len(values[name])
        case Not(part=part):
            return not _evaluate(part, values)
        case Group(word="and", parts=parts):
            return all(_evaluate(part, values) for part in parts)
        case Group(parts=parts):
            return any(_evaluate(part, values) for part in parts)
        case Compare(signs=signs, terms=terms):
            return _chain(signs, [_evaluate(term, values) for term in terms])


def _chain(signs: tuple[str, ...], values: list[Any]) -> bool:
    pairs = zip(signs, values, values[1:], strict=False)
    return all(_COMPARE[sign](left, right) for sign, left, right in pairs)
