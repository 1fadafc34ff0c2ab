"""The grammar of conditions: a text becomes a tree of comparisons.

or:          and ("or" and)*
and:         not ("and" not)*
not:         "not" not | comparison
comparison:  term (("<" | "<=" | ">" | ">=" | "==" | "!=") term)* | term ["not"] "in" (term | list)
term:        number | text | "true" | "false" | name | "len" "(" name ")" | "(" or ")"
list:        "[" number or text, ... "]"
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

MAX_CHARS = 500
MAX_DEPTH = 50

_TOKEN = re.compile(
    r"[ \t\r\n]*(?:(?P<number>-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))"
    r"|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<text>'(?:[^'\\\n]|\\['\"\\nt])*'|\"(?:[^\"\\\n]|\\['\"\\nt])*\")"
    r"|(?P<sign><=|>=|==|!=|[<>()\[\],]))",
    re.ASCII,
)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t"}
_COMPARE = ("<", "<=", ">", ">=", "==", "!=")
_WORDS = {"true": True, "false": False, "True": True, "False": False}
_KEYWORDS = frozenset({"and", "or", "not", "in", "len"})


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a text, or true or false."""

    value: int | float | str | bool


@dataclass(frozen=True, slots=True)
class Name:
    """The value of a variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Length:
    """How many characters or entries a variable has."""

    name: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list that is written out."""

    values: tuple[int | float | str, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """Comparisons in a chain: each sign stands between two neighbours of `terms`."""

    signs: tuple[str, ...]
    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: Node


@dataclass(frozen=True, slots=True)
class Group:
    """`and`: all parts hold; `or`: one does."""

    word: Literal["and", "or"]
    parts: tuple[Node, ...]


Node = Constant | Name | Length | Items | Compare | Not | Group


def parse(text: str) -> Node:
    """The tree of a condition; ValueError if `text` is none."""
    if len(text) > MAX_CHARS:
        raise ValueError(f"a condition has at most {MAX_CHARS} characters")
    parser = _Parser(text)
    tree = parser.either()
    if parser.next is not None:
        raise parser.refuse()
    return tree


class _Parser:
    """Reads a text from left to right, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text.strip()
        self._depth = 0
        self._at = self._end = 0
        self._kind = ""
        self.next: str | None = None
        self._step()

    def refuse(self) -> ValueError:
        """What is said of a text that goes on in a way that is not known."""
        rest = self._text[self._at :]
        where = f": '{rest[:40]}' is not understood" if rest and self._at else ""
        return ValueError(f"'{self._text}' is not a condition such as: error > 2000{where}")

    def either(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"a condition has at most {MAX_DEPTH} brackets inside one another")
        parts = [self._both()]
        while self._takes("or"):
            parts.append(self._both())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Group("or", tuple(parts))

    def _both(self) -> Node:
        parts = [self._opposite()]
        while self._takes("and"):
            parts.append(self._opposite())
        return parts[0] if len(parts) == 1 else Group("and", tuple(parts))

    def _opposite(self) -> Node:
        count = 0
        while self._takes("not"):
            count += 1
        found = self._comparison()
        return Not(found) if count % 2 else found

    def _comparison(self) -> Node:
        terms, signs = [self._term()], list[str]()
        while self.next in _COMPARE and self._kind == "sign":
            signs.append(self._step())
            terms.append(self._term())
        if not signs and self.next in ("in", "not") and self._kind == "word":
            signs.append("not in" if self._takes("not") else "in")
            self._expect("in")
            terms.append(self._items() if self.next == "[" else self._term())
        return Compare(tuple(signs), tuple(terms)) if signs else terms[0]

    def _term(self) -> Node:
        if self._kind in ("number", "text"):
            return Constant(self._value())
        if self._takes("("):
            inner = self.either()
            self._expect(")")
            return inner
        if self._takes("len"):
            self._expect("(")
            name = self._name()
            self._expect(")")
            return Length(name)
        if self.next in _WORDS and self._kind == "word":
            return Constant(_WORDS[self._step()])
        return Name(self._name())

    def _items(self) -> Items:
        self._expect("[")
        values = [self._value()]
        while self._takes(","):
            values.append(self._value())
        self._expect("]")
        return Items(tuple(values))

    def _value(self) -> int | float | str:
        if self._kind == "text":
            return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), self._step()[1:-1])
        if self._kind != "number":
            raise self.refuse()
        written = self._step()
        value = int(written) if written.lstrip("-").isdigit() else float(written)
        if isinstance(value, float) and math.isinf(value):
            raise ValueError(f"the number {written[:40]} is too large for a condition")
        return value

    def _name(self) -> str:
        if self._kind != "word" or self.next in _KEYWORDS:
            raise self.refuse()
        return self._step()

    def _takes(self, word: str) -> bool:
        if self.next != word or self._kind not in ("word", "sign"):
            return False
        self._step()
        return True

    def _expect(self, word: str) -> None:
        if not self._takes(word):
            raise self.refuse()

    def _step(self) -> str:
        """Go on to the next token; gives the one before."""
        before = self.next or ""
        self._at = self._end
        if self._at >= len(self._text):
            self._kind, self.next = "", None
            return before
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise self.refuse()
        self._kind = found.lastgroup or ""
        self.next, self._end = found[self._kind], found.end()
        return before
