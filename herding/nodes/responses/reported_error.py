"""Reads the error that a server reports, in whichever of the usual shapes it does."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from herding.errors import ReportedError
from herding.nodes.redact import remove_keys

MAX_CHARS = 500
MAX_DEPTH = 4
"""Levels of objects and lists that are searched for the words of an error."""

_CONTAINERS = ("error", "errors", "fault", "detail", "base_resp", "exception", "err")
"""Fields that hold an error, or a list of them, in the order of preference."""

_MESSAGES = (
    *("message", "msg", "error_msg", "error_message", "errormessage", "error_description", "status_msg"),
    *("faultstring", "detail", "details", "description", "reason", "title", "error", "err"),
)
"""Fields that hold the words, in the order of preference."""

_TYPES = ("type", "errortype", "__type")
_CODES = ("code", "error_code", "errorcode", "status_code", "statuscode", "errcode")
_PARAMS = ("param", "parameter")
_STATUSES = ("http_status", "http_code", "status", "status_code", "statuscode", "code")
_ENVELOPE_TYPES = frozenset({"error", "exception"})

_STATUS_OF_WORD = {
    **dict.fromkeys(("invalidrequest", "badrequest", "invalidargument", "validation", "requestvalidation"), 400),
    **dict.fromkeys(("contextlengthexceeded", "contentfilter", "contentpolicyviolation", "unsupportedparameter"), 400),
    **dict.fromkeys(("exceedcontextsize", "failedprecondition", "unsupportedvalue", "invalidvalue", "jsonschema"), 400),
    **dict.fromkeys(("authentication", "unauthenticated", "unauthorized", "invalidapikey"), 401),
    **dict.fromkeys(("billing", "insufficientcredits", "paymentrequired", "insufficientbalance"), 402),
    **dict.fromkeys(("permission", "permissiondenied", "forbidden", "accessdenied"), 403),
    **dict.fromkeys(("notfound", "modelnotfound"), 404),
    **dict.fromkeys(("requesttimeout",), 408),
    **dict.fromkeys(("conflict", "aborted"), 409),
    **dict.fromkeys(("requesttoolarge", "payloadtoolarge"), 413),
    **dict.fromkeys(("unprocessableentity",), 422),
    **dict.fromkeys(("ratelimit", "ratelimitexceeded", "toomanyrequests", "resourceexhausted", "throttling"), 429),
    **dict.fromkeys(("insufficientquota", "quotaexceeded", "tokens", "requests"), 429),
    **dict.fromkeys(("internal", "internalserver", "server", "api", "unknown", "generation"), 500),
    **dict.fromkeys(("unavailable", "serviceunavailable"), 503),
    **dict.fromkeys(("timeout", "deadlineexceeded", "gatewaytimeout"), 504),
    **dict.fromkeys(("overloaded",), 529),
}
"""The HTTP status of types and codes of errors, in lower case without `_` and without `Error` at the end."""

_FINE_CODES = (None, "", 0, "0", 200, "200", "ok", "success", "Success", "OK")
_TITLE = re.compile(r"<(title|h1)[^>]*>(.*?)</\1", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_SECONDS = re.compile(r"([0-9]+(?:\.[0-9]+)?)s")

_Fields = Mapping[str, Any]


def read_error(data: Any) -> ReportedError:
    """Return the error in parsed JSON; its message is empty if there are no words in it."""
    found = next(_found(data, 0), None)
    if found is None:
        return ReportedError(message=shorten(data) if isinstance(data, str) else "")
    fields, message = found
    outer = _lower(data) if isinstance(data, Mapping) else {}
    code, kind = _first(fields, outer, _CODES, (str, int)), _first(fields, outer, _TYPES, str)
    return ReportedError(
        message=message,
        type=_shorten_name(None if kind in _ENVELOPE_TYPES else kind),
        code=_shorten_name(code) if isinstance(code, str) else code,
        param=_shorten_name(_first(fields, outer, _PARAMS, str) or _location(fields)),
        status=_status(fields) or _status(outer),
        retry_after=_retry_delay(fields),
    )


def read_error_text(body: bytes, *, is_html: bool = False) -> ReportedError:
    """Return the error in the body of a response with an error status: JSON, a web page or plain text."""
    text = body.decode("utf-8-sig", "replace").strip()
    if text.startswith(("{", "[")):
        try:
            return read_error(orjson.loads(text))
        except orjson.JSONDecodeError:
            pass
    if is_html or text[:1] == "<":
        return ReportedError(message=page_title(text))
    return ReportedError(message=shorten(text))


def is_error(event: Any) -> bool:
    """True if an object of a response without an error status reports an error instead of a part of the response."""
    if isinstance(event, list):
        return bool(event) and all(isinstance(item, dict) and item.get("error") for item in event)
    if not isinstance(event, dict):
        return False
    if event.get("error") or event.get("object") == "error" or event.get("type") == "error":
        return True
    if event.get("choices") or event.get("data"):
        return False
    if event.get("errors") or event.get("success") is False or event.get("fault"):
        return True
    fields = _lower(event)
    inner = fields.get("base_resp")
    codes = [fields.get(name) for name in _CODES] + ([inner.get("status_code")] if isinstance(inner, dict) else [])
    wrong = any(isinstance(code, str | int) and code not in _FINE_CODES for code in codes)
    return wrong and bool(read_error(event).message)


def page_title(text: str) -> str:
    """Return the title of a web page, or else the beginning of its text."""
    match = _TITLE.search(text)
    return shorten(html.unescape(_TAG.sub(" ", match[2] if match else text)))


def shorten(text: str) -> str:
    """Return words to show: on one line, without keys, at most `MAX_CHARS` characters."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 20 * MAX_CHARS])
    line = remove_keys(" ".join(printable.split()))
    return line if len(line) <= MAX_CHARS else f"{line[: MAX_CHARS - 2]} …"


