"""JSON responses, downloads and the headers that say which model answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote

from fastapi import Response
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from herding.values import Outcome, Started, StepChanged

Headers = dict[str, str]


def to_json(body: BaseModel) -> bytes:
    """Return a body as JSON in UTF-8; a lone surrogate, which some models produce, becomes its JSON escape."""
    try:
        return body.__pydantic_serializer__.to_json(body)
    except PydanticSerializationError:
        return json.dumps(body.model_dump(), ensure_ascii=False).encode("utf-8", "backslashreplace")


def json_response(body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with `body` as JSON."""
    return Response(to_json(body), status, headers=headers, media_type="application/json")


def download_headers(name: str) -> Headers:
    """Return the headers of a response that a browser saves as the file `name`, and no cache stores."""
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}


def outcome_headers(outcome: Outcome) -> Headers:
    """Return the headers of a finished request: its id, model, node and the reason for that node.

    `x-herding-ignored` names the parameters that the node does not take.
    """
    model, node, reason = outcome.model or "", outcome.node or "", outcome.reason or ""
    return _routing_headers(outcome.request_id, model, node, reason, outcome.ignored)


def event_headers(event: Started | StepChanged) -> Headers:
    """Return the headers of a request of which an event tells: what `outcome_headers` will say, as far as known."""
    if isinstance(event, StepChanged):
        return {"x-request-id": event.request_id}
    return _routing_headers(event.request_id, event.model, event.node, event.reason, event.ignored)


def _routing_headers(request_id: str, model: str, node: str, reason: str, ignored: Sequence[str]) -> Headers:
    headers = {
        "x-request-id": request_id,
        "x-herding-model": _encode_header(model),
        "x-herding-node": _encode_header(node),
        "x-herding-reason": _to_ascii(reason),
    }
    if ignored:
        headers["x-herding-ignored"] = _encode_header(", ".join(ignored))
    return headers


_ASCII = str.maketrans({"·": "-", "–": "-", "—": "-", "→": "->", "×": "x", "’": "'", "“": '"', "”": '"', "…": "..."})


@lru_cache(1024)
def _to_ascii(text: str) -> str:
    """Return a text for people as the value of a header, which may hold printable ASCII only."""
    return "".join(char if " " <= char <= "~" else "?" for char in text.translate(_ASCII))


_HEADER_CHARACTERS = " !\"#$&'()*+,-./:;<=>?@[]^_`{|}~"


@lru_cache(1024)
def _encode_header(value: str) -> str:
    """Percent-encode a header value, which may hold ASCII only."""
    return quote(value, safe=_HEADER_CHARACTERS)
