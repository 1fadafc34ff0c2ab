"""A prompt's run as calls to copy: for the shell, Python, OpenAI's client, JavaScript, and as a link. Only text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from herding.errors import VariableError
from herding.prompts.variables import parse_number, split_numbers

VARIABLE = "HERDING_TOKEN"
"""The environment variable that the calls take the token from."""

OWN_NAMES = ("temperature", "top_p", "max_tokens", "stop", "seed")
"""The parameters that OpenAI's client knows by name; the others go into its `extra_body`."""

LARGEST = 2**53 - 1
"""The largest whole number that every language reads the same; a larger one stays the text that it is."""

_OS = "import os\n\n"
# What ends a line somewhere, turns the direction of writing, or cannot be sent: written as an escape everywhere.
_UNSEEN = re.compile("[\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run to write down: `base` is the address of the app; `parameters` are only those that differ."""

    base: str
    prompt: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    token: bool = True

    @property
    def body(self) -> dict[str, Any]:
        """The body of `infer`."""
        more = {"variables": self.variables, "model": self.model, "parameters": self.parameters}
        return {"prompt": self.prompt} | {name: given for name, given in more.items() if given}

    @property
    def run(self) -> Post:
        """The call that runs the prompt."""
        return Post(f"{self.base}/api/v1/infer", self.body, self.token, shows="text")

    def score(self, request_id: str, stars: int) -> Post:
        """The call that rates an answer."""
        return Post(f"{self.base}/api/v1/score", {"request_id": request_id, "score": stars}, self.token, shows="score")


@dataclass(frozen=True, slots=True)
class Post:
    """A body for an address; `shows` is the part of the answer that matters."""

    url: str
    body: Mapping[str, Any]
    token: bool
    shows: str


def curl(post: Post) -> str:
    """For the shell."""
    lines = [f"curl -sS {_shell(post.url)}", f"-H {_shell('Content-Type: application/json')}"]
    lines += [f'-H "Authorization: Bearer ${VARIABLE}"'] if post.token else []
    return " \\\n  ".join([*lines, f"-d {_shell(_json(post.body))}"])


def python(post: Post) -> str:
    """For Python with httpx."""
    headers = f'    headers={{"Authorization": f"Bearer {{os.environ[\'{VARIABLE}\']}}"}},\n'
    return (
        f"{_OS if post.token else ''}import httpx\n\n"
        f"answer = httpx.post(\n    {_string(post.url)},\n{headers if post.token else ''}"
        f"    json={_python(post.body, 1)},\n    timeout=120,\n)\n"
        f'answer.raise_for_status()\nprint(answer.json()["{post.shows}"])'
    )


def openai(wanted: Wanted) -> str:
    """For OpenAI's client for Python; without a need for a token it gets the word that stands for none."""
    key = f'os.environ["{VARIABLE}"]' if wanted.token else '"any"'
    named = {name: given for name, given in wanted.parameters.items() if name in OWN_NAMES}
    others = {name: given for name, given in wanted.parameters.items() if name not in OWN_NAMES}
    more = ({"variables": wanted.variables} if wanted.variables else {}) | others
    lines = [f"model={_string('prompt:' + wanted.prompt)}", "messages=[]"]
    lines += [f"{name}={_python(given, 1)}" for name, given in named.items()]
    lines += [f"extra_body={_python(more, 1)}"] if more else []
    given = "".join(f"    {line},\n" for line in lines)
    return (
        f"{_OS if wanted.token else ''}from openai import OpenAI\n\n"
        f"herding = OpenAI(base_url={_string(wanted.base + '/v1')}, api_key={key})\n"
        f"answer = herding.chat.completions.create(\n{given})\n"
        "print(answer.choices[0].message.content)"
    )


def javascript(post: Post) -> str:
    """For a web page."""
    before = f'const token = "${VARIABLE}"; // put yours here; whoever reads the page can read it\n\n'
    return (before if post.token else "") + _fetch(post, "${token}")


def node(post: Post) -> str:
    """For Node, as a module."""
    return _fetch(post, f"${{process.env.{VARIABLE}}}")


def _fetch(post: Post, token: str) -> str:
    headers = '"Content-Type": "application/json"' + (f", Authorization: `Bearer {token}`" if post.token else "")
    body = _json(post.body, 1).replace("</", "\\u003c/").replace("<!", "\\u003c!")
    return (
        f"const response = await fetch({_string(post.url)}, {{\n"
        f'  method: "POST",\n  headers: {{ {headers} }},\n'
        f"  body: JSON.stringify({body}),\n}});\n"
        f"const answer = await response.json();\nconsole.log(answer.{post.shows} ?? answer.error.message);"
    )


def link(wanted: Wanted) -> str:
    """A link that runs the prompt with the variables and nothing else."""
    given = {name: told(value) for name, value in wanted.variables.items()}
    query = urlencode(given, quote_via=quote, errors="replace")
    return f"{wanted.base}/api/v1/run/{quote(wanted.prompt)}{'?' if query else ''}{query}"


KINDS: Mapping[str, tuple[str, Callable[[Wanted], str]]] = {
    "curl": ("curl", lambda wanted: curl(wanted.run)),
    "python": ("Python", lambda wanted: python(wanted.run)),
    "openai": ("OpenAI SDK", openai),
    "javascript": ("JavaScript", lambda wanted: javascript(wanted.run)),
    "node": ("Node", lambda wanted: node(wanted.run)),
    "link": ("Link", link),
}
"""The label of each kind of call, and how it is written."""

SCORES: Mapping[str, Callable[[Post], str]] = {
    "curl": curl,
    "python": python,
    "openai": python,
    "javascript": javascript,
    "node": node,
}
"""How stars are given; OpenAI's client knows none, and no link gives any."""


def values_of(variables: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a form, else the defaults, typed as their variables are; what is empty and says nothing goes."""
    found = {}
    for name, variable in variables.items():
        held = plain(_typed(variable["type"], given.get(name, variable.get("default"))))
        if held is None or (held in ("", []) and not _matters(variable)):
            continue
        found[name] = held
    return found


def plain(value: Any) -> Any:
    """`value` as JSON can say it."""
    match value:
        case bool() | str() | None:
            return value
        case int() | float():
            return value if math.isfinite(value) and abs(value) <= LARGEST else str(value)
        case list() | tuple():
            return [plain(part) for part in value]
        case dict():
            return {str(name): plain(part) for name, part in value.items()}
    return str(value)


def told(value: Any) -> str:
    """`value` as a link says it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(told, value)) if isinstance(value, list) else str(value)


def _matters(variable: Mapping[str, Any]) -> bool:
    """Whether an empty value says something: it stands in the place of a text's default, or it has to be filled in."""
    default, required = variable.get("default"), variable.get("required")
    if variable["type"] not in ("text", "number_list"):
        return False
    return bool(default) or (default is None and required is not False)


def _typed(kind: str, held: Any) -> Any:
    """What a field of text holds, as the kind of value that it stands for."""
    if not isinstance(held, str):
        return held
    if kind in ("number", "integer"):
        return _number(held)
    if kind == "number_list":
        try:
            numbers = [_number(part) for part in split_numbers(held)]
        except VariableError:
            return held
        return held if any(isinstance(one, str) for one in numbers) else numbers
    return held


def _number(said: Any) -> Any:
    """The number that a text says, else the text."""
    try:
        found = parse_number(said)
    except VariableError:
        return said
    return found if abs(found) <= LARGEST else said


def _string(text: str) -> str:
    """A text between double quotes, as JSON, Python and JavaScript all read it."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _shell(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _json(value: Any, depth: int = 0) -> str:
    return _written(value, depth, indent="  ", word=json.dumps)


def _python(value: Any, depth: int) -> str:
    return _written(value, depth, indent="    ", word=repr)


def _written(value: Any, depth: int, *, indent: str, word: Callable[[Any], str]) -> str:
    """A value with each item of a mapping on a line; `word` writes what is no text."""
    match value:
        case str():
            return _string(value)
        case dict() if value:
            inside = indent * (depth + 1)
            written = ((name, _written(part, depth + 1, indent=indent, word=word)) for name, part in value.items())
            items = (f"{inside}{_string(name)}: {part}" for name, part in written)
            return "{\n" + ",\n".join(items) + f"\n{indent * depth}}}"
        case list() | tuple():
            return f"[{', '.join(_written(part, depth, indent=indent, word=word) for part in value)}]"
    return word(value)
