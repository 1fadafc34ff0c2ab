"""The syntax of request templates: placeholders in a request, and where the text is in a response.

A template is JSON whose strings contain placeholders, filled in a single pass. `{USER_PROMPT}` is the raw text or the
last user message. Other parts of a chat without a placeholder of their own are put before it: the system message
(`{SYSTEM_PROMPT}`), then earlier turns as `User: ...` and `Assistant: ...`. `{MESSAGES}` is the whole chat as a list.
`{MODEL_NAME}`, `{MODEL_TEMPERATURE}` and `{MAX_TOKENS}` come from the request; `{SECRET}` and `{SECRET:NAME}` are the
secrets of the node. A string that is a single placeholder becomes its value (a number, a list); if that is not set, the
entry is omitted. Inside a longer string, a value becomes text.

A JMESPath expression finds the text in a response. A list stands for its first element that is not null, so
`data.items[].answer` is the answer of the first item. Numbers and booleans become text; an object is an error. Without
an expression the whole response is the text, and a JSON string loses its quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions

from herding.errors import BadResponseError, UserError
from herding.nodes import http
from herding.nodes.responses.reported_error import is_error, read_error
from herding.values import Call, Message

USER_PROMPT, MESSAGES, SYSTEM_PROMPT = "USER_PROMPT", "MESSAGES", "SYSTEM_PROMPT"
MODEL_NAME, SECRET = "MODEL_NAME", "SECRET"

_PLACEHOLDER = re.compile(
    r"\{(USER_PROMPT|SYSTEM_PROMPT|MESSAGES|MODEL_NAME|MODEL_TEMPERATURE|MAX_TOKENS|SECRET(?::[A-Za-z_][A-Za-z0-9_]*)?)\}"
)
_MAX_EXPRESSION = 500
_PYTHON_PATH = re.compile(r"""response(?:\[(?:"[^"\\\]]+"|'[^'\\\]]+'|[0-9]+)\])+""")
_PYTHON_STEP = re.compile(r"""\[(?:["']([^"']+)["']|([0-9]+))\]""")
SYSTEM_ROLES = ("system", "developer")
_SPEAKERS = {"user": "User", "assistant": "Assistant"}


class _NotSet:
    """Stands for a value that the request does not set."""


NOT_SET: Final = _NotSet()

Values = Mapping[str, Any]
"""The value of each placeholder, by its name without braces."""


def placeholder_names(template: Any) -> set[str]:
    """Return the placeholders in all strings of a template."""
    return {name for text in _strings(template) for name in _PLACEHOLDER.findall(text)}


def secret_names(template: Any) -> set[str]:
    """Return the secrets that a template needs; the one without a name is `SECRET`."""
    return {name.removeprefix("SECRET:") for name in placeholder_names(template) if name.startswith(SECRET)}


def placeholder_values(call: Call, secrets: Mapping[str, str], used: set[str]) -> Values:
    """Return the values of the placeholders for one call; `used` are the placeholders of the template."""
    parameters = call.parameters
    return {
        USER_PROMPT: _user_prompt(call, used),
        SYSTEM_PROMPT: _system_prompt(call),
        MESSAGES: [message.text_body() for message in _messages(call)],
        MODEL_NAME: call.model,
        "MODEL_TEMPERATURE": NOT_SET if parameters.temperature is None else parameters.temperature,
        "MAX_TOKENS": NOT_SET if parameters.max_tokens is None else parameters.max_tokens,
        **{f"SECRET:{name}": value for name, value in secrets.items()},
        SECRET: secrets.get(SECRET, ""),
    }


def fill(template: Any, values: Values) -> Any:
    """Return a filled copy of `template`, or NOT_SET if nothing is left of it."""
    if isinstance(template, str):
        whole = _PLACEHOLDER.fullmatch(template)
        return values[whole[1]] if whole else fill_text(template, values)
    if isinstance(template, Mapping):
        filled = {key: fill(value, values) for key, value in template.items()}
        return {key: value for key, value in filled.items() if value is not NOT_SET}
    if isinstance(template, list | tuple):
        return [value for part in template if (value := fill(part, values)) is not NOT_SET]
    return template


def fill_text(template: str, values: Values, encode: Callable[[str], str] = str) -> str:
    """Return a string with its placeholders replaced by text; inserted values are not scanned again."""
    return _PLACEHOLDER.sub(lambda match: encode(to_text(values[match[1]])), template)


def fill_url(template: str, values: Values) -> str:
    """Return a URL with percent-encoded values. Raises UserError if a value makes a step of the path `.` or `..`."""
    path, mark, query = template.partition("?")
    steps = [_fill_step(step, values) for step in path.split("/")]
    return "/".join(steps) + mark + fill_text(query, values, _quote)


def _fill_step(step: str, values: Values) -> str:
    filled = fill_text(step, values, _quote)
    if filled in (".", "..") and filled != step:  # percent-encoding leaves dots: the request would go to another path
        message = f"The input '{filled}' can't be a part of this node's URL. Send another text."
        raise UserError(message, param="messages")
    return filled


