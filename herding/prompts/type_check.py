"""What the terms of a condition are, so that one which compares a text with a number is refused when it loads."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from herding.prompts.condition import Condition
from herding.prompts.grammar import Compare, Constant, Group, Items, Length, Name, Node, Not
from herding.prompts.variables import (
    BooleanVariable,
    ChoiceVariable,
    NumberListVariable,
    NumberVariable,
    TextVariable,
    Variable,
)

NUMBER, TEXT, TRUTH, NUMBERS, TEXTS = "a number", "a text", "true or false", "a list of numbers", "a list of texts"
_ORDERED = ("<", "<=", ">", ">=")
_GROUPS = {(NUMBER, NUMBERS), (TEXT, TEXTS), (TEXT, TEXT)}


def check_kinds(condition: Condition, variables: Mapping[str, Variable]) -> None:
    """ValueError where the condition asks for what is not declared, or compares what cannot be compared."""
    kind = _kind(condition.tree, variables)
    if kind != TRUTH:
        raise ValueError(f"'{condition.text}' is {kind}; compare it with something, as in: error > 2000")


def _kind(node: Node, variables: Mapping[str, Variable]) -> str:
    match node:
        case Constant(value=value):
            return TRUTH if isinstance(value, bool) else TEXT if isinstance(value, str) else NUMBER
        case Items(values=values):
            return _items_kind(values)
        case Name(name=name):
            return _variable_kind(name, variables)
        case Length(name=name):
            kind = _variable_kind(name, variables)
            if kind not in (TEXT, NUMBERS):
                raise ValueError(f"len({name}): '{name}' is {kind} and has no length")
            return NUMBER
        case Not(part=part):
            _want_truth((part,), "not", variables)
        case Group(word=word, parts=parts):
            _want_truth(parts, word, variables)
        case Compare(signs=signs, terms=terms):
            for sign, (left, right) in zip(signs, pairwise(terms), strict=True):
                _check_pair(sign, left, right, variables)
    return TRUTH


def _items_kind(values: tuple[int | float | str, ...]) -> str:
    kinds = {isinstance(value, str) for value in values}
    if len(kinds) > 1:
        raise ValueError("a list holds numbers or texts, not both")
    return TEXTS if kinds == {True} else NUMBERS


def _variable_kind(name: str, variables: Mapping[str, Variable]) -> str:
    match variables.get(name):
        case None:
            raise ValueError(f"the condition asks for '{name}', which is not declared under variables")
        case TextVariable() | ChoiceVariable():
            return TEXT
        case BooleanVariable():
            return TRUTH
        case NumberListVariable():
            return NUMBERS
        case NumberVariable() as variable if not variable.always_given:
            raise ValueError(f"the condition asks for '{name}', which may be left out; give it a default")
    return NUMBER


def _want_truth(parts: tuple[Node, ...], word: str, variables: Mapping[str, Variable]) -> None:
    for part in parts:
        kind = _kind(part, variables)
        if kind != TRUTH:
            raise ValueError(f"beside '{word}' stands {kind}; compare it with something, as in: error > 2000")


def _check_pair(sign: str, left: Node, right: Node, variables: Mapping[str, Variable]) -> None:
    kinds = _kind(left, variables), _kind(right, variables)
    if sign in ("in", "not in"):
        fits = kinds in _GROUPS
    elif sign in _ORDERED:
        fits = kinds == (NUMBER, NUMBER)
    else:
        fits = kinds[0] == kinds[1] != NUMBERS
    if not fits:
        raise ValueError(f"{kinds[0]} and {kinds[1]} cannot be compared by '{sign}'")
    _check_choice(left, right, variables)
    _check_choice(right, left, variables)


def _check_choice(chosen: Node, given: Node, variables: Mapping[str, Variable]) -> None:
    """A text that is none of the choices is a slip of the pen."""
    if not isinstance(chosen, Name) or not isinstance(given, Constant | Items):
        return
    variable = variables[chosen.name]
    if not isinstance(variable, ChoiceVariable):
        return
    for text in given.values if isinstance(given, Items) else (given.value,):
        if text not in ("", *variable.choices):
            raise ValueError(f"'{text}' is none of the choices of '{chosen.name}'")
