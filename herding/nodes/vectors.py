"""Vectors in OpenAI's two forms: a list of numbers, or base64 of 32-bit floats, the lowest byte first."""

from __future__ import annotations

import math
import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

from herding.errors import BadResponseError

LARGEST = 3.4e38
"""What a 32-bit float can hold, about."""

Vector = tuple[float, ...]


def read(answer: Any, count: int) -> tuple[Vector, ...]:
    """The vectors of an answer in the order of their texts; BadResponseError where they are not `count` good ones."""
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise BadResponseError("The node sent an answer without embeddings.")
    if len(data) != count:
        raise BadResponseError(f"The node sent {len(data):,} embeddings for {count:,} texts.")
    placed = {_index(item, place): _vector(item.get("embedding")) for place, item in enumerate(data)}
    if placed.keys() != set(range(count)):
        raise BadResponseError("The node sent embeddings that do not say which text is whose.")
    if len({len(vector) for vector in placed.values()}) != 1:
        raise BadResponseError("The node sent embeddings of different lengths.")
    return tuple(placed[place] for place in range(count))


def packed(vector: Sequence[float]) -> str:
    """A vector in base64."""
    return b64encode(_little_endian(array("f", vector)).tobytes()).decode()


def _index(item: dict[str, Any], place: int) -> int:
    index = item.get("index", place)
    return index if type(index) is int else -1


def _vector(given: Any) -> Vector:
    numbers = _unpacked(given) if isinstance(given, str) else _listed(given)
    if not numbers or not all(map(math.isfinite, numbers)) or max(map(abs, numbers)) > LARGEST:
        raise BadResponseError("The node sent an embedding with something that is not a number.")
    return numbers


def _listed(given: Any) -> Vector:
    if not isinstance(given, list) or not {*map(type, given)} <= {int, float}:
        return ()
    try:
        return tuple(map(float, given))
    except OverflowError:
        return ()


def _unpacked(given: str) -> Vector:
    try:
        numbers = array("f", b64decode(given, validate=True))
    except ValueError:
        return ()
    return tuple(_little_endian(numbers))


def _little_endian(numbers: array[float]) -> array[float]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
