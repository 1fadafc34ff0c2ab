"""The body of a generation request: read, and refused where it is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast, get_args

from herding.errors import UserError
from herding.values import Message, Parameters

T = TypeVar("T")
_Role = Literal["system", "user", "assistant"]
_ROLES = get_args(_Role)
_MAX_STOPS = 16
_MAX_STOP_CHARS = 1000
_MAX_SEED = 2**63


@dataclass(frozen=True, slots=True)
class Generation:
    """What to generate: an answer to `messages`, or the continuation of `text`."""

    id: str | None = None
    model: str | None = None
    messages: tuple[Message, ...] | None = None
    text: str | None = None
    parameters: Parameters = field(default_factory=Parameters)


def parse_generation(body: object) -> Generation:
    """Read the decoded JSON of `POST /generate`; UserError says what is wrong with it."""
    fields = _object(body, "the body", {"id", "model", "messages", "text", "parameters"})
    if (fields.get("messages") is None) == (fields.get("text") is None):
        raise UserError("Give either messages or text.", param="messages")
    return Generation(
        id=_optional(_text, fields, "id"),
        model=_optional(_text, fields, "model"),
        messages=_optional(_messages, fields, "messages"),
        text=_optional(_text, fields, "text"),
        parameters=_optional(_parameters, fields, "parameters") or Parameters(),
    )


def parse_model(body: object) -> str:
    """Read the decoded JSON of `POST /load`."""
    return _text(_object(body, "the body", {"model"}).get("model"), "model")


def _optional(read: Callable[[object, str], T], fields: Mapping[str, object], key: str) -> T | None:
    value = fields.get(key)
    return None if value is None else read(value, key)


def _object(value: object, name: str, known: set[str]) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise UserError(f"{name} must be a JSON object.", param=None)
    unknown = sorted(set(value) - known)
    if unknown:
        raise UserError(f"Unknown: {', '.join(unknown)}. Known here: {', '.join(sorted(known))}.", param=unknown[0])
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise UserError(f"{name} must be a text that is not empty.", param=name)
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise UserError(f"{name} contains half a character (a lone surrogate).", param=name)
    return value


def _messages(value: object, name: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise UserError(f"{name} must be a list that is not empty.", param=name)
    return tuple(_message(item, f"{name}[{index}]") for index, item in enumerate(value))


def _message(value: object, name: str) -> Message:
    fields = _object(value, name, {"role", "content"})
    role = fields.get("role")
    if role not in _ROLES:
        raise UserError(f"{name}.role must be one of {', '.join(_ROLES)}.", param=f"{name}.role")
    content = fields.get("content")
    return Message(role=cast(_Role, role), content="" if content == "" else _text(content, f"{name}.content"))


def _parameters(value: object, name: str) -> Parameters:
    known: dict[str, Callable[[object, str], Any]] = {
        "temperature": _temperature,
        "top_p": _top_p,
        "top_k": _top_k,
        "max_tokens": _max_tokens,
        "stop": _stop,
        "seed": _seed,
    }
    fields = _object(value, name, set(known))
    given = {key: known[key](item, key) for key, item in fields.items() if item is not None}
    return Parameters(**given)


def _temperature(value: object, name: str) -> float:
    return _number(value, name, "from 0 to 2", lambda number: 0 <= number <= 2)


def _top_p(value: object, name: str) -> float:
    return _number(value, name, "above 0 and at most 1", lambda number: 0 < number <= 1)


def _top_k(value: object, name: str) -> int:
    return _integer(value, name, 0, _MAX_SEED)


def _max_tokens(value: object, name: str) -> int:
    return _integer(value, name, 1, _MAX_SEED)


def _seed(value: object, name: str) -> int:
    return _integer(value, name, -_MAX_SEED, _MAX_SEED)


def _stop(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MAX_STOPS:
        raise UserError(f"{name} must be a list of at most {_MAX_STOPS} texts.", param=name)
    stops = tuple(_text(item, name) for item in value)
    if any(len(stop) > _MAX_STOP_CHARS for stop in stops):
        raise UserError(f"A stop text has at most {_MAX_STOP_CHARS} characters.", param=name)
    return stops


def _number(value: object, name: str, range_text: str, fits: Callable[[float], bool]) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value) or not fits(value):
        raise UserError(f"{name} must be a number {range_text}.", param=name)
    return float(value)


def _integer(value: object, name: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value < high:
        raise UserError(f"{name} must be a whole number, at least {low}.", param=name)
    return value
