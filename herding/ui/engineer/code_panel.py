"""The panel "API": the current run as code for curl, Python and JavaScript."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import SplitResult, urlsplit

from markupsafe import Markup

from herding.access.operations import RATE
from herding.errors import VariableError
from herding.prompts.variables import parse_number, split_numbers
from herding.ui.engineer.form import EditedPrompt, run_request
from herding.ui.kit.fields import copy_button
from herding.ui.kit.format import el, empty_state, join
from herding.ui.kit.views import Call

TOKEN_VARIABLE = "HERDING_TOKEN"  # noqa: S105 (the name of an environment variable)
MAX_INTEGER = 2**53 - 1
"""The largest integer that is exact in every language; larger ones stay text."""

NOT_SAVED = empty_state("Not saved yet", "Save the prompt to see its API calls.")

# Line ends, bidirectional marks and lone surrogates: written as escapes.
_INVISIBLE = re.compile("[\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A POST request; `result` is the key of its response to print."""

    url: str
    body: Mapping[str, Any]
    result: str
    needs_token: bool = True


def panel_section() -> Markup:
    """Return the closed panel; `code_panel.js` asks for the code while it is open."""
    return el(
        "details",
        el("summary", el("h2", "API")),
        el("div", el("p", "Loading…", cls="muted"), id="code"),
        id="code-section",
        cls="code-section",
        data_module="code_panel",
    )


def base_url(headers: Mapping[str, str], app_url: str) -> str:
    """Return the address of the app as the browser sees it, without a slash at the end.

    The Referer of the page's requests is preferred to `app_url`: no proxy on the way changes it.
    """
    page, origin = _split_url(headers.get("referer")), headers.get("origin")
    if page and origin in (None, f"{page.scheme}://{page.netloc}"):
        return f"{page.scheme}://{page.netloc}{page.path.rpartition('/')[0]}"
    return app_url.rstrip("/")


def _split_url(url: str | None) -> SplitResult | None:
    """Return the parts of a page's address, or None if it is not valid."""
    try:
        found = urlsplit(url or "")
        valid = found.scheme in ("http", "https") and found.hostname and "@" not in found.netloc
    except ValueError:
        return None
    return found if valid else None


def code_html(edited: EditedPrompt, values: Mapping[str, Any], call: Call) -> Markup:
    """Return the code in all languages; the page shows the selected one.

    `rated` in the call is the request on the page, if there is one, and `stars` its rating.
    """
    principal, base = call.principal, base_url(call.headers, call.app_url)
    needs_token, rated = principal.token is not None, call.text("rated")
    run = ApiCall(f"{base}/api/v1/infer", infer_body(edited, values), "text", needs_token)
    score = None
    if rated and RATE in principal.rights:
        body = {"request_id": rated, "score": min(5, call.whole("rated_stars")) or 5}
        score = ApiCall(f"{base}/api/v1/score", body, "score", needs_token)
    notes = _notes(edited, needs_token=needs_token)
    panes = []
    for place, (language, (label, write)) in enumerate(LANGUAGES.items()):
        blocks = [_block(write(run), f"{label}: run the prompt"), notes]
        if score:
            blocks.append(el("p", "Rate this response using its request_id.", cls="call-next"))
            blocks.append(_block(write(score), f"{label}: rate the response"))
        panes.append(el("div", *blocks, cls="call", data_call=language, hidden="" if place else None))
    return join([_language_picker(), *panes])


