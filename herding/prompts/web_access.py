"""Access for web pages: the origins that may call a prompt, and its short path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from herding.yaml_files import StrictModel

ANY = "*"
MAX_ORIGIN = 300

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_FORM = "write an origin as browsers send it: scheme://host or scheme://host:port, in lower case"


def is_origin(text: str) -> bool:
    """Return whether `text` is an origin as browsers send it."""
    found = _ORIGIN.fullmatch(text) if len(text) <= MAX_ORIGIN else None
    return found is not None and (found[1] is None or int(found[1]) < 65_536)


def _check_origin(text: str) -> str:
    if text == ANY:
        return text
    if not is_origin(text):
        raise ValueError(f"{_FORM}, without a path. Use '*' for all origins")
    scheme, _, rest = text.partition("://")
    if rest.endswith(f":{_DEFAULT_PORTS.get(scheme)}"):
        raise ValueError(f"browsers omit port {_DEFAULT_PORTS[scheme]} for {scheme}. Remove it")
    return text


Origin = Annotated[str, AfterValidator(_check_origin)]
"""An origin, or `*`."""


def allows_origin(origins: Sequence[str] | None, origin: str) -> bool:
    """Return whether `origins` allow a page of `origin`."""
    if not origins:
        return False
    return origin in origins if ANY not in origins else origin == "null" or is_origin(origin)


RESERVED_PATHS = frozenset(
    {"api", "v1", "docs", "redoc", "metrics", "healthz", "readyz", "login", "logout", "gradio_api", "mcp", "ui"}
    | {"app_id", "assets", "call", "cancel", "component_server", "config", "custom_component", "deep_link", "dev"}
    | {"file", "heartbeat", "info", "login_check", "monitoring", "process_recording", "proxy", "pwa_icon", "queue"}
    | {"reset", "run", "startup-events", "static", "stream", "svelte", "theme", "token", "upload", "upload_progress"}
    | {"user", "vibe-code", "vibe-edit", "vibe-starter-queries"}
)
"""First segments of paths that the API or the page uses."""

QueryName = Annotated[str, Field(min_length=1, max_length=64)]
VariableName = Annotated[str, Field(min_length=1, max_length=64)]


class Alias(StrictModel):
    """A short path: `GET <path>?...` runs the prompt. `variables` maps query parameters to variables."""

    path: str = Field(pattern=r"^/[a-z0-9_-]+(/[a-z0-9_-]+){0,4}$", max_length=100)
    variables: dict[QueryName, VariableName] = Field(default_factory=dict, max_length=100)

    @field_validator("path")
    @classmethod
    def _is_free(cls, path: str) -> str:
        if path.split("/")[1] in RESERVED_PATHS:
            raise ValueError(f"paths under /{path.split('/')[1]} are reserved. Choose another first segment")
        return path