def _found(data: Any, depth: int) -> Iterator[tuple[_Fields, str]]:
    """Yield the objects that hold words of an error, the innermost of each container first."""
    if depth > MAX_DEPTH:
        return
    if isinstance(data, list):
        for item in data[:20]:
            yield from _found(item, depth + 1)
        if words := _join(data):
            yield {}, words
    elif isinstance(data, Mapping):
        fields = _lower(data)
        for name in _CONTAINERS:
            if isinstance(fields.get(name), dict | list):
                yield from _found(fields[name], depth + 1)
        yield from _own_words(fields, depth)


def _own_words(fields: _Fields, depth: int) -> Iterator[tuple[_Fields, str]]:
    """Yield the words in the fields of an object."""
    for name in _MESSAGES:
        value = fields.get(name)
        if isinstance(value, str) and value.strip():
            yield fields, _with_location(fields, shorten(value + _inner_words(fields)))
        elif isinstance(value, dict | list) and name not in _CONTAINERS:
            yield from _found(value, depth + 1)
    if depth:  # such as {"field": ["may not be blank"]}
        for value in fields.values():
            if words := _join(value):
                yield fields, words


def _join(items: Any) -> str:
    """Return the texts of a list of texts."""
    texts = [item for item in items if isinstance(item, str) and item.strip()] if isinstance(items, list) else []
    return shorten("; ".join(texts[:5])) if texts and len(texts) == len(items) else ""


def _inner_words(fields: _Fields) -> str:
    """Return the words of the server behind a router, which sends them as text in `metadata.raw`."""
    metadata = fields.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    inner = read_error_text(raw.encode("utf-8", "replace")).message if isinstance(raw, str) else ""
    return f": {inner}" if inner else ""


def _lower(data: _Fields) -> dict[str, Any]:
    return {str(name).lower(): value for name, value in data.items()}


def _first(fields: _Fields, outer: _Fields, names: tuple[str, ...], kind: Any) -> Any:
    for place in (fields, outer):
        for name in names:
            value = place.get(name)
            if isinstance(value, kind) and not isinstance(value, bool) and value != "":
                return value
    return None


def _status(fields: _Fields) -> int | None:
    """Return the HTTP status that an error stands for, from a number or from the names of its type and code."""
    for name in _STATUSES:
        value = fields.get(name)
        if isinstance(value, str) and value.isdigit() and value.isascii():
            value = int(value[:4])
        if type(value) is int and 400 <= value < 600:
            return value
    for name in ("code", "status", *_TYPES):
        value = fields.get(name)
        if isinstance(value, str):
            word = value.lower().replace("_", "").replace("-", "").replace(" ", "")
            word = word.removesuffix("exception").removesuffix("error")
            if (found := _STATUS_OF_WORD.get(word)) is not None:
                return found
    return None


def _location(fields: _Fields) -> str | None:
    """Return the field that a validation error of FastAPI names."""
    place = fields.get("loc")
    if not isinstance(place, list):
        return None
    return ".".join(str(part) for part in place if part not in ("body", "query")) or None


def _with_location(fields: _Fields, message: str) -> str:
    place = _location(fields)
    return shorten(f"{place}: {message}") if place and place not in message else message


def _retry_delay(fields: _Fields) -> float | None:
    """Return the seconds of Google's RetryInfo."""
    details = fields.get("details")
    for item in details if isinstance(details, list) else ():
        value = item.get("retryDelay") if isinstance(item, dict) else None
        if isinstance(value, str) and (match := _SECONDS.fullmatch(value)):
            return float(match[1])
    return None


def _shorten_name(value: str | None) -> str | None:
    return shorten(value)[:100] if value else None