def infer_body(edited: EditedPrompt, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of `POST /api/v1/infer` that runs the saved prompt with the values of the form."""
    request = run_request(replace(edited, error=None))
    more = {
        "variables": variable_values(edited.saved.variables, values),
        "model": request.model,
        "parameters": {name: json_value(value) for name, value in request.parameters.given().items()},
    }
    return {"prompt": request.prompt} | {name: value for name, value in more.items() if value}


def _language_picker() -> Markup:
    radios = [
        el("label", el("input", type="radio", name="code-language", value=language), el("span", label))
        for language, (label, _) in LANGUAGES.items()
    ]
    return el("fieldset", el("legend", "Language", cls="sr"), *radios, cls="segments")


def _block(code: str, label: str) -> Markup:
    text = el("pre", code, cls="code", tabindex="0", role="region", aria_label=label)
    return el("div", text, copy_button(f"Copy. {label}"), cls="call-text")


def _notes(edited: EditedPrompt, *, needs_token: bool) -> Markup | None:
    """Return what to do before the code runs the same request as this page."""
    notes: list[object] = []
    if needs_token:
        notes.append(join(["Set ", el("code", TOKEN_VARIABLE), " to an access token; create one in the Access tab."]))
    if edited.edits.template is not None or edited.edits.whole is not None:
        notes.append("Your draft is not saved: this code runs the saved version.")
    if edited.saved.chat:
        notes.append(join(["Add a ", el("code", "session_id"), " to continue a chat over several requests."]))
    return el("ul", *(el("li", note) for note in notes), cls="call-notes muted") if notes else None


def curl(call: ApiCall) -> str:
    """Return a call as a shell command."""
    lines = [f"curl -sS {_shell(call.url)}", f"-H {_shell('Content-Type: application/json')}"]
    if call.needs_token:
        lines.append(f'-H "Authorization: Bearer ${TOKEN_VARIABLE}"')
    return " \\\n  ".join([*lines, f"-d {_shell(_literal(call.body))}"])


def python(call: ApiCall) -> str:
    """Return a call in Python with httpx."""
    headers = f'    headers={{"Authorization": f"Bearer {{os.environ[\'{TOKEN_VARIABLE}\']}}"}},\n'
    return (
        f"{'import os' if call.needs_token else ''}\n\nimport httpx\n\n".lstrip()
        + f"response = httpx.post(\n    {_string(call.url)},\n{headers if call.needs_token else ''}"
        + f"    json={_literal(call.body, 1, indent='    ', scalar=repr)},\n    timeout=120,\n)\n"
        + f'response.raise_for_status()\nprint(response.json()["{call.result}"])'
    )


def javascript(call: ApiCall) -> str:
    """Return a call in JavaScript with fetch; the text is safe inside a `<script>` element."""
    token = f'const token = "${TOKEN_VARIABLE}"; // replace with an access token\n\n' if call.needs_token else ""
    headers = '"Content-Type": "application/json"' + (", Authorization: `Bearer ${token}`" if call.needs_token else "")
    body = _literal(call.body, 1).replace("</", "\\u003c/").replace("<!", "\\u003c!")
    return (
        f"{token}const response = await fetch({_string(call.url)}, {{\n"
        f'  method: "POST",\n  headers: {{ {headers} }},\n'
        f"  body: JSON.stringify({body}),\n}});\n"
        f"const data = await response.json();\nconsole.log(data.{call.result} ?? data.error.message);"
    )


LANGUAGES: Mapping[str, tuple[str, Callable[[ApiCall], str]]] = {
    "curl": ("curl", curl),
    "python": ("Python", python),
    "javascript": ("JavaScript", javascript),
}
"""The label of each language, and its writer."""


def variable_values(variables: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a form, else the defaults, with the types of their variables.

    Empty values are left out, unless they replace a default or are required.
    """
    found = {}
    for name, variable in variables.items():
        value = json_value(_typed(variable["type"], values.get(name, variable.get("default"))))
        if value is None or (value in ("", []) and not _keeps_empty(variable)):
            continue
        found[name] = value
    return found


def json_value(value: Any) -> Any:
    """Return `value` as JSON can represent it."""
    match value:
        case bool() | str() | None:
            return value
        case int() | float():
            return value if math.isfinite(value) and abs(value) <= MAX_INTEGER else str(value)
        case list() | tuple():
            return [json_value(item) for item in value]
        case dict():
            return {str(name): json_value(item) for name, item in value.items()}
    return str(value)


def _keeps_empty(variable: Mapping[str, Any]) -> bool:
    """Return True if an empty value replaces a default or must be sent."""
    default, required = variable.get("default"), variable.get("required")
    if variable["type"] not in ("text", "number_list"):
        return False
    return bool(default) or (default is None and required is not False)


def _typed(kind: str, value: Any) -> Any:
    """Return the text of a field as a value of its type; text that does not parse stays text."""
    if not isinstance(value, str):
        return value
    if kind in ("number", "integer"):
        return _number(value)
    if kind == "number_list":
        try:
            numbers = [_number(part) for part in split_numbers(value)]
        except VariableError:
            return value
        return value if any(isinstance(item, str) for item in numbers) else numbers
    return value


def _number(text: Any) -> Any:
    try:
        found = parse_number(text)
    except VariableError:
        return text
    return found if abs(found) <= MAX_INTEGER else text


def _string(text: str) -> str:
    """Return a string literal that JSON, Python and JavaScript read the same."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _shell(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _literal(value: Any, depth: int = 0, *, indent: str = "  ", scalar: Callable[[Any], str] = json.dumps) -> str:
    """Return a literal with one item of a mapping per line; `scalar` writes numbers, booleans and null."""
    match value:
        case str():
            return _string(value)
        case dict() if value:
            items = (
                f"{indent * (depth + 1)}{_string(name)}: {_literal(item, depth + 1, indent=indent, scalar=scalar)}"
                for name, item in value.items()
            )
            return "{\n" + ",\n".join(items) + f"\n{indent * depth}}}"
        case list() | tuple():
            return f"[{', '.join(_literal(item, depth, indent=indent, scalar=scalar) for item in value)}]"
    return scalar(value)
