"""The base classes of request and response bodies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema


class RequestModel(BaseModel):
    """A request body. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class ResponseModel(BaseModel):
    """A response body. It can be built from a value with the same attributes."""

    model_config = ConfigDict(
        from_attributes=True, validate_by_name=True, json_schema_serialization_defaults_required=True
    )


def format_instant(ms: Any) -> Any:
    """Return Unix milliseconds as ISO 8601 in UTC; anything but an integer is returned unchanged."""
    if not isinstance(ms, int):
        return ms
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


Instant = Annotated[
    str, BeforeValidator(format_instant), WithJsonSchema({"type": "string", "format": "date-time", "title": "Time"})
]
"""An instant in a response: built from Unix milliseconds, sent as ISO 8601."""
