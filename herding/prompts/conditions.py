"""Conditions of variants: comparisons over the checked values of a prompt's variables, as in `450 <= error <= 2000`.

A condition is a Python expression of a few kinds: `and`, `or`, `not`, comparisons, `in`, `len(variable)`, variables,
numbers, texts, true and false. It is parsed, never compiled or run.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from herding.prompts.variables import (
    BooleanVariable,
    ChoiceVariable,
    NumberListVariable,
    NumberVariable,
    TextVariable,
    Variable,
)

MAX_CHARS = 500
MAX_DEPTH = 50

_OPERATORS: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.In: ("in", lambda item, group: item in group),
    ast.NotIn: ("not in", lambda item, group: item not in group),
}
_MEMBERSHIP = (ast.In, ast.NotIn)
_WORDS = {"true": True, "false": False}

_NUMBER = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_TEXT = re.compile(r"""'(?:[^'\\\n]|\\['"\\nt])*'|"(?:[^"\\\n]|\\['"\\nt])*\"""")
_ESCAPE = re.compile(r"""\\['"\\nt]""")

NUMBER, TEXT, BOOLEAN, NUMBERS, TEXTS = "a number", "a text", "true or false", "a list of numbers", "a list of texts"
_CONSTANT_TYPES: dict[type, str] = {bool: BOOLEAN, str: TEXT}
_ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_MEMBERS = {(NUMBER, NUMBERS), (TEXT, TEXTS), (TEXT, TEXT)}


class Condition:
    """A parsed condition. Raises ValueError, which names the part at fault, if `text` is not a condition."""

    def __init__(self, text: str) -> None:
        if not text.strip():
            raise ValueError("enter a condition, such as: error > 2000")
        if len(text) > MAX_CHARS:
            raise ValueError(f"a condition has at most {MAX_CHARS} characters")
        self.text = text.strip()
        self._expression = _Parser(self.text).parse()

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether the condition holds for `values`. Raises ValueError if they cannot be compared."""
        try:
            return bool(_evaluate(self._expression, values))
        except TypeError:
            raise ValueError(f"the condition '{self.text}' compares values of different types") from None

    def check_types(self, variables: Mapping[str, Variable]) -> None:
        """Raise ValueError if a variable is not declared, or if values of different types are compared."""
        found = _TypeChecker(variables).type_of(self._expression)
        if found != BOOLEAN:
            raise ValueError(f"'{self.text}' is {found}; compare it with something, as in: error > 2000")


class _Parser:
    """Parses a condition and refuses every other expression."""

    def __init__(self, text: str) -> None:
        self._text = re.sub(r"[\t\r\n]", " ", text)  # a line break ends no condition

    def parse(self) -> ast.expr:
        """Return the syntax tree of the condition."""
        if "\\" in _ESCAPE.sub("", self._text):
            raise self._refusal(self._text.index("\\"))
        try:
            expression = ast.parse(self._text, mode="eval").body
        except SyntaxError as error:
            raise self._refusal((error.offset or 1) - 1) from None
        except (ValueError, RecursionError, MemoryError):
            raise self._refusal(0) from None
        if b"#" in self._text.encode()[expression.end_col_offset or 0 :]:
            raise self._refusal(self._text.rindex("#"))
        self._check(expression, MAX_DEPTH)
        return expression

    def _check(self, node: ast.expr, depth: int) -> None:
        """Refuse `node` if it, or a part of it, is not allowed in a condition."""
        if depth == 0:
            raise ValueError(f"a condition has at most {MAX_DEPTH} levels")
        match node:
            case ast.Name(id=name) if name != "len":
                return
            case ast.Call(func=ast.Name(id="len"), args=[ast.Name()], keywords=[]):
                return
            case ast.BoolOp(values=parts):
                pass
            case ast.UnaryOp(op=ast.Not(), operand=part):
                parts = [part]
            case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[ast.List(elts=items)]) if items:
                self._check(left, depth - 1)
                for item in items:
                    self._check_constant(item)
                return
            case ast.Compare(left=left, ops=ops, comparators=terms) if self._are_allowed(ops):
                parts = [left, *terms]
            case _:
                self._check_constant(node, boolean=True)
                return
        for part in parts:
            self._check(part, depth - 1)

    @staticmethod
    def _are_allowed(ops: Sequence[ast.cmpop]) -> bool:
        known = all(type(op) in _OPERATORS for op in ops)
        return known and (len(ops) == 1 or not any(isinstance(op, _MEMBERSHIP) for op in ops))

    def _check_constant(self, node: ast.expr, *, boolean: bool = False) -> None:
        """Refuse what is not a number or a text as written in a condition, or, with `boolean`, true or false."""
        inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
        if isinstance(inner, ast.Constant):
            written = ast.get_source_segment(self._text, inner) or ""
            if isinstance(inner.value, bool) and boolean and inner is node:
                return
            if _NUMBER.fullmatch(written):
                if isinstance(inner.value, float) and math.isinf(inner.value):
                    raise ValueError(f"the number {written[:40]} is too large for a condition")
                return
            if _TEXT.fullmatch(written) and inner is node:
                return
        raise self._refusal(len(self._text.encode()[: node.col_offset].decode(errors="ignore")))

    def _refusal(self, position: int) -> ValueError:
        """Return the error for a text that is not understood from `position` (in characters) on."""
        rest = self._text[position : position + 40]
        where = f": '{rest}' is not understood" if rest and position else ""
        return ValueError(f"'{self._text}' is not a condition such as: error > 2000{where}")


def _evaluate(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.List(elts=items):
            return [_evaluate(item, values) for item in items]
        case ast.Name(id=name):
            return _WORDS[name] if name in _WORDS else values[name]
        case ast.Call(args=[name]):
            return len(_evaluate(name, values))
        case ast.UnaryOp(operand=part):
            return not _evaluate(part, values)
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_evaluate(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_evaluate(part, values) for part in parts)
        case ast.Compare(left=left, ops=ops, comparators=others):
            pairs = pairwise(_evaluate(term, values) for term in (left, *others))
            return all(_OPERATORS[type(op)][1](*pair) for op, pair in zip(ops, pairs, strict=True))
    raise TypeError(type(node).__name__)


class _TypeChecker:
    """Finds the types of terms and refuses comparisons that never make sense."""

    def __init__(self, variables: Mapping[str, Variable]) -> None:
        self._variables = variables

    def type_of(self, node: ast.expr) -> str:
        """Return the type of a term in words. Raises ValueError for a part that does not fit."""
        match node:
            case ast.Constant(value=value):
                return _CONSTANT_TYPES.get(type(value), NUMBER)
            case ast.UnaryOp(op=ast.USub()):
                return NUMBER
            case ast.List(elts=items):
                return self._list_type(items)
            case ast.Name(id=name):
                return self._variable_type(name)
            case ast.Call(args=[ast.Name(id=name)]):
                return self._length_type(name)
            case ast.UnaryOp(operand=part):
                self._want_boolean([part], "not")
            case ast.BoolOp(op=op, values=parts):
                self._want_boolean(parts, "and" if isinstance(op, ast.And) else "or")
            case ast.Compare(left=left, ops=ops, comparators=others):
                for comparison, (one, other) in zip(ops, pairwise([left, *others]), strict=True):
                    self._check_pair(comparison, one, other)
        return BOOLEAN

    def _list_type(self, items: Sequence[ast.expr]) -> str:
        types = {self.type_of(item) for item in items}
        if len(types) > 1:
            raise ValueError("a list holds numbers or texts, not both")
        return TEXTS if types == {TEXT} else NUMBERS

    def _variable_type(self, name: str) -> str:
        if name in _WORDS:
            return BOOLEAN
        match self._variables.get(name):
            case None:
                raise ValueError(f"the condition uses '{name}', which is not declared under variables")
            case TextVariable() | ChoiceVariable():
                return TEXT
            case BooleanVariable():
                return BOOLEAN
            case NumberListVariable():
                return NUMBERS
            case NumberVariable() as variable if not variable.always_given:
                raise ValueError(f"the condition uses '{name}', which may be missing. Give it a default")
        return NUMBER

    def _length_type(self, name: str) -> str:
        found = self._variable_type(name)
        if found not in (TEXT, NUMBERS):
            raise ValueError(f"len({name}): '{name}' is {found} and has no length")
        return NUMBER

    def _want_boolean(self, parts: Sequence[ast.expr], word: str) -> None:
        for part in parts:
            found = self.type_of(part)
            if found != BOOLEAN:
                raise ValueError(f"'{word}' is used with {found}; compare it with something, as in: error > 2000")

    def _check_pair(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> None:
        types = self.type_of(left), self.type_of(right)
        if isinstance(op, _MEMBERSHIP):
            fits = types in _MEMBERS
        elif isinstance(op, _ORDERED):
            fits = types == (NUMBER, NUMBER)
        else:
            fits = types[0] == types[1] != NUMBERS
        if not fits:
            raise ValueError(f"{types[0]} and {types[1]} cannot be compared by '{_OPERATORS[type(op)][0]}'")
        self._check_choice(left, right)
        self._check_choice(right, left)

    def _check_choice(self, chosen: ast.expr, given: ast.expr) -> None:
        """Refuse a text that is not one of the choices of the variable it is compared with."""
        variable = self._variables.get(chosen.id) if isinstance(chosen, ast.Name) else None
        if not isinstance(variable, ChoiceVariable) or not isinstance(chosen, ast.Name):
            return
        for item in given.elts if isinstance(given, ast.List) else [given]:
            if isinstance(item, ast.Constant) and item.value not in ("", *variable.choices):
                raise ValueError(f"'{item.value!s}' is not one of the choices of '{chosen.id}'")
