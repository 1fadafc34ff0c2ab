"""Conditions of variants: comparisons over the checked values of a prompt's variables.

The grammar is a corner of Python's expressions, read by Python's own parser and walked here; nothing is ever
evaluated as code. Allowed: names of declared variables, numbers, quoted texts, true and false, `len(name)`,
comparisons (also chained, as in `450 <= error <= 2000`), `and`, `or`, `not`, `in`, brackets.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

MAX_CHARS = 500

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda item, group: item in group,
    ast.NotIn: lambda item, group: item not in group,
}
_WORDS = {"true": True, "false": False}


class Condition:
    """A parsed condition; ValueError if the text is not one."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_CHARS:
            raise ValueError(f"a condition has at most {MAX_CHARS} characters")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ValueError(f"'{text}' is not a condition such as: error > 2000") from None
        self.text = text
        self.names = frozenset(_names(self._tree))

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition holds for `values`; ValueError if they cannot be compared."""
        try:
            return bool(_evaluate(self._tree, values))
        except TypeError:
            raise ValueError(f"the condition '{self.text}' compares values of different kinds") from None


def _names(node: ast.expr) -> list[str]:
    """The variables in `node`; ValueError for anything outside the grammar."""
    match node:
        case ast.Name(id=name):
            return [] if name in _WORDS else [name]
        case ast.Constant(value=bool() | int() | float() | str()):
            return []
        case ast.BoolOp(values=parts):
            return [name for part in parts for name in _names(part)]
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=part):
            return _names(part)
        case ast.Call(func=ast.Name(id="len"), args=[ast.Name() as part], keywords=[]):
            return _names(part)
        case ast.Compare(left=left, ops=ops, comparators=rest) if all(type(op) in _COMPARE for op in ops):
            return [name for part in (left, *rest) for name in _names(part)]
    raise ValueError(f"'{ast.unparse(node)}' is not allowed in a condition")


def _evaluate(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Name(id=name):
            return _WORDS[name] if name in _WORDS else values[name]
        case ast.Constant(value=value):
            return value
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_evaluate(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_evaluate(part, values) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return not _evaluate(part, values)
        case ast.UnaryOp(operand=part):
            return -_evaluate(part, values)
        case ast.Call(args=[part]):
            return len(_evaluate(part, values))
        case ast.Compare(left=left, ops=ops, comparators=rest):
            return _chain(_evaluate(left, values), ops, [_evaluate(part, values) for part in rest])
    raise ValueError("unreachable: the parser refused this")


def _chain(left: Any, ops: list[ast.cmpop], rest: list[Any]) -> bool:
    for op, right in zip(ops, rest, strict=True):
        if not _COMPARE[type(op)](left, right):
            return False
        left = right
    return True
