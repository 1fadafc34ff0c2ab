"""A short address of a prompt, for pages and programs that were written for another service."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from herding.yaml_files import Strict

OWN = frozenset(
    {"api", "v1", "docs", "redoc", "metrics", "healthz", "readyz", "login", "logout", "gradio_api", "mcp", "ui"}
    | {"app_id", "assets", "call", "cancel", "component_server", "config", "custom_component", "deep_link", "dev"}
    | {"file", "heartbeat", "info", "login_check", "monitoring", "process_recording", "proxy", "pwa_icon", "queue"}
    | {"reset", "run", "startup-events", "static", "stream", "svelte", "theme", "token", "upload", "upload_progress"}
    | {"user", "vibe-code", "vibe-edit", "vibe-starter-queries"}
)
"""First parts of paths that mean something else here: the API's, and those of the page."""

QueryName = Annotated[str, Field(min_length=1, max_length=64)]
VariableName = Annotated[str, Field(min_length=1, max_length=64)]


class Alias(Strict):
    """`GET <path>?...` runs the prompt; `variables` maps names in the query to names of variables."""

    path: str = Field(pattern=r"^/[a-z0-9_-]+(/[a-z0-9_-]+){0,4}$", max_length=100)
    variables: dict[QueryName, VariableName] = Field(default_factory=dict, max_length=100)

    @field_validator("path")
    @classmethod
    def _is_free(cls, path: str) -> str:
        if path.split("/")[1] in OWN:
            raise ValueError(f"paths under /{path.split('/')[1]} are taken; choose another first word")
        return path