def _quote(text: str) -> str:
    return quote(text, safe="", errors="replace")


def to_text(value: Any) -> str:
    """Return a value as text."""
    if value is NOT_SET:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _strings(template: Any) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping):
        for value in template.values():
            yield from _strings(value)
    elif isinstance(template, list | tuple):
        for value in template:
            yield from _strings(value)


def _messages(call: Call) -> Sequence[Message]:
    return call.messages if call.messages is not None else (Message("user", call.text or ""),)


def _system_prompt(call: Call) -> str:
    return "\n\n".join(message.content for message in _messages(call) if message.role in SYSTEM_ROLES)


def _user_prompt(call: Call, used: set[str]) -> str:
    turns = [message for message in _messages(call) if message.role not in SYSTEM_ROLES]
    if MESSAGES in used:
        return next((turn.content for turn in reversed(turns) if turn.role == "user"), "")
    system = "" if SYSTEM_PROMPT in used else _system_prompt(call)
    if len(turns) <= 1:
        text = "".join(turn.content for turn in turns)
    else:
        text = "\n".join([*(f"{_SPEAKERS[turn.role]}: {turn.content}" for turn in turns), "Assistant:"])
    return f"{system}\n\n{text}" if system and text else system or text


class TextExtractor:
    """Finds the text in responses; raises ValueError for an invalid JMESPath expression.

    The Python form `response["a"][0]["b"]` is accepted for `a[0].b`.
    """

    def __init__(self, expression: str) -> None:
        expression = expression.strip()
        if len(expression) > _MAX_EXPRESSION:
            raise ValueError(f"an expression has at most {_MAX_EXPRESSION} characters")
        try:
            self._path = jmespath.compile(_to_jmespath(expression)) if expression else None
        except JMESPathError as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise ValueError(f"'{expression}' is not valid JMESPath: {reason}") from None
        if self._path and (fault := _find_fault(self._path.parsed)):
            raise ValueError(f"'{expression}' is not valid JMESPath: {fault}")

    @property
    def expects_json(self) -> bool:
        """True if responses must be JSON."""
        return self._path is not None

    def extract(self, body: str) -> str:
        """Return the text of a complete response; raise NodeError if there is none."""
        if not body.strip():
            raise BadResponseError("The node sent an empty response.")
        text, data = self._read(body)
        if text is None:
            _check_error(data)
            reason = http.error_message(data)
            raise BadResponseError(
                "The node's response has no text at response_extract" + (f": {reason}." if reason else ".")
            )
        return text

    def extract_event(self, data: str) -> str:
        """Return the text of one stream event, empty if it has none; raise BadResponseError if it is invalid."""
        text, event = self._read(data)
        if text is None:
            _check_error(event)
        return text or ""

    def _read(self, body: str) -> tuple[str | None, Any]:
        """Return the text in `body`, if any, and its parsed JSON."""
        data: Any = None
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            if self._path is not None:
                raise BadResponseError("The node sent a response that is not valid JSON.") from None
        if isinstance(data, dict) and data.get("error"):
            raise http.error_of(read_error(data), "")
        if self._path is None:
            return (data if isinstance(data, str) else body), data
        try:
            return _found_text(self._path.search(data)), data
        except (JMESPathError, RecursionError, ValueError, TypeError, ArithmeticError):  # its functions raise these too
            raise BadResponseError("The node's response does not fit its response_extract.") from None


def _check_error(data: Any) -> None:
    """Raise the NodeError that a response without text reports, if any."""
    if is_error(data):
        raise http.error_of(read_error(data), "")


def _found_text(found: Any) -> str | None:
    while isinstance(found, list):
        found = next((item for item in found if item is not None), None)
    if found is None or isinstance(found, str):
        return found
    if isinstance(found, dict):
        raise BadResponseError("The node's response has an object where its text should be.")
    return json.dumps(found)


def _find_fault(node: Mapping[str, Any]) -> str | None:
    """Return what JMESPath would refuse only while it reads a response, or None."""
    parts = [part for part in node["children"] if isinstance(part, Mapping)]
    if node["type"] == "slice" and node["children"][2] == 0:
        return "the step of a slice can't be 0"
    if node["type"] == "function_expression":
        function = Functions.FUNCTION_TABLE.get(node["value"])
        if function is None:
            return f"there is no function {node['value']}()"
        wanted = function["signature"]
        variadic = bool(wanted) and wanted[-1].get("variadic", False)
        if len(parts) < len(wanted) or (len(parts) > len(wanted) and not variadic):
            return f"{node['value']}() takes {len(wanted)} {'or more ' * variadic}arguments"
    return next((fault for part in parts if (fault := _find_fault(part))), None)


def _to_jmespath(expression: str) -> str:
    if not _PYTHON_PATH.fullmatch(expression):
        return expression
    steps = (f"[{index}]" if index else f'."{key}"' for key, index in _PYTHON_STEP.findall(expression))
    return "@" + "".join(steps)
