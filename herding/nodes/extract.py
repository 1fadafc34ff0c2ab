"""The text inside an answer: a JMESPath expression says where it is.

A list that the expression finds stands for its first element that is not null, so `data.items[].answer` is the answer
of the first item. Numbers and truth values are taken as they are written; an object is no text. Without an expression
the answer is its text, and a JSON text is taken out of its quotes.
"""

from __future__ import annotations

import json
import re
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from herding.errors import BadResponseError
from herding.nodes import http

MAX_EXPRESSION = 500

_IN_WORDS = re.compile(r"""response(?:\[(?:"[^"\\\]]+"|'[^'\\\]]+'|[0-9]+)\])+""")
_STEP = re.compile(r"""\[(?:["']([^"']+)["']|([0-9]+))\]""")


class Extract:
    """Finds the text in answers of one node; ValueError for an expression that is none.

    `response["a"][0]["b"]` is understood as `a[0].b`.
    """

    def __init__(self, expression: str) -> None:
        expression = expression.strip()
        if len(expression) > MAX_EXPRESSION:
            raise ValueError(f"an expression has at most {MAX_EXPRESSION} characters")
        try:
            self._find = jmespath.compile(_in_jmespath(expression)) if expression else None
        except JMESPathError as error:
            first = str(error).splitlines()[0].rstrip(".")
            raise ValueError(f"'{expression}' is no JMESPath: {first}") from None

    @property
    def reads_json(self) -> bool:
        """Whether an answer must be JSON."""
        return self._find is not None

    def whole(self, body: str) -> str:
        """The text of a whole answer; BadResponseError where it holds none."""
        if not body.strip():
            raise BadResponseError("The node sent an empty answer.")
        text, data = self._read(body)
        if text is None:
            said = http.message_in(data)
            raise BadResponseError("The node's answer has no text where it should" + (f": {said}." if said else "."))
        return text

    def piece(self, data: str) -> str:
        """The text of one event of a stream, empty where it holds none; BadResponseError where it is no event."""
        return self._read(data)[0] or ""

    def _read(self, body: str) -> tuple[str | None, Any]:
        """The text in `body`, None if there is none, and what the JSON in it says."""
        data: Any = None
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            if self._find is not None:
                raise BadResponseError("The node sent an answer that is not JSON.") from None
        if isinstance(data, dict) and data.get("error"):
            raise BadResponseError(f"The node reported: {http.message_in(data) or 'an error'}.")
        if self._find is None:
            return (data if isinstance(data, str) else body), data
        try:
            return _text(self._find.search(data)), data
        except (JMESPathError, RecursionError):
            raise BadResponseError("The node's answer is not what its response_extract expects.") from None


def _text(found: Any) -> str | None:
    while isinstance(found, list):
        found = next((one for one in found if one is not None), None)
    if found is None or isinstance(found, str):
        return found
    if isinstance(found, dict):
        raise BadResponseError("The node's answer has an object where its text should be.")
    return json.dumps(found)


def _in_jmespath(expression: str) -> str:
    if not _IN_WORDS.fullmatch(expression):
        return expression
    steps = (f"[{index}]" if index else f'."{key}"' for key, index in _STEP.findall(expression))
    return "@" + "".join(steps)
